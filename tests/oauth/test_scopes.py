"""The scopes to request, and the scopes that a provider did not grant."""

import pytest

from one_runtime.catalog.oauth2 import ScopeList
from one_runtime.oauth.scopes import missing_scopes, requested_scopes

ASKED = ("openid", "offline_access", "files.read", "mail.read")


@pytest.mark.parametrize(
    "granted, lacks_refresh_token, missing",
    [
        (None, False, ()),
        (("files.read", "mail.read"), False, ()),
        (("files.read",), False, ("mail.read",)),
        (None, True, ("offline_access",)),
        (("files.read",), True, ("offline_access", "mail.read")),
        (("offline_access", "files.read", "mail.read"), True, ("offline_access",)),
    ],
)
def test_refused_scopes_are_missing(
    granted: tuple[str, ...] | None, *, lacks_refresh_token: bool, missing: tuple[str, ...]
) -> None:
    assert missing_scopes(ASKED, granted, lacks_refresh_token=lacks_refresh_token) == missing


def test_refresh_token_is_missing_only_if_it_was_asked_for() -> None:
    assert missing_scopes(("files.read",), None, lacks_refresh_token=True) == ()


def test_a_list_without_an_end_user_keeps_the_templates() -> None:
    scopes = ScopeList(always=("offline",), default=("https://{host}/read", "offline"))
    assert requested_scopes(scopes, None, None) == ("offline", "https://{host}/read")
    assert requested_scopes(scopes, None, {"host": "acme.example"}) == ("offline", "https://acme.example/read")
    assert requested_scopes(scopes, ("{host}",), None) == ("offline", "{host}")
