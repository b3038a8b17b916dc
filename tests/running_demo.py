"""A pytest plugin: a process that runs `one-runtime demo --json`.

The fixture `demo` runs one demo for all tests of a session. One Runtime, the sample product and Acme have real ports.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from playwright.async_api import Frame, Page

from tests.fork_server import ForkedProcess
from tests.ports import free_port
from tests.waiting import eventually


@dataclass(frozen=True, slots=True)
class Demo:
    """The values that a demo prints at its start, and the demo's process."""

    url: str
    product: str
    api_key: str
    end_user_id: str
    acme_key: str
    acme_keys: dict[str, str]
    acme: str
    dashboard: str
    dashboard_link: str
    data: str
    process: ForkedProcess


def popups(page: Page) -> list[Frame]:
    """Return One Runtime's frames of a page. Locators cannot find these frames in their closed shadow root."""
    return [frame for frame in page.frames if frame.parent_frame and "/connect?" in frame.url]


async def find_popup(page: Page) -> Frame:
    """Return the popup that a click opened."""
    await eventually(lambda: popups(page))
    return popups(page)[-1]


def command(folder: Path, port: int, *options: str, module: Sequence[str] = ("one_runtime",)) -> list[str]:
    """Return the command line of a demo."""
    return [sys.executable, "-m", *module, "demo", "--port", str(port), "--data", str(folder), *options]


@contextmanager
def running_demo(folder: Path, port: int, module: Sequence[str] = ("one_runtime",)) -> Iterator[Demo]:
    """Run a demo until the block ends."""
    words = command(folder, port, "--json", module=module)
    with ForkedProcess(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "the demo did not start: its own words are on stderr"
            known = {field.name for field in fields(Demo)}
            yield Demo(**{name: value for name, value in json.loads(line).items() if name in known}, process=process)
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run one demo for the session. Each test uses its own end users."""
    with running_demo(tmp_path_factory.mktemp("demo"), free_port(4)) as demo:
        yield demo
