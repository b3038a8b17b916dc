"""Rules for new passwords."""

import pytest

from one_runtime.errors import InvalidInput
from one_runtime.team.sign_in import password_rules

WORDS = ("ada.lovelace@northwind.example", "Ada Lovelace", "Northwind Traders")


@pytest.mark.parametrize(
    "password, problem",
    [
        ("eleven char", "at least 12 characters"),
        ("ｅｌｅｖｅｎ ｃｈａｒ", "at least 12 characters"),
        ("x" * 1025, "at most 1,024 bytes"),
        ("é" * 513, "at most 1,024 bytes"),
        ("aaaaaaaaaaaaaaaa", "repeat a few characters"),
        ("abcabcabcabcab", "repeat a few characters"),
        ("Tr0ub4Tr0ub4Tr0ub4", "repeat a few characters"),
        ("abcdefghijklmnop", "neighbours"),
        ("qwertyuiopasdfgh", "neighbours"),
        ("0987654321098765", "neighbours"),
        ("1q2w3e4r5t6y", "common password"),
        ("Password2026!", "common password"),
        ("!!Monkey!!2026!!", "common password"),
        ("P@ssw0rd#2026", "common password"),
        ("m.o.n.k.e.y.12", "common password"),
        ("administrator", "common password"),
        ("Northwind2026", "the name of your organization"),
        ("lovelace!1815", "your name"),
        ("ada.lovelace@northwind.example", "your e-mail address"),
        ("Ada Lovelace 1", "your name"),
    ],
)
def test_password_that_is_easy_to_guess_is_refused(password: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as caught:
        password_rules.check(password, WORDS)
    assert caught.value.errors[0].field == "password"
    assert password not in caught.value.detail


@pytest.mark.parametrize(
    "password",
    [
        "seven quiet herons",
        "correct horse battery staple",
        "kX4$qn9!vTz2",
        "839201746552",
        "пять тихих цапель",
        "七羽の静かな鷺が飛んでいく空",
        "ada likes seven quiet herons",
        "x7" + "é" * 2 + "kq9w" * 4 + "!" * 100,
    ],
)
def test_other_passwords_are_accepted(password: str) -> None:
    password_rules.check(password, WORDS)


def test_unicode_forms_of_a_password_are_equal() -> None:
    assert password_rules.encode("caf\u00e9") == password_rules.encode("cafe\u0301")
    assert password_rules.encode("\ud800")  # a browser cannot send it, but a program can


def test_list_of_common_passwords_is_complete() -> None:
    common = password_rules._common_passwords()
    assert len(common) == 19_640
    assert {"123456", "password", "friend of emily"} <= common
