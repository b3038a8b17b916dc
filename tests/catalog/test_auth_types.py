"""Every auth type is one class, and its objects answer as their entries say."""

import ast
import datetime as dt
from typing import Any, get_args

import pytest

from one_runtime.catalog.auth import TokenAuth
from one_runtime.catalog.auth_types import AUTH_TYPES, Auth, AuthType, oauth2_of
from one_runtime.catalog.grants import ClientCredentials, RefreshToken
from one_runtime.catalog.tools.sheet import sheet
from one_runtime.oauth.token_response import TokenSet
from tests.catalog.example import API_KEY, OAUTH2, api_key, entry_of, oauth2
from tests.documentation import ROOT
from tests.source_files import nodes, python_files

NOW = dt.datetime(2026, 11, 27, 12, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)
CLIENT_FIELDS = [
    {"name": "client_id", "label": "Client id", "where": "In the settings."},
    {"name": "client_secret", "label": "Client secret", "where": "In the settings."},
]
BASIC_PAIR = {"username": "{username}", "password": "{password}"}
CLIENT_CREDENTIALS = {
    "type": "client_credentials",
    "fields": CLIENT_FIELDS,
    "token": {"url": "https://login.example.com/token", "auth": "post"},
    "base_url": "https://api.example.com",
    "check": {"path": "/me"},
    "verified": {"how": "unverified"},
}


def auth_of(definition: dict[str, Any]) -> Auth:
    return entry_of(definition).auth[0]


def basic() -> Auth:
    fields = [{"name": name, "label": name.title(), "where": "In the settings."} for name in ("username", "password")]
    return auth_of({**API_KEY, "type": "basic", "fields": fields, "send": {"basic": BASIC_PAIR}})


def public() -> Auth:
    return auth_of({"type": "none", "base_url": "https://api.example.com", "verified": {"how": "unverified"}})


def client_credentials(**changes: Any) -> Auth:
    return auth_of({**CLIENT_CREDENTIALS, **changes})


def with_tokens(auth: Auth) -> TokenAuth:
    token_auth = auth.token_auth
    assert token_auth is not None
    return token_auth


def tokens(**changes: Any) -> TokenSet:
    defaults: dict[str, Any] = {"refresh_token": None, "expires_at": None, "refresh_expires_at": None, "scopes": None}
    return TokenSet(access_token="access", **{**defaults, **changes})


def drafted(name: str) -> Auth:
    rest = {"base_url": "https://api.example.com", "check": {"path": "/me"}, "verified": {"how": "unverified"}}
    return auth_of({"type": name, **AUTH_TYPES[name].draft("https://api.example.com"), **rest})


ALL = [drafted(name) for name in AUTH_TYPES]
WITHOUT_TOKENS = [api_key(), basic(), public()]


def test_every_auth_type_of_the_catalog_is_one_class() -> None:
    assert get_args(AuthType) == tuple(AUTH_TYPES)
    assert all(type(auth) is AUTH_TYPES[auth.type] for auth in ALL)


def test_every_auth_type_says_what_other_modules_need_of_it() -> None:
    texts = [text for auth in ALL for text in (auth.title, auth.default_label, auth.imported_keys, auth.exposed_keys())]
    assert all(texts)
    integration = entry_of(*(auth.model_dump(exclude_unset=True, by_alias=True) for auth in ALL))
    assert [auth.type for auth in ALL if f"## {auth.label} (`{auth.type}`)" not in sheet(integration)] == []
    made_up = dict.fromkeys(("client_id", "client_secret", "username", "password"), "made-up")
    grants = [auth.token_auth.probe_grant(made_up, "v" * 43) for auth in ALL if auth.token_auth is not None]
    assert all("grant_type" in grant.request(oauth2().token, {}).params for grant in grants)


def test_no_other_module_distinguishes_auth_types() -> None:
    """Only OAuth 2.0 has functions of its own, such as the callback. They take its class, but never test for it."""
    classes = {auth_class.__name__ for auth_class in AUTH_TYPES.values()}
    imported = {name for node in nodes_elsewhere() if isinstance(node, ast.ImportFrom) for name in names_of(node)}
    assert imported & classes == {"OAuth2Auth"}
    tests = [ast.unparse(node) for node in nodes_elsewhere() if is_type_test(node)]
    assert [test for test in tests if any(name in test for name in classes)] == []


def test_no_other_module_lists_the_auth_types() -> None:
    collections = [node for node in nodes_elsewhere() if isinstance(node, ast.Dict | ast.Tuple | ast.List | ast.Set)]
    lists = [ast.unparse(node) for node in collections if len(words_of(node) & {*AUTH_TYPES}) > 2]
    assert [text for text in lists if "No account needed" not in text] == []  # the labels of the dashboard


def nodes_elsewhere() -> list[ast.AST]:
    folder = ROOT / "src" / "one_runtime" / "catalog" / "auth_types"
    return [node for path in python_files("src") if folder not in path.parents for node in nodes(path)]


def names_of(node: ast.ImportFrom) -> list[str]:
    return [alias.name for alias in node.names]


def is_type_test(node: ast.AST) -> bool:
    is_call = isinstance(node, ast.Call) and ast.unparse(node.func) in {"isinstance", "issubclass"}
    return is_call or isinstance(node, ast.MatchClass)


def words_of(node: ast.Dict | ast.Tuple | ast.List | ast.Set) -> set[object]:
    parts = node.keys if isinstance(node, ast.Dict) else node.elts
    return {part.value for part in parts if isinstance(part, ast.Constant)}


def test_only_auth_types_with_a_token_endpoint_have_tokens() -> None:
    assert not any(auth.token_auth for auth in WITHOUT_TOKENS)
    assert all(auth.token_auth is auth for auth in (oauth2(), client_credentials()))


