"""Forms: their fields, their limits, and the time that they need."""

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlencode

import pytest
from starlette.datastructures import UploadFile

from one_runtime.computing.functions import FunctionPool
from one_runtime.dashboard.form_bodies import (
    KIB,
    MAX_FIELDS,
    MAX_MULTIPART,
    MAX_PUBLIC,
    MAX_TEXT,
    MAX_URL_ENCODED,
    MULTIPART,
    URL_ENCODED,
    read_form,
)
from one_runtime.errors import MalformedRequest, RateLimited
from tests.dashboard.team import FORM, Team, text_of

PARTS = f"{MULTIPART}; boundary=XX"


@pytest.fixture
async def functions() -> AsyncIterator[FunctionPool]:
    functions = FunctionPool(size=2)
    await read_form(functions, "", b"a=" + b"b" * 100 * KIB, URL_ENCODED)
    yield functions
    await functions.close()


def part(name: str, content: bytes, file_name: str | None = None) -> bytes:
    file = f'; filename="{file_name}"' if file_name is not None else ""
    return f'--XX\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


@pytest.mark.parametrize("length", [1, 50 * KIB])
async def test_small_and_large_forms_have_the_same_fields(functions: FunctionPool, length: int) -> None:
    text = "é +&=\U0001f600" + "x" * length
    fields = [("a", text), ("empty", ""), ("a", "second")]
    form = await read_form(functions, "", urlencode(fields).encode(), URL_ENCODED)
    assert form.multi_items() == fields
    body = b"".join(part(name, value.encode()) for name, value in fields)
    body += part("file", b"\xff\r\n--X" + text.encode(), "ü.json") + part("none", b"", "") + b"--XX--\r\n"
    form = await read_form(functions, "", body, PARTS)
    assert [each for each in form.multi_items() if isinstance(each[1], str)] == fields
    file, none = form["file"], form["none"]
    assert isinstance(file, UploadFile)
    assert isinstance(none, UploadFile)
    assert (file.filename, file.size, await file.read()) == (
        "ü.json",
        len(text.encode()) + 6,
        b"\xff\r\n--X" + text.encode(),
    )
    assert (none.filename, none.size) == ("", 0)


@pytest.mark.parametrize(
    "body, kind",
    [
        (b"&" * (MAX_FIELDS + 1), URL_ENCODED),
        (b"&" * MAX_URL_ENCODED, URL_ENCODED),
        (part("a", b"x" * (MAX_TEXT + 1)) + b"--XX--\r\n", PARTS),
        (part("a", b"") * (MAX_FIELDS + 1) + b"--XX--\r\n", PARTS),
        (b"--XX\r\n\r\nno name\r\n--XX--\r\n", PARTS),
        (b"--XX\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--XX--\r\n", PARTS),
        (b"no boundary", PARTS),
        (b"no parameter", MULTIPART),
    ],
)
async def test_malformed_forms_are_refused(functions: FunctionPool, body: bytes, kind: str) -> None:
    with pytest.raises(MalformedRequest, match="The form cannot be read"):
        await read_form(functions, "", body, kind)


@pytest.mark.promise("P17")
@pytest.mark.parametrize(
    "body, kind",
    [
        (b"a=" + b"%41" * (MAX_URL_ENCODED // 3 - 1), URL_ENCODED),
        (b"&" * MAX_URL_ENCODED, URL_ENCODED),
        (part("a", b"\r" * (MAX_MULTIPART - 100), "a") + b"--XX--\r\n", PARTS),
        (part("a", b"\r\n--X" * (MAX_MULTIPART // 5 - 100), "a") + b"--XX--\r\n", PARTS),
        (b"--XX\r\n" + b"a: b\r\n" * (MAX_MULTIPART // 6 - 100) + b"\r\n", PARTS),
    ],
    ids=["escapes", "empty fields", "returns", "beginnings of a boundary", "headers"],
)
async def test_a_large_form_is_not_read_in_the_event_loop(functions: FunctionPool, body: bytes, kind: str) -> None:
    start = time.thread_time()
    with suppress(MalformedRequest):
        await read_form(functions, "", body, kind)
    assert time.thread_time() - start < 0.05


async def test_forms_wait_for_a_process_only_for_a_time() -> None:
    functions = FunctionPool(size=1, wait_seconds=0.01)
    async with functions.pool.reserve("other", 60):
        with pytest.raises(RateLimited, match="many other large forms"):
            await read_form(functions, "", b"a" * 100 * KIB, URL_ENCODED)
        assert (await read_form(functions, "", b"a=b", URL_ENCODED))["a"] == "b"
    await functions.close()


async def test_a_public_page_accepts_64_kilobytes(team: Team) -> None:
    stranger, owner = await team.browser(None), await team.browser()
    for path in ("/sign-in", "/invitation", "/sign-in/oidc"):
        answer = await stranger.http.post(path, content=b"email=" + b"a" * MAX_PUBLIC, headers=FORM)
        assert answer.status_code == 413, path
        assert "This form can have at most 64 kB." in text_of(answer)
    assert (await stranger.http.post("/sign-in", content=b"email=" + b"a" * 60 * KIB, headers=FORM)).status_code == 422
    address = owner.address("playground/calls")
    assert (await owner.http.post(address, content=b"path=" + b"a" * MAX_URL_ENCODED, headers=FORM)).status_code == 413
    assert (await owner.http.post(address, content=b"path=" + b"a" * 900 * KIB, headers=FORM)).status_code == 422


async def test_a_malformed_form_is_an_error_of_the_request(team: Team) -> None:
    browser = await team.browser(None)
    for body in (b"no boundary", b"--XX\r\n\r\nno name\r\n--XX--\r\n"):
        answer = await browser.http.post("/sign-in", content=body, headers={**FORM, "content-type": PARTS})
        assert answer.status_code == 400
        assert "The form cannot be read" in text_of(answer)
