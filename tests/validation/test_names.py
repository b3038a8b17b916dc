"""Names that One Runtime shows to end users: names that would hide or reorder the text around them are refused."""

import pytest

from one_runtime.validation.names import name_problem


@pytest.mark.parametrize("name", ["Anna", "شركة الشمال", "北風", "👩‍💻", "Z̈", "a\u200db", "!", "\u200fבת\u200e"])
def test_visible_name_of_any_script_is_usable(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", ["Anna\u202e", "\u2066x", "a\u2069"])
def test_name_that_changes_the_direction_of_text_is_refused(name: str) -> None:
    assert "direction" in (name_problem(name) or "")


@pytest.mark.parametrize("name", ["\u200b", "\u200d\ufeff", "\u3164", " \u2060 ", "\u2800"])
def test_invisible_name_is_refused(name: str) -> None:
    assert "visible" in (name_problem(name) or "")