def test_only_oauth2_has_a_consent_page() -> None:
    assert [auth.type for auth in ALL if oauth2_of(auth)] == ["oauth2"]
    assert oauth2_of(None) is None


def test_oauth2_needs_a_registered_client_unless_each_customer_has_one() -> None:
    assert oauth2().needs_registered_client
    assert not any(auth.needs_registered_client for auth in (*WITHOUT_TOKENS, client_credentials()))
    of_customer = oauth2(client={"owner": "customer"}, fields=CLIENT_FIELDS)
    assert not of_customer.needs_registered_client


@pytest.mark.parametrize("name", ["api_key", "basic", "none"])
def test_typed_credentials_are_exposed_as_they_are(name: str) -> None:
    assert AUTH_TYPES[name].exposes({"api_key": "k", "other": "o"}) == {"api_key": "k", "other": "o"}


@pytest.mark.promise("P4")
@pytest.mark.parametrize("name", ["oauth2", "client_credentials"])
def test_only_the_access_token_is_exposed_of_tokens(name: str) -> None:
    secrets = {"access_token": "a", "refresh_token": "r", "client_id": "c", "client_secret": "s"}
    assert AUTH_TYPES[name].exposes(secrets) == {"access_token": "a"}


def test_oauth2_is_renewed_by_its_refresh_token() -> None:
    token_auth = with_tokens(oauth2())
    assert token_auth.refresh_grant({"access_token": "a", "refresh_token": "r"}, ("read",)) == RefreshToken("r", "a")
    assert token_auth.refresh_grant({"access_token": "a"}, ()) is None


def test_oauth2_that_is_never_refreshed_has_no_renewal() -> None:
    token_auth = with_tokens(oauth2(refresh="none"))
    assert token_auth.refresh_grant({"access_token": "a", "refresh_token": "r"}, ()) is None


def test_oauth2_is_renewed_by_its_access_token_where_the_provider_does_that() -> None:
    renewed_by_access = oauth2(token={**OAUTH2["token"], "refresh_params": {"access_token": "{access_token}"}})
    assert with_tokens(renewed_by_access).refresh_grant({"access_token": "a"}, ()) == RefreshToken(None, "a")


def test_client_credentials_are_renewed_by_the_client_for_the_granted_scopes() -> None:
    secrets = {"client_id": "c", "client_secret": "s", "access_token": "a"}
    renewal = with_tokens(client_credentials()).refresh_grant(secrets, ("read",))
    assert renewal == ClientCredentials({"client_id": "c", "client_secret": "s"}, ("read",))
    without_scopes = with_tokens(client_credentials()).refresh_grant(secrets, ())
    assert without_scopes == ClientCredentials({"client_id": "c", "client_secret": "s"}, None)


def test_client_credentials_buy_their_first_token_and_oauth2_does_not() -> None:
    credentials = {"client_id": "c", "client_secret": "s"}
    assert with_tokens(client_credentials()).first_grant(credentials) == ClientCredentials(credentials)
    assert with_tokens(oauth2()).first_grant(credentials) is None


def test_tokens_are_due_five_minutes_before_they_expire() -> None:
    due_at = with_tokens(client_credentials()).refresh_due_at({}, tokens(expires_at=NOW + 60 * MINUTE), NOW)
    assert due_at == NOW + 55 * MINUTE


def test_tokens_that_live_shortly_are_due_after_four_fifths_of_their_life() -> None:
    due_at = with_tokens(client_credentials()).refresh_due_at({}, tokens(expires_at=NOW + 10 * MINUTE), NOW)
    assert due_at == NOW + 8 * MINUTE


def test_a_refresh_token_is_used_at_half_of_its_life() -> None:
    secrets = {"access_token": "a", "refresh_token": "r"}
    token_auth = with_tokens(oauth2(lifetimes={"refresh": 30 * 86_400}))
    assert token_auth.refresh_due_at(secrets, tokens(), NOW) == NOW + 15 * DAY
    sooner = tokens(refresh_expires_at=NOW + 10 * DAY)
    assert token_auth.refresh_due_at(secrets, sooner, NOW) == NOW + 5 * DAY


def test_tokens_that_never_expire_are_never_due() -> None:
    secrets = {"access_token": "a", "refresh_token": "r"}
    assert with_tokens(oauth2()).refresh_due_at(secrets, tokens(), NOW) is None


def test_tokens_without_a_renewal_are_due_when_they_expire() -> None:
    expires_at = NOW + 60 * MINUTE
    assert with_tokens(oauth2()).refresh_due_at({"access_token": "a"}, tokens(expires_at=expires_at), NOW) == expires_at


def test_only_an_entry_with_revocation_can_be_revoked() -> None:
    revocation = {"url": "https://login.example.com/revoke", "token_param": "token"}
    assert oauth2(revocation=revocation).can_be_revoked
    assert not any(auth.can_be_revoked for auth in ALL)


def test_templates_may_use_the_clients_id_and_the_fields_that_the_entry_asks_for() -> None:
    developer_token = {"name": "developer_token", "label": "Developer token", "where": "In the settings."}
    with_field = oauth2(
        client={**OAUTH2["client"], "fields": [developer_token]},
        send={"headers": {"Authorization": "Bearer {access_token}", "Developer-Token": "{developer_token}"}},
    )
    values = with_tokens(with_field).client_values("client-1", {"developer_token": "d", "retired": "x"})
    assert values == {"client_id": "client-1", "developer_token": "d"}
    assert with_field.sends_client
    assert not oauth2().sends_client
    assert with_tokens(client_credentials()).client_values("client-1", {"developer_token": "d"}) == {}
