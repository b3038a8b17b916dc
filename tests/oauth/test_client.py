"""Authentication of an OAuth client at the token endpoint."""

import base64
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_runtime.catalog.oauth2 import ClientAuth, TokenEndpointSpec
from one_runtime.errors import InvalidInput
from one_runtime.oauth.client import ClientIdentity, authenticate_client

TOKEN = TokenEndpointSpec(url="https://login.example.com/token")


def decoded(header: str) -> tuple[str, str]:
    """Decode Basic credentials as a server does: base64, the first colon, then the form encoding of each part."""
    scheme, _, encoded = header.partition(" ")
    assert scheme == "Basic"
    client_id, colon, secret = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    assert colon
    return unquote_plus(client_id), unquote_plus(secret)


def test_basic_sends_the_header_of_rfc_6749_2_3_1() -> None:
    authentication = authenticate_client("basic", ClientIdentity("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw"), TOKEN)
    assert authentication.headers == {"Authorization": "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"}
    assert authentication.params == {}


def test_basic_form_encodes_id_and_secret_first() -> None:
    header = authenticate_client("basic", ClientIdentity("a:b", "+ %&é/="), TOKEN).headers["Authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")) == b"a%3Ab:%2B+%25%26%C3%A9%2F%3D"


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_server_can_decode_any_basic_id_and_secret(client_id: str, secret: str) -> None:
    header = authenticate_client("basic", ClientIdentity(client_id, secret), TOKEN).headers["Authorization"]
    assert decoded(header) == (client_id, secret)


def test_basic_raw_sends_id_and_secret_unchanged() -> None:
    header = authenticate_client("basic_raw", ClientIdentity("a/b", "+ %&é:="), TOKEN).headers["Authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")) == "a/b:+ %&é:=".encode()


def test_basic_raw_refuses_an_id_with_a_colon() -> None:
    with pytest.raises(InvalidInput, match="must not contain a colon"):
        authenticate_client("basic_raw", ClientIdentity("a:b", "s"), TOKEN)


@pytest.mark.promise("P11")
def test_raw_header_is_a_secret_of_the_client() -> None:
    client = ClientIdentity("c", "+ %")
    header = authenticate_client("basic_raw", client, TOKEN).headers["Authorization"]
    assert header.removeprefix("Basic ") in client.secrets


def test_post_sends_id_and_secret_in_the_body_under_the_entrys_names() -> None:
    named = TOKEN.model_copy(update={"client_id_param": "app_id", "client_secret_param": "app_key"})
    authentication = authenticate_client("post", ClientIdentity("c", "s+%"), named)
    assert (authentication.headers, authentication.params) == ({}, {"app_id": "c", "app_key": "s+%"})


def test_none_sends_only_the_id() -> None:
    authentication = authenticate_client("none", ClientIdentity("c", "s"), TOKEN)
    assert (authentication.headers, authentication.params) == ({}, {"client_id": "c"})


def test_basic_is_preferred_if_the_provider_supports_both() -> None:
    assert authenticate_client("either", ClientIdentity("c", "s"), TOKEN) == authenticate_client(
        "basic", ClientIdentity("c", "s"), TOKEN
    )


@pytest.mark.parametrize("method", ["basic", "basic_raw", "post", "either", "none"])
def test_public_client_sends_only_its_id_with_every_method(method: ClientAuth) -> None:
    authentication = authenticate_client(method, ClientIdentity("c"), TOKEN)
    assert (authentication.headers, authentication.params) == ({}, {"client_id": "c"})


@pytest.mark.promise("P11")
def test_repr_hides_the_secret() -> None:
    client = ClientIdentity("c", "top-secret")
    shown: list[Any] = [client, authenticate_client("post", client, TOKEN), authenticate_client("basic", client, TOKEN)]
    assert "Basic" not in repr(shown)
    assert "top-secret" not in repr(shown)
    assert "client_id='c'" in repr(client)
