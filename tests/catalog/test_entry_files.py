"""Loading an entry from a file, and the errors of an invalid file."""

from pathlib import Path

import pytest

from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.loader import CatalogError
from one_runtime.catalog.tools.build import HERE

HUBSPOT = (HERE / "integrations" / "hubspot.yaml").read_text(encoding="utf-8")


def complaint(folder: Path, text: str) -> str:
    path = folder / "hubspot.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError) as error:
        load_yaml(path)
    return error.value.detail


def test_an_error_names_the_file_the_line_and_the_place(tmp_path: Path) -> None:
    text = HUBSPOT.replace("    base_url: https://api.hubapi.com", "    base_url: http://api.hubapi.com")
    line = text[: text.index("base_url")].count("\n") + 1
    detail = complaint(tmp_path, text)
    assert f"hubspot.yaml:{line}: base_url must be https" in detail


def test_all_errors_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    text = HUBSPOT.replace("category: CRM", "category: Nonsense").replace("reason: message", "reasons: message", 1)
    assert complaint(tmp_path, text).count("hubspot.yaml:") == 2


def test_a_duplicate_key_is_refused(tmp_path: Path) -> None:
    assert "slug must appear only once" in complaint(tmp_path, HUBSPOT + "slug: other\n")


def test_aliases_and_tags_are_refused(tmp_path: Path) -> None:
    assert "aliases" in complaint(tmp_path, "a: &x {b: 1}\nc: *x\n")
    assert "YAML tags of a language" in complaint(tmp_path, "a: !!python/object/apply:os.getcwd []\n")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("slug: a name: b: c\n", "hubspot.yaml:1: the colon in column 13 follows another colon in the same line. If a"),
        ("name: a\n  b: c\n", "hubspot.yaml:2: the colon in column 4 is not allowed here. If the line begins"),
        ("a: |\n  b: c: d\nb: c: d\n", "hubspot.yaml:3: the colon in column 5"),
        ("slug: [\n", "hubspot.yaml:1: the bracket [ in column 7 is not closed; add ]"),
        ("a: {b: 1\nc: 2\n", "hubspot.yaml:1: the bracket { in column 4 is not closed; add }"),
        ("a: [[1], {b: [2}\n", "hubspot.yaml:1: the bracket [ in column 14 is not closed; add ]"),
        ("a: |\n  [\nb: [\n# c\n", "hubspot.yaml:3: the bracket [ in column 4 is not closed; add ]"),
        ("a: [b: c: d]\n", "hubspot.yaml:1: a comma or the closing bracket ] is missing"),
        ("a: 'x\nb: 3\n", "hubspot.yaml:1: a quote is not closed"),
        ("? [a, b]\n: c\n", "hubspot.yaml:1: a key must be a text"),
        (HUBSPOT.replace("date: 2026-11-28", "date: 2026-13-45"), "YAML cannot convert a value"),
        ('slug: !!int "abc"\n', "must be an integer; put the value in quotes"),
        (
            HUBSPOT.replace("category: CRM", "category: CRM\nkategory: CRM"),
            "kategory is not a key of this part",
        ),
        (
            HUBSPOT.replace("marketing automation.", "marketing automation"),
            "description must be one sentence that begins",
        ),
        (HUBSPOT.replace("docs: https://developers.hubspot.com/docs\n", ""), "docs is required"),
        (HUBSPOT.replace("Authorization: Bearer {api_key}", "Authorization: {api_key}"), "Put the value in quotes"),
        ("a: b\n" * 300_000, "must be at most 1,048,576 characters"),
        (HUBSPOT.replace("name: HubSpot", 'name: "Hub\\eSpot"'), "hubspot.yaml:2: name must contain only printable"),
    ],
)
def test_invalid_yaml_and_invalid_values_are_refused_in_a_sentence(text: str, expected: str, tmp_path: Path) -> None:
    detail = complaint(tmp_path, text)
    assert expected in detail
    assert len(detail) < 2_000


def test_key_of_another_part_is_no_mistype(tmp_path: Path) -> None:
    detail = complaint(tmp_path, HUBSPOT.replace("category: CRM", "category: CRM\nwhere: In the settings."))
    assert "where is not a key of this part of the definition" in detail
    assert "Did you mean" not in detail


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: Métricool".encode("latin-1"))
    with pytest.raises(CatalogError, match="must be UTF-8"):
        load_yaml(tmp_path / "latin.yaml")


def test_of_hundreds_of_errors_twenty_are_reported_quickly(tmp_path: Path) -> None:
    detail = complaint(tmp_path, HUBSPOT + "".join(f"unknown_{number}: 1\n" for number in range(3_000)))
    assert detail.count("hubspot.yaml:") == 20


def test_a_missing_file_and_a_file_without_a_mapping_are_refused(tmp_path: Path) -> None:
    assert "hubspot.yaml" in complaint(tmp_path, "- just\n- a list\n")
    assert "hubspot.yaml" in complaint(tmp_path, "")
    with pytest.raises(CatalogError, match="cannot be read"):
        load_yaml(tmp_path / "absent.yaml")
