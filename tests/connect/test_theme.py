"""Stylesheet with the branding of an organization: its URL, its colors and the variants for one scheme."""

import re
from itertools import product

import pytest

from one_runtime.connect.assets import STYLESHEETS, load_assets
from one_runtime.connect.pages import Site, render
from one_runtime.connect.texts import ENGLISH
from one_runtime.connect.theme import RADII, TEXT_CONTRAST, Theme, scheme_file
from one_runtime.connecting.popup import PopupShell
from one_runtime.tenancy.branding import (
    CONTROL_CONTRAST,
    DARK_BACKGROUND,
    LIGHT_BACKGROUND,
    Branding,
    Scheme,
    clean_branding,
    contrast,
    nearest,
)

SITE = Site(base="/sub", assets_hash="0123456789abcdef0123")
ALL = Branding("#2450c4", "#9db8ff", "large", "auto", None, hide_powered_by=True)


def colors_of(stylesheet: str) -> list[dict[str, str]]:
    blocks = re.findall(r":root\{(--action[^}]*)\}", stylesheet)
    return [dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{6})", block)) for block in blocks]


@pytest.mark.parametrize(
    "branding",
    [
        ALL,
        Branding(),
        Branding(accent_color="#8b0000"),
        Branding(accent_color_dark="#ffd400", scheme="dark"),
        Branding(radius="none"),
    ],
)
def test_theme_can_be_read_from_its_key(branding: Branding) -> None:
    theme = Theme(branding)
    parsed = Theme.parse(theme.key)
    assert parsed is not None
    assert (parsed.key, parsed.stylesheet) == (theme.key, theme.stylesheet)
    assert parsed.shows_powered_by == theme.shows_powered_by


@pytest.mark.parametrize(
    "key",
    [
        "",
        "default",
        "2450C4-9db8ff-large-auto-named",
        "2450c4-9db8ff-large-auto-named\n",
        "2450c4-9db8ff-huge-auto-named",
        "2450c4}-9db8ff-large-auto-named",
        "red-default-medium-auto-named",
    ],
)
def test_other_keys_are_refused(key: str) -> None:
    assert Theme.parse(key) is None
    assert load_assets().find(f"theme-{key}.css", "en") is None


def test_default_theme_has_no_stylesheet_and_the_pages_link_none() -> None:
    assert Theme().stylesheet == ""
    body = bytes(
        render(SITE, PopupShell("open", "id", ("https://a.example",), "Northwind"), ENGLISH, framed=True).body
    ).decode()
    assert "theme-" not in body
    assert "Powered by One Runtime" in body


def test_page_links_the_stylesheet_of_the_organization() -> None:
    shell = PopupShell("expired", "id", ("https://a.example",), "Northwind", branding=ALL)
    body = bytes(render(SITE, shell, ENGLISH, framed=True).body).decode()
    name = f"theme-{Theme(ALL).key}.css"
    assert f'<link rel="stylesheet" href="/sub/connect/assets/en-{SITE.assets_hash}/{name}">' in body
    assert "Powered by One Runtime" not in body
    asset = load_assets().find(name, "en")
    assert asset is not None
    assert (asset.body.decode(), asset.media_type) == (Theme(ALL).stylesheet, "text/css; charset=utf-8")


def test_every_accepted_color_is_readable_in_every_state() -> None:
    for channels in product(range(0, 256, 51), repeat=3):
        color = "#" + "".join(f"{channel:02x}" for channel in channels)
        light = nearest(color, LIGHT_BACKGROUND, CONTROL_CONTRAST)
        dark = nearest(color, DARK_BACKGROUND, CONTROL_CONTRAST)
        branding = clean_branding(Branding(light, dark), None)
        blocks = colors_of(Theme(branding).stylesheet)
        for values, background in zip(blocks, (LIGHT_BACKGROUND, DARK_BACKGROUND), strict=True):
            assert contrast(values["action"], values["action-ink"]) >= TEXT_CONTRAST, color
            assert contrast(values["action-hover"], values["action-ink"]) >= TEXT_CONTRAST, color
            assert contrast(values["action-hover"], background) >= CONTROL_CONTRAST, color
            assert contrast(values["ring"], background) >= CONTROL_CONTRAST, color
            assert contrast(values["link"], background) >= TEXT_CONTRAST, color


def test_backgrounds_are_the_backgrounds_of_the_stylesheet() -> None:
    stylesheet = load_assets().files["popup.css"].body.decode()
    assert re.findall(r"--sunken:(#\w+)", stylesheet) == [LIGHT_BACKGROUND, DARK_BACKGROUND]
    for paper, background in zip(re.findall(r"--paper:(#\w+)", stylesheet), ("#000000", "#ffffff"), strict=True):
        sunken = LIGHT_BACKGROUND if background == "#000000" else DARK_BACKGROUND
        assert contrast(sunken, background) < contrast(paper, background)
    assert re.findall(r"--radius:(\d+)px", stylesheet) == [str(RADII["medium"])]


@pytest.mark.parametrize("scheme,media", [("light", "not all"), ("dark", "all")])
def test_stylesheets_for_one_scheme_ignore_the_scheme_of_the_browser(scheme: Scheme, media: str) -> None:
    theme = Theme(Branding("#2450c4", scheme=scheme))
    for name in STYLESHEETS:
        both = load_assets().files[name].body.decode()
        fixed = load_assets().files[scheme_file(name, scheme)].body.decode()
        assert "prefers-color-scheme" in both
        assert "prefers-color-scheme" not in fixed
        assert fixed.count(f"@media {media}{{") == both.count("prefers-color-scheme")
    assert f"color-scheme:{scheme};" in load_assets().files[scheme_file("popup.css", scheme)].body.decode()
    assert len(colors_of(theme.stylesheet)) == 1
    shell = PopupShell("expired", "id", ("https://a.example",), "Northwind", branding=theme.branding)
    body = bytes(render(SITE, shell, ENGLISH, framed=True).body).decode()
    assert f'/popup-{scheme}.css"' in body
    assert f'<meta name="color-scheme" content="{scheme}">' in body


def test_more_contrast_is_stronger_than_the_branding() -> None:
    assert Theme(ALL).stylesheet.count("@media not all and (prefers-contrast: more){:root{--action:#2450c4") == 1
