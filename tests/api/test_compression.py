"""Compressed responses: eligible routes, content codings, headers, and isolation of cached responses."""

import asyncio
from typing import Final

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from one_runtime.api.compression import CompressPublic
from tests.application import ORIGIN, Application, Client

pytestmark = pytest.mark.slow

LIST: Final = "/v1/integrations"
CODINGS: Final = ("gzip", "zstd")
PUBLIC: Final = (
    "/v1/catalog/integrations",
    "/v1/catalog/integrations?logo=url",
    "/v1/catalog/integrations/hubspot",
    "/openapi.json",
    "/connect.js",
    "/docs/assets/swagger-ui.css",
)
WITH_TAG: Final = PUBLIC[:4]


async def ask(client: Client, path: str, accept: str = "identity", **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.http.get(path, headers={"accept-encoding": accept, **named})


def coding(answer: httpx2.Response) -> str | None:
    value: str | None = answer.headers.get("content-encoding")
    return value


def vary(answer: httpx2.Response) -> set[str]:
    return {name.strip() for name in answer.headers.get("vary", "").split(",")}


async def test_list_is_compressed_in_the_accepted_coding(client: Client) -> None:
    await client.connect()
    for options in ("", "&logo=url", "&logo=none", "&status=not_connected", "&search=a&logo=url"):
        path = f"{LIST}?end_user_id=user_123{options}"
        plain = await ask(client, path)
        assert coding(plain) is None
        for accepted in CODINGS:
            answer = await ask(client, path, accepted)
            assert answer.status_code == 200
            assert coding(answer) == accepted, path
            assert answer.content == plain.content
            assert int(answer.headers["content-length"]) < len(plain.content) * 0.6
            assert answer.headers["etag"] == plain.headers["etag"]
            assert answer.headers["cache-control"] == plain.headers["cache-control"] == "private, no-cache"
            assert vary(answer) == vary(plain) == {"authorization", "accept-encoding"}
    for accept, expected in (("gzip;q=0", None), ("*", "zstd"), ("br, gzip;q=0.1", "gzip"), ("identity;q=0", None)):
        assert coding(await ask(client, f"{LIST}?end_user_id=u", accept)) == expected, accept


async def test_two_accept_encoding_headers_are_combined(client: Client) -> None:
    headers = [("accept-encoding", "zstd;q=0.1"), ("accept-encoding", "gzip")]
    assert coding(await client.http.get(f"{LIST}?end_user_id=u", headers=headers)) == "gzip"


async def test_all_codings_share_one_entity_tag(client: Client) -> None:
    for path in (f"{LIST}?end_user_id=user_123&logo=url", *WITH_TAG):
        tags = {(await ask(client, path, accept)).headers["etag"] for accept in ("identity", *CODINGS)}
        assert len(tags) == 1, path
        (tag,) = tags
        assert tag.startswith('W/"'), "a tag shared by codings is weak (RFC 9110 section 8.8.3.3)"
        for accept in ("identity", *CODINGS):
            answer = await ask(client, path, accept, if_none_match=tag)
            assert (answer.status_code, answer.content, coding(answer)) == (304, b"", None), path
            assert answer.headers["etag"] == tag
            assert "accept-encoding" in vary(answer)


async def test_response_that_fits_a_packet_is_not_compressed(client: Client) -> None:
    for path in (f"{LIST}?end_user_id=u&slug=hubspot&logo=none", f"{LIST}?end_user_id=u&slug=nothing"):
        answer = await ask(client, path, "gzip, zstd")
        assert coding(answer) is None
        assert "accept-encoding" in vary(answer)
    assert coding(await ask(client, "/healthz", "gzip")) is None


@pytest.mark.promise("P1")
async def test_cached_response_names_only_its_own_end_user(application: Application, client: Client) -> None:
    other = application.client(await application.key(await application.organization("Other")))
    requests = [
        (who, f"{name}~user~{number}") for number in range(12) for who, name in ((client, "our"), (other, "their"))
    ]
    for accept in CODINGS:
        answers = await asyncio.gather(
            *(
                who.http.get(LIST, params={"end_user_id": name, "logo": "url"}, headers={"accept-encoding": accept})
                for who, name in requests
            )
        )
        for (_, name), answer in zip(requests, answers, strict=True):
            assert coding(answer) == accept
            assert answer.json()["end_user_id"] == name
            assert answer.text.count("~user~") == 1


@pytest.mark.promise("P1")
async def test_cached_response_requires_equal_connections_and_availability(
    application: Application, client: Client
) -> None:
    async def listed(who: Client, end_user_id: str, accept: str) -> dict[str, str]:
        answer = await ask(who, f"{LIST}?end_user_id={end_user_id}&logo=url", accept)
        assert coding(answer) == accept
        return {integration["slug"]: integration["status"] for integration in answer.json()["integrations"]}

    other = application.client(await application.key(await application.organization("Other")))
    slugs = ["slack", "hubspot", "notion", "pipedrive"]
    body = {"display_name": "Other", "integrations": {"mode": "listed", "slugs": slugs}}
    assert (await other.send("PUT", "/v1/organization", body)).status_code == 200
    await client.connect("connected")
    for accept in CODINGS:
        assert (await listed(client, "connected", accept))["acme"] == "connected"
        assert (await listed(client, "not", accept))["acme"] == "not_connected"
        assert set(await listed(other, "connected", accept)) == set(slugs)
    await client.post("/v1/disconnect", {"integration_slug": "acme", "end_user_id": "connected"})
    for accept in CODINGS:
        assert (await listed(client, "connected", accept))["acme"] == "not_connected"


async def test_repeated_list_request_uses_the_cache(application: Application, client: Client) -> None:
    cache = application.app.services.integration_list._compressor._cache
    for _ in range(3):
        for number in range(2):
            await ask(client, f"{LIST}?end_user_id=user_{number}", "gzip")
            await ask(client, f"{LIST}?end_user_id=user_{number}", "zstd")
    assert len(cache) == 4


async def test_public_responses_are_compressed_in_the_accepted_coding(application: Application) -> None:
    public_client = application.client()
    for path in PUBLIC:
        varying = {"accept-encoding", "accept-language"} if path == "/connect.js" else {"accept-encoding"}
        plain = await ask(public_client, path)
        assert plain.headers["cache-control"].startswith("public"), path
        for accepted in CODINGS:
            for _ in range(2):
                answer = await ask(public_client, path, accepted)
                assert (answer.status_code, coding(answer)) == (200, accepted), path
                assert answer.content == plain.content, path
                assert int(answer.headers["content-length"]) < len(plain.content), path
                assert vary(answer) == vary(plain) == varying, path
                assert answer.headers["content-type"] == plain.headers["content-type"]


async def test_large_logos_are_compressed_with_unchanged_headers(application: Application) -> None:
    public_client = application.client()
    listed = (await ask(public_client, "/v1/catalog/integrations?logo=url")).json()["integrations"]
    coded = 0
    for integration in listed:
        plain, answer = (
            await ask(public_client, integration["logo_url"]),
            await ask(public_client, integration["logo_url"], "gzip"),
        )
        assert answer.content == plain.content
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert (coding(answer) == "gzip") == (len(plain.content) >= 1000)
        coded += coding(answer) == "gzip"
    assert coded > 0


async def test_authenticated_responses_other_than_the_list_are_not_compressed(
    application: Application, client: Client
) -> None:
    """The length of an answer would reveal one part to a caller who chooses another part (BREACH)."""
    await client.connect(name="x" * 200, metadata={"note": "y" * 2000})
    session = await client.session(allowed_origins=[ORIGIN])
    paths = ["/v1/connections", "/v1/events", "/v1/end-users", "/v1/organization", session["connect_url"]]
    for path in (*paths, f"{LIST}?end_user_id=user_123&expand=connections"):
        answer = await ask(client, path, "gzip, zstd")
        assert answer.status_code == 200, path
        assert coding(answer) is None, path
    headers = {"authorization": f"Bearer {session['session_token']}", "accept-encoding": "gzip, zstd"}
    view = await client.http.post("/connect/session", headers=headers)
    assert (view.status_code, coding(view)) == (200, None)
    problem = await ask(client, f"{LIST}?end_user_id=", "gzip, zstd")
    assert (problem.status_code, coding(problem)) == (422, None)


async def test_head_has_the_headers_of_get_and_ranges_are_ignored(client: Client) -> None:
    path = f"{LIST}?end_user_id=user_123&logo=url"
    for accept in ("identity", *CODINGS):
        whole = await ask(client, path, accept)
        head = await client.http.head(path, headers={"accept-encoding": accept})
        for name in ("content-length", "etag", "vary"):
            assert head.headers[name] == whole.headers[name]
        assert coding(head) == coding(whole)
        for ranged in (path, "/v1/catalog/integrations", "/connect.js"):
            part = await ask(client, ranged, accept, range="bytes=0-9")
            assert part.status_code == 200
            assert len(part.content) > 1000


async def test_stream_is_forwarded_chunk_by_chunk() -> None:
    sent: list[Message] = []
    headers = [(b"cache-control", b"public, max-age=1"), (b"content-type", b"text/plain")]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in (b"a" * 2000, b"b" * 2000):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            assert sent[-1]["body"] == chunk
        await send({"type": "http.response.body"})

    async def keep(message: Message) -> None:
        sent.append(message)

    async def nothing() -> Message:
        return {"type": "http.request"}

    await CompressPublic(app)({"type": "http", "headers": [(b"accept-encoding", b"gzip")]}, nothing, keep)
    assert sent[0]["headers"] == [*headers, (b"vary", b"accept-encoding")]
    assert [len(message.get("body", b"")) for message in sent[1:]] == [2000, 2000, 0]
