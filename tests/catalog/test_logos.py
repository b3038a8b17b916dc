"""Logos contain no script and no external reference."""

import re
from xml.etree import ElementTree as ET

import pytest
import yaml

from one_runtime.catalog.logos import UnsafeLogo, clean_svg, logo_hash, monogram
from one_runtime.catalog.tools.build import HERE

LOGOS = [*sorted((HERE / "logos").glob("*.svg")), HERE.parent / "demo" / "acme.svg"]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">{}</svg>'
PATH = '<path d="M0 0h8v8z"/>'


def test_every_logo_is_sanitized_and_small() -> None:
    """Looks for what must not be there with a rule of its own, beside the allow-list that wrote the file."""
    for path in LOGOS:
        text = path.read_text(encoding="utf-8").strip()
        assert clean_svg(text) == text, path.stem
        assert len(text.encode()) < 8_000, path.stem
        assert not re.search(
            r"<script|<style|<foreignobject|<image|<!|<\?|@import|javascript:|data:|\bon[a-z]+\s*=", text, re.IGNORECASE
        ), path.stem
        assert set(re.findall(r"https?://[^\"]*", text)) == {"http://www.w3.org/2000/svg"}, path.stem
        for target in re.findall(r"(?:href=\"|url\()([^\")]*)", text):
            assert target.startswith("#"), path.stem


def test_each_integration_has_a_logo_and_there_is_no_other() -> None:
    entries = {path.stem for path in (HERE / "integrations").glob("*.yaml")}
    assert {path.stem for path in (HERE / "logos").glob("*.svg")} == entries
    assert set(yaml.safe_load((HERE / "logos" / "sources.yaml").read_text(encoding="utf-8"))) == entries


@pytest.mark.parametrize(
    "bad",
    [
        "<script>alert(1)</script>",
        '<path d="M0 0" onload="alert(1)"/>',
        '<path d="M0 0" style="fill:url(https://evil.example/x)"/>',
        '<path d="M0 0" style="background:red"/>',
        '<path d="M0 0" style="fill:red;behavior:x"/>',
        '<image href="https://evil.example/x.png"/>',
        '<use href="https://evil.example/x.svg#a"/>',
        '<use xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="//evil.example/x.svg#a"/>',
        '<a href="javascript:alert(1)"><path d="M0 0"/></a>',
        "<foreignObject><p>hi</p></foreignObject>",
        "<style>@import url(https://evil.example)</style>",
        '<path fill="url(https://evil.example/x#a)"/>',
        '<path fill="url( //evil.example/x)"/>',
        '<animate attributeName="href" to="javascript:alert(1)"/>',
        '<set attributeName="onload" to="alert(1)"/>',
        "<unknown/>",
    ],
)
def test_svg_that_could_run_or_fetch_something_is_refused(bad: str) -> None:
    with pytest.raises(UnsafeLogo):
        clean_svg(SVG.format(bad + PATH))


@pytest.mark.parametrize(
    "bad",
    [
        '<!DOCTYPE svg [<!ENTITY a "aaaa">]>' + SVG.format(PATH),
        SVG.format("<title>" + "x" * 20_000 + "</title>"),
        "<html><body/></html>",
        "not xml",
        "",
        SVG.format(PATH).replace(' viewBox="0 0 8 8"', ""),
        SVG.format(PATH).replace("<svg", '<svg onload="x()"'),
    ],
)
def test_a_logo_that_is_not_a_small_svg_is_refused(bad: str) -> None:
    with pytest.raises(UnsafeLogo):
        clean_svg(bad)


def _nested_uses(levels: int) -> str:
    """Return an SVG that draws 6 to the power of `levels` elements."""
    groups = (f'<g id="g{n}">' + f'<use href="#g{n - 1}"/>' * 6 + "</g>" for n in range(1, levels + 1))
    return SVG.format(f'<defs><path id="g0" d="M0 0h8v8z"/>{"".join(groups)}</defs><use href="#g{levels}"/>')


@pytest.mark.parametrize(
    "bad",
    [
        SVG.format("<g>" * 900 + "</g>" * 900),
        SVG.format("<g>" * 32 + "</g>" * 32),
        _nested_uses(13),
        _nested_uses(13).replace("<use href", '<use xmlns:x="http://www.w3.org/1999/xlink" x:href'),
        SVG.format('<g id="a"><use href="#a"/></g>'),
        SVG.format('<mask id="m"><path d="M0 0" mask="url(#m)"/></mask><path d="M0 0" style="mask:url(#m)"/>'),
        SVG.format(
            '<mask id="m0"><path/></mask>'
            + "".join(f'<mask id="m{n}">{f"""<path mask="url(#m{n - 1})"/>""" * 6}</mask>' for n in range(1, 14))
            + '<path mask="url(#m13)"/>'
        ),
    ],
    ids=["deep", "33 levels", "uses", "xlink uses", "itself", "own mask", "masks"],
)
def test_drawing_that_is_deep_or_expands_to_many_elements_is_refused(bad: str) -> None:
    with pytest.raises(UnsafeLogo, match=r"levels deep|must draw at most"):
        clean_svg(bad)


def test_drawing_with_few_nested_references_is_unchanged() -> None:
    assert clean_svg(_nested_uses(3)) == _nested_uses(3)
    deep = SVG.format("<g>" * 29 + PATH + "</g>" * 29)
    assert clean_svg(deep) == deep


def test_unfinished_comments_are_refused_quickly() -> None:
    with pytest.raises(UnsafeLogo, match="document type"):
        clean_svg("<!--" * 1_900)


def test_shapes_and_local_references_are_unchanged() -> None:
    drawing = SVG.format(
        '<defs><linearGradient id="a"><stop offset="0"/></linearGradient></defs><path fill="url(#a)" d="M0 0"/>'
    )
    assert clean_svg(drawing) == drawing
    assert clean_svg("<!-- made by --><?xml-stylesheet?>" + drawing) == drawing


@pytest.mark.parametrize(
    "name,letters", [("Freshdesk", "FR"), ("Help Scout", "HS"), ("HubSpot", "HS"), ("X", "X"), ("<&>", "?")]
)
def test_a_monogram_has_the_letters_of_the_name_and_the_colour_of_the_slug(name: str, letters: str) -> None:
    svg = monogram("freshdesk", name)
    assert clean_svg(svg) == svg
    assert "".join(ET.fromstring(svg).itertext()) == letters
    assert svg == monogram("freshdesk", name)


def test_the_letters_of_a_monogram_are_legible_on_its_colour() -> None:
    """WCAG 1.4.3: 4.5 to 1 against white, and dark enough for a light page."""
    for number in range(400):
        colour = re.search(r'fill="#([0-9a-f]{6})"', monogram(f"slug-{number}", "Ab"))
        assert colour is not None
        assert 1.05 / (_luminance(colour.group(1)) + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_hash_of_a_logo_changes_with_it() -> None:
    assert logo_hash(b"a") != logo_hash(b"b")


def test_metadata_of_drawing_programs_is_removed_and_a_style_becomes_attributes() -> None:
    left = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="12" version="1.1" class="icon" data-name="x">'
        '<path class="a" style="fill:#f00; stroke-width: 2" d="M0 0h8"/></svg>'
    )
    assert clean_svg(left) == (
        '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="12" viewBox="0 0 24 12">'
        '<path fill="#f00" stroke-width="2" d="M0 0h8"/></svg>'
    )
