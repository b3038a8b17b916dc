"""Compressed answers: which are, in what coding, with which headers, and whose."""

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
    found: str | None = answer.headers.get("content-encoding")
    return found


def vary(answer: httpx2.Response) -> set[str]:
    return {name.strip() for name in answer.headers.get("vary", "").split(",")}


async def test_the_list_comes_in_the_coding_that_was_asked_for_and_says_the_same(client: Client) -> None:
    await client.connect()
    for options in ("", "&logo=url", "&logo=none", "&status=not_connected", "&search=a&logo=url"):
        path = f"{LIST}?end_user_id=user_123{options}"
        plain = await ask(client, path)
        assert coding(plain) is None
        for wanted in CODINGS:
            answer = await ask(client, path, wanted)
            assert answer.status_code == 200
            assert coding(answer) == wanted, path
            assert answer.content == plain.content
            assert int(answer.headers["content-length"]) < len(plain.content) * 0.6
            assert answer.headers["etag"] == plain.headers["etag"]
            assert answer.headers["cache-control"] == plain.headers["cache-control"] == "private, no-cache"
            assert vary(answer) == vary(plain) == {"authorization", "accept-encoding"}
    for accept, expected in (("gzip;q=0", None), ("*", "zstd"), ("br, gzip;q=0.1", "gzip"), ("identity;q=0", None)):
        assert coding(await ask(client, f"{LIST}?end_user_id=u", accept)) == expected, accept


async def test_two_accept_encoding_headers_count_as_one(client: Client) -> None:
    headers = [("accept-encoding", "zstd;q=0.1"), ("accept-encoding", "gzip")]
    assert coding(await client.http.get(f"{LIST}?end_user_id=u", headers=headers)) == "gzip"


async def test_one_tag_stands_for_every_coding_and_answers_304_in_each(client: Client) -> None:
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


async def test_what_fits_a_packet_goes_out_as_it_is(client: Client) -> None:
    for path in (f"{LIST}?end_user_id=u&slug=hubspot&logo=none", f"{LIST}?end_user_id=u&slug=nothing"):
        answer = await ask(client, path, "gzip, zstd")
        assert coding(answer) is None
        assert "accept-encoding" in vary(answer)
    assert coding(await ask(client, "/healthz", "gzip")) is None


@pytest.mark.promise("P1")
async def test_a_kept_answer_names_the_end_user_who_is_asked_for_and_nobody_else(
    application: Application, client: Client
) -> None:
    other = application.client(await application.key(await application.organization("Other")))
    asked = [
        (who, f"{name}~user~{number}") for number in range(12) for who, name in ((client, "our"), (other, "their"))
    ]
    for accept in CODINGS:
        answers = await asyncio.gather(
            *(
                who.http.get(LIST, params={"end_user_id": name, "logo": "url"}, headers={"accept-encoding": accept})
                for who, name in asked
            )
        )
        for (_, name), answer in zip(asked, answers, strict=True):
            assert coding(answer) == accept
            assert answer.json()["end_user_id"] == name
            assert answer.text.count("~user~") == 1


@pytest.mark.promise("P1")
async def test_a_kept_answer_is_for_the_same_connections_and_the_same_offer_only(
    application: Application, client: Client
) -> None:
    async def listed(who: Client, end_user_id: str, accept: str) -> dict[str, str]:
        answer = await ask(who, f"{LIST}?end_user_id={end_user_id}&logo=url", accept)
        assert coding(answer) == accept
        return {one["slug"]: one["status"] for one in answer.json()["integrations"]}

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


async def test_an_end_user_who_loads_the_page_again_gets_the_cached_answer(
    application: Application, client: Client
) -> None:
    cache = application.app.services.integration_list._compressor._cache
    for _ in range(3):
        for number in range(2):
            await ask(client, f"{LIST}?end_user_id=user_{number}", "gzip")
            await ask(client, f"{LIST}?end_user_id=user_{number}", "zstd")
    assert len(cache) == 4


async def test_public_answers_come_in_the_coding_that_was_asked_for(application: Application) -> None:
    anybody = application.client()
    for path in PUBLIC:
        plain = await ask(anybody, path)
        assert plain.headers["cache-control"].startswith("public"), path
        for wanted in CODINGS:
            for _ in range(2):
                answer = await ask(anybody, path, wanted)
                assert (answer.status_code, coding(answer)) == (200, wanted), path
                assert answer.content == plain.content, path
                assert int(answer.headers["content-length"]) < len(plain.content), path
                assert vary(answer) == vary(plain) == {"accept-encoding"}, path
                assert answer.headers["content-type"] == plain.headers["content-type"]


async def test_large_logos_are_compressed_and_keep_their_headers(application: Application) -> None:
    anybody = application.client()
    listed = (await ask(anybody, "/v1/catalog/integrations?logo=url")).json()["integrations"]
    coded = 0
    for one in listed:
        plain, answer = await ask(anybody, one["logo_url"]), await ask(anybody, one["logo_url"], "gzip")
        assert answer.content == plain.content
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert (coding(answer) == "gzip") == (len(plain.content) >= 1000)
        coded += coding(answer) == "gzip"
    assert coded > 0


async def test_what_somebody_was_let_in_for_is_not_compressed_except_for_the_list(
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


async def test_head_tells_the_length_that_get_has_and_ranges_are_disregarded(client: Client) -> None:
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


async def test_a_stream_is_passed_on_as_it_comes() -> None:
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
