"""Branding of an organization: validation, storage and the event."""

import re
from dataclasses import replace

import pytest

from one_runtime.errors import InvalidInput
from one_runtime.tenancy.branding import (
    CONTROL_CONTRAST,
    DARK_BACKGROUND,
    DEFAULT_BRANDING,
    LIGHT_BACKGROUND,
    Branding,
    clean_branding,
    contrast,
)

PNG = "data:image/png;base64,iVBORw0KGgo="


def test_valid_branding_stays_the_same_with_colors_in_lower_case() -> None:
    branding = Branding("#2450C4", "#9DB8FF", "large", "dark", PNG, hide_powered_by=True)
    expected = replace(branding, accent_color="#2450c4", accent_color_dark="#9db8ff")
    assert clean_branding(branding, PNG) == expected
    assert clean_branding(expected, PNG) == expected
    assert Branding.parse(expected.fields) == expected
    assert Branding.parse(None) == clean_branding(DEFAULT_BRANDING, None) == DEFAULT_BRANDING


@pytest.mark.parametrize(
    "branding,background,measured",
    [
        (Branding(accent_color="#ffd400"), LIGHT_BACKGROUND, "1.33"),
        (Branding(accent_color_dark="#191a1c"), DARK_BACKGROUND, "1.08"),
    ],
)
def test_error_names_the_contrast_and_a_color_that_is_accepted(
    branding: Branding, background: str, measured: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        clean_branding(branding, None)
    [problem] = raised.value.errors
    assert f"has a contrast of {measured} to the popup's background {background}" in problem.message
    assert "needs at least 3. " in problem.message
    suggestion = re.findall(r"#[0-9a-f]{6}", problem.message)[-1]
    name = problem.field.removeprefix("branding.")
    assert getattr(clean_branding(replace(branding, **{name: suggestion}), None), name) == suggestion


@pytest.mark.parametrize("color", ["", " ", "blue", "#fff", "2450c4", "#2450c4;}", "#2450cg", "#2450c4 ", "#２450c4"])
def test_text_that_is_not_a_color_is_refused(color: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        clean_branding(Branding(accent_color=color, accent_color_dark=color), None)
    assert [problem.field for problem in raised.value.errors] == ["branding.accent_color", "branding.accent_color_dark"]
    assert "such as #2450c4" in raised.value.errors[0].message


@pytest.mark.parametrize(
    "logo,logo_url,reason",
    [(PNG, None, "needs a logo_url"), ("https://example.com/logo.png", PNG, "must contain the image")],
)
def test_dark_logo_must_be_an_image_beside_another_logo(logo: str, logo_url: str | None, reason: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        clean_branding(Branding(logo_dark_url=logo), logo_url)
    [problem] = raised.value.errors
    assert problem.field == "branding.logo_dark_url"
    assert reason in problem.message


@pytest.mark.parametrize("color", ["#000000", "#2450c4", "#8b0000", "#6b7280"])
def test_color_of_the_dark_scheme_is_derived_with_enough_contrast(color: str) -> None:
    derived = Branding(accent_color=color).shown_accent_dark
    assert derived is not None
    assert contrast(derived, DARK_BACKGROUND) >= CONTROL_CONTRAST
    assert Branding(accent_color=color, accent_color_dark="#ffffff").shown_accent_dark == "#ffffff"
