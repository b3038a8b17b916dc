"""The system check of the routes for Django: `manage.py check` finds settings with which no OAuth popup can work."""

from typing import Any

import pytest
from django.core.checks import run_checks  # type: ignore[import-untyped]
from django.test import override_settings  # type: ignore[import-untyped]
from django.urls import include, path  # type: ignore[import-untyped]

from one_runtime_client import OneRuntime
from one_runtime_client.django import connect_urls
from tests.clients.django_site import django_site

SECURITY = "django.middleware.security.SecurityMiddleware"


def find_warnings(**settings: Any) -> list[Any]:
    """Return the messages of `manage.py check` for a project with these settings."""
    with OneRuntime("http://127.0.0.1:9", "oru_none") as client:
        django_site([path("api/", include(connect_urls(client, lambda request: None)))])
        with override_settings(**settings):
            return [message for message in run_checks() if "one_runtime" in message.id]


def test_check_warns_about_the_opener_policy_that_django_sends_by_default() -> None:
    (warning,) = find_warnings(MIDDLEWARE=[SECURITY])
    assert warning.id == "one_runtime_client.W001"
    assert "Cross-Origin-Opener-Policy: same-origin" in warning.msg
    assert 'SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups"' in warning.hint


@pytest.mark.parametrize(
    "settings",
    [
        {"MIDDLEWARE": [SECURITY], "SECURE_CROSS_ORIGIN_OPENER_POLICY": "same-origin-allow-popups"},
        {"MIDDLEWARE": [SECURITY], "SECURE_CROSS_ORIGIN_OPENER_POLICY": "unsafe-none"},
        {"MIDDLEWARE": [SECURITY], "SECURE_CROSS_ORIGIN_OPENER_POLICY": None},
        {"MIDDLEWARE": []},
    ],
)
def test_check_is_silent_if_the_pages_let_the_window_reach_the_popup(settings: dict[str, Any]) -> None:
    assert find_warnings(**settings) == []
