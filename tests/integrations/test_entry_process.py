"""Parsing in a separate process: linear time, and limits of CPU time and memory."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import one_runtime
from one_runtime.catalog.custom import read_custom
from one_runtime.catalog.source import SourceError, Syntax, UnreadableSource
from one_runtime.integrations import entry_process
from one_runtime.integrations.entry_process import EntryDocument, read_in_process
from tests.billing import ENTRY, SVG
from tests.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),  # on a busy machine, a process waits long for 5 s of CPU time
]

HASH_MODULUS: Final = 2**61 - 1
"""Python computes the hash of an integer modulo this number."""

TOO_LARGE: Final = "takes too much time or memory to read"


def openapi(**parts: Any) -> str:
    document = {"openapi": "3.1.0", "info": {"title": "Billing"}, "servers": [{"url": "https://billing.acme.com"}]}
    return json.dumps({**document, **parts})


def with_pattern(pattern: str) -> str:
    """Return an entry with 32 parameters in the host of its base URL."""
    entry = yaml.safe_load(ENTRY)
    names = [f"site{number}" for number in range(32)]
    param = {"label": "Site", "placeholder": "billing", "pattern": pattern, "transform": ["lower"]}
    entry["auth"][0]["params"] = [{"name": name, **param} for name in names]
    entry["auth"][0]["base_url"] = f"https://{''.join(f'{{{name}}}' for name in names)}.acme.com"
    return json.dumps(entry)


def variables(count: int, default: str) -> dict[str, Any]:
    names = [f"v{number}" for number in range(count)]
    url = "https://a.acme.com/" + "".join(f"{{{name}}}" for name in names)
    return {"url": url, "variables": {name: {"default": default} for name in names}}


def chain(count: int) -> dict[str, dict[str, str]]:
    return {f"a{number}": {"$ref": f"#/components/securitySchemes/a{number + 1}"} for number in range(count)}


# In each document, a quadratic step took longer than the limit, or a text grew exponentially.
EXPENSIVE: Final[dict[str, tuple[Syntax, Callable[[], str], str]]] = {
    "repeated key": (
        "json",
        lambda: "{" + "".join(f'"k{n}": 1, ' for n in range(60_000)) + '"k59999": 2}',
        "k59999 must appear only once",
    ),
    "integer of base 60": ("yaml", lambda: "a: 1" + ":59" * 300_000, "is required"),
    "tagged integer of base 60": ("yaml", lambda: "a: !!int 1" + ":59" * 300_000, "a number must have at most 300"),
    "number of base 60": ("yaml", lambda: "a: 1" + ":59" * 300_000 + ".5", "is required"),
    "integer keys with the same hash": (
        "yaml",
        lambda: "".join(f"{number * HASH_MODULUS}: 1\n" for number in range(38_000)),
        "is required",
    ),
    "merged mappings": (
        "yaml",
        lambda: "".join(f"!!merge k{number}: {{}}\n" for number in range(50_000)),
        "<< must appear only once",
    ),
    "chain of references": (
        "json",
        lambda: openapi(components={"securitySchemes": chain(12_000)}),
        "must contain at most 100 schemes",
    ),
    "server variables": (
        "json",
        lambda: openapi(servers=[variables(28_000, "")]),
        "at least one server must have an absolute https URL of at most 500 characters",
    ),
    "server variables that contain variables": (
        "json",
        lambda: openapi(servers=[variables(90, "{v1}{v2}{v3}{v4}{v5}{v6}{v7}")]),
        "makes the server's URL longer than 500 characters",
    ),
    "long server variable": (
        "json",
        lambda: openapi(
            servers=[{"url": "https://acme.com/" + "{a}" * 160, "variables": {"a": {"default": "x" * 900_000}}}]
        ),
        "makes the server's URL longer than 500 characters",
    ),
    "ranges in a host's pattern": (
        "json",
        lambda: with_pattern("[" + "\x01-\U0010ffff" * 90 + "]"),
        "pattern must not contain control characters",
    ),
}


@pytest.mark.parametrize("syntax, build, message", EXPENSIVE.values(), ids=EXPENSIVE)
async def test_no_document_reaches_the_limit_of_time(syntax: Any, build: Callable[[], str], message: str) -> None:
    text = build()
    assert len(text.encode()) < 1024 * 1024
    with pytest.raises(SourceError) as error:
        await read_in_process(EntryDocument(text, syntax))
    assert message in error.value.complaints[0].message


def directives() -> EntryDocument:
    """Return a document for which libyaml needs 10 s: it compares each directive with all previous directives."""
    return EntryDocument("".join(f"%TAG !{number}! x\n" for number in range(60_000)) + "--- a", "yaml")


def children() -> set[str]:
    """Return the processes that this process started and that have not ended."""
    found = set[str]()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has ended meanwhile
            found.update((task / "children").read_text().split())
    return found


async def test_process_that_reaches_a_limit_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    others = children()
    many_errors = json.dumps({"slug": "x-a", "auth": [{"type": "api_key", "fields": [{}] * 200_000}]})  # 1 GB
    for document, name, limit in (
        (directives(), "MAX_SECONDS", 1),
        (EntryDocument(many_errors, "json"), "MAX_MEMORY", 192 * 1024 * 1024),
        (EntryDocument(ENTRY, "yaml"), "_MAX_WAIT", 0.01),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(entry_process, name, limit)
            with pytest.raises(SourceError) as error:
                await read_in_process(document)
        assert error.value.complaints[0].message.startswith(TOO_LARGE), name
    assert children() == others


async def test_process_without_memory_for_the_input_reports_a_large_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_process, "MAX_MEMORY", 1)
    with pytest.raises(SourceError) as error:
        await read_in_process(EntryDocument("x" * 5_000_000, "yaml"))
    assert error.value.complaints[0].message.startswith(TOO_LARGE)


async def test_crash_for_lack_of_memory_reports_a_large_document() -> None:
    others = children()
    call = asyncio.ensure_future(read_in_process(directives()))
    await eventually(lambda: children() > others)
    (pid,) = children() - others
    os.kill(int(pid), signal.SIGSEGV)
    with pytest.raises(SourceError, match=TOO_LARGE):
        await call
    assert (await read_in_process(EntryDocument(ENTRY, "yaml"))).integration.slug == "x-billing"


async def test_process_ends_with_the_request() -> None:
    others = children()
    call = asyncio.ensure_future(read_in_process(directives()))
    await eventually(lambda: children() > others)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert children() == others


async def test_process_returns_the_same_entry_as_a_thread() -> None:
    document = openapi(components={"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}})
    texts: tuple[tuple[str, Syntax], ...] = ((f"{ENTRY}logo: '{SVG}'", "yaml"), (document, "json"))
    for text, syntax in texts:
        assert await read_in_process(EntryDocument(text, syntax, "x-billing")) == read_custom(text, syntax, "x-billing")


async def test_process_returns_the_same_complaints_as_a_thread() -> None:
    texts: tuple[tuple[str, type[SourceError]], ...] = (
        (ENTRY.replace("path: /me", "path: me"), SourceError),
        ("a: [", UnreadableSource),
        (ENTRY.replace("https://", "http://127.0.0.1/"), SourceError),
    )
    for text, kind in texts:
        with pytest.raises(kind) as expected:
            read_custom(text, "yaml")
        with pytest.raises(kind) as error:
            await read_in_process(EntryDocument(text, "yaml"))
        assert type(error.value) is kind
        assert error.value.complaints == expected.value.complaints


async def test_process_receives_no_environment_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert (await read_in_process(EntryDocument(ENTRY, "yaml"))).integration.slug == "x-billing"


def test_process_uses_the_package_that_pythonpath_names(tmp_path: Path) -> None:
    """An operator can run the sources of a version, although another version is installed."""
    package, source = tmp_path / "one_runtime", Path(one_runtime.__file__).parent
    package.mkdir()
    for part in source.iterdir():
        if part.name != "integrations":
            (package / part.name).symlink_to(part)
    shutil.copytree(source / "integrations", package / "integrations")
    module = package / "integrations" / "entry_process.py"
    text = module.read_text().replace('"warnings": entry.warnings', '"warnings": ["from the copy"]')
    module.write_text(text)
    script = (
        "import asyncio, sys\n"
        "from one_runtime.integrations.entry_process import EntryDocument, read_in_process\n"
        "entry = asyncio.run(read_in_process(EntryDocument(sys.stdin.read(), 'yaml')))\n"
        "print(*entry.warnings)"
    )
    environment = {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", script], input=ENTRY, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.stdout, ended.stderr) == ("from the copy\n", "")


async def test_unexpected_end_of_the_process_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_process, "MAX_MEMORY", "many")
    with pytest.raises(RuntimeError, match="the parser ended with 1"):
        await read_in_process(EntryDocument(ENTRY, "yaml"))
