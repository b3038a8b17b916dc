"""How an OAuth client proves itself."""

import base64
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_runtime.catalog.oauth2 import ClientAuth, Token
from one_runtime.oauth.client import ClientIdentity, authenticate_client

TOKEN = Token(url="https://login.example.com/token")


def decoded(header: str) -> tuple[str, str]:
    """As a server reads it: base64, the first colon, then each part out of its form encoding."""
    scheme, _, encoded = header.partition(" ")
    assert scheme == "Basic"
    client_id, colon, secret = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    assert colon
    return unquote_plus(client_id), unquote_plus(secret)


def test_basic_is_the_header_of_rfc_6749_2_3_1() -> None:
    proof = authenticate_client("basic", ClientIdentity("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw"), TOKEN)
    assert proof.headers == {"Authorization": "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"}
    assert proof.params == {}


def test_basic_form_encodes_both_parts_first() -> None:
    header = authenticate_client("basic", ClientIdentity("a:b", "+ %&é/="), TOKEN).headers["Authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")) == b"a%3Ab:%2B+%25%26%C3%A9%2F%3D"


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_basic_brings_any_id_and_secret_to_a_server(client_id: str, secret: str) -> None:
    header = authenticate_client("basic", ClientIdentity(client_id, secret), TOKEN).headers["Authorization"]
    assert decoded(header) == (client_id, secret)


def test_post_sends_both_in_the_body_under_the_entrys_names() -> None:
    named = TOKEN.model_copy(update={"client_id_param": "app_id", "client_secret_param": "app_key"})
    proof = authenticate_client("post", ClientIdentity("c", "s+%"), named)
    assert (proof.headers, proof.params) == ({}, {"app_id": "c", "app_key": "s+%"})


def test_none_sends_the_id_alone() -> None:
    proof = authenticate_client("none", ClientIdentity("c", "s"), TOKEN)
    assert (proof.headers, proof.params) == ({}, {"client_id": "c"})


def test_where_both_are_taken_the_secret_stays_out_of_the_body() -> None:
    assert authenticate_client("either", ClientIdentity("c", "s"), TOKEN) == authenticate_client(
        "basic", ClientIdentity("c", "s"), TOKEN
    )


@pytest.mark.parametrize("method", ["basic", "post", "either", "none"])
def test_a_public_client_says_its_id_whatever_the_entry_prefers(method: ClientAuth) -> None:
    proof = authenticate_client(method, ClientIdentity("c"), TOKEN)
    assert (proof.headers, proof.params) == ({}, {"client_id": "c"})


@pytest.mark.promise("P11")
def test_no_repr_shows_the_secret() -> None:
    client = ClientIdentity("c", "top-secret")
    shown: list[Any] = [client, authenticate_client("post", client, TOKEN), authenticate_client("basic", client, TOKEN)]
    assert "Basic" not in repr(shown)
    assert "top-secret" not in repr(shown)
    assert "client_id='c'" in repr(client)
