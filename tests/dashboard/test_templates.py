"""Templates and static files: what the Content-Security-Policy forbids, and what Jinja2 must escape."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Final

from one_runtime.dashboard.assets import load_static_files
from one_runtime.dashboard.declarations import ORGANIZATION
from one_runtime.dashboard.rendering import SECTIONS, Renderer
from tests.in_one_test import in_one_test

_FOLDER: Final = Path(str(files("one_runtime.dashboard")))
TEMPLATES: Final = sorted((_FOLDER / "templates").rglob("*.html"))
HTMX: Final = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
"""SHA-256 of `dist/htmx.min.js` in the npm package htmx.org 4.0.1."""
_FORBIDDEN: Final = re.compile(
    r"\bstyle=|\bon[a-z]+=|hx-on|\bjs:|javascript:|\|\s*safe\b|autoescape|<style|<script(?! src=)|https?://"
)
_PROPERTY: Final = re.compile(r"^ +(--[\w-]+): (.*);$", re.MULTILINE)


@in_one_test(TEMPLATES, name=lambda path: path.name)
def test_template_has_no_inline_script_or_style_and_escapes_everything(template: Path) -> None:
    assert _FORBIDDEN.findall(template.read_text()) == []


@in_one_test(TEMPLATES, name=lambda path: path.name)
def test_form_that_changes_something_posts(template: Path) -> None:
    for form in re.findall(r"<form[^>]*>", template.read_text()):
        assert 'method="post"' in form or 'method="get"' in form, form


def test_htmx_is_the_published_file() -> None:
    assert hashlib.sha256((_FOLDER / "static" / "htmx.min.js").read_bytes()).hexdigest() == HTMX


def test_colors_are_those_of_the_popup() -> None:
    """Each custom property that both stylesheets define has the same values, in the light and the dark scheme."""
    ours = _properties(_FOLDER / "static" / "base.css")
    popup = _properties(_FOLDER.parent / "connect" / "static" / "popup.css")
    shared = ours.keys() & popup.keys()
    assert len(shared) > 15
    assert {name: ours[name] for name in shared} == {name: popup[name] for name in shared}


def _properties(stylesheet: Path) -> dict[str, list[str]]:
    """Return the values of each custom property: light, then dark."""
    values = dict[str, list[str]]()
    for name, value in _PROPERTY.findall(stylesheet.read_text()):
        values.setdefault(name, []).append(value)
    return {name: list(dict.fromkeys(each)) for name, each in values.items()}


def test_sections_of_the_menu_have_paths_below_the_organization() -> None:
    assert ORGANIZATION.startswith("/o/")
    assert len({section.path for section in SECTIONS}) == len(SECTIONS)


def test_policy_names_the_origin_of_a_public_url_with_a_path() -> None:
    renderer = Renderer(load_static_files(b""), "https://connect.example.com/one-runtime", "https://team.example.com")
    for headers in (renderer.headers, renderer.frame_headers):
        policy = headers["Content-Security-Policy"]
        assert "img-src 'self' data: https://connect.example.com;" in policy
        assert "one-runtime" not in policy
