"""Texts by language: the language of a request, and the completeness of each language."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from one_runtime.connect import texts as module
from one_runtime.connect.texts import ENGLISH, LANGUAGES, Texts, select_texts

FOLDER = Path(module.__file__).parent / "languages"
FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.iterdir()}
TAG = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?")
FOR_DEVELOPERS = ("message.", "host.load_failed", "host.frame_src")
"""Texts that only the developers of a product see. They are English."""


@pytest.fixture
def languages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have English and three made-up languages."""
    for tag in LANGUAGES.keys() - {"en"}:
        monkeypatch.delitem(LANGUAGES, tag)
    for tag in ("de", "pt-BR", "zh-Hans"):
        monkeypatch.setitem(LANGUAGES, tag, Texts.of(tag, {"direction": "ltr"}, {}))


@pytest.mark.parametrize(
    "locale,accepted,language",
    [
        (None, "", "en"),
        ("de", "", "de"),
        ("DE-at", "", "de"),
        ("pt-PT", "", "pt-BR"),
        ("zh-Hans-CN", "", "zh-Hans"),
        ("zh", "", "zh-Hans"),
        ("de", "pt-BR", "de"),
        ("fi", "pt-BR", "pt-BR"),
        ("fi", "", "en"),
        (None, "de-CH,de;q=0.9,en;q=0.8", "de"),
        (None, "fi, pt;q=0.5, de;q=0.7", "de"),
        (None, "en-GB,de;q=0.9", "en"),
        (None, "de;q=0, pt;q=0.1", "pt-BR"),
        (None, "pt, de", "pt-BR"),
        (None, "*, ;q=, de;q=2, é, " + "x" * 5000, "en"),
        (None, "fi," * 30 + "de", "en"),
        ("", "not a language", "en"),
        ("../../etc", "", "en"),
    ],
)
@pytest.mark.usefixtures("languages")
def test_language_of_a_request(locale: str | None, accepted: str, language: str) -> None:
    assert select_texts(locale, accepted).language == language


def test_each_file_is_a_language() -> None:
    assert FILES.keys() == {path.stem for path in FOLDER.glob("*.json")} == LANGUAGES.keys()
    assert [tag for tag in FILES if not TAG.fullmatch(tag)] == []
    assert {file["direction"] for file in FILES.values()} <= {"ltr", "rtl"}


def test_text_that_a_language_lacks_is_english() -> None:
    texts = Texts.of("de", {"direction": "ltr", "action.back": "Zurück"}, {"direction": "rtl", "action.close": "Close"})
    assert (texts["action.back"], texts["action.close"], texts.direction) == ("Zurück", "Close", "ltr")


@pytest.mark.parametrize("tag", sorted(FILES))
def test_language_has_every_text_with_the_values_of_english(tag: str) -> None:
    english, file = FILES["en"], FILES[tag]
    unknown = file.keys() - english.keys()
    missing = {key for key in english.keys() - file.keys() if not key.startswith(FOR_DEVELOPERS)}
    assert (unknown, missing) == (set(), set())
    different = [key for key in file if placeholders(file[key]) != placeholders(english[key])]
    assert different == []


def placeholders(text: str) -> Counter[str]:
    return Counter(re.findall(r"\{\w*\}", text))


def test_texts_of_english_are_not_empty() -> None:
    assert [key for key, text in ENGLISH.starting_with("").items() if not text.strip()] == []
