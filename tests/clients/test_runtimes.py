"""The packages in every JavaScript runtime and bundler that their documentation names. `make soak` runs these tests."""

import asyncio
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from playwright.async_api import BrowserContext, Page, expect

from one_runtime.db.ids import new_id
from tests.clients.webhook_cases import BODY, SECRET, headers_of
from tests.demo.steps import type_key
from tests.foreign.process import NODE, ROOT
from tests.journeys.steps import expect_closed
from tests.ports import free_port
from tests.running_demo import Demo, find_popup
from tests.waiting import eventually

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

RUNTIMES: Final = ROOT / "tests" / "foreign" / "runtimes"
GLOBEX: Final = "Globex Corporation"
PASSED: Final = {
    "status": "connected",
    "token": True,
    "account": GLOBEX,
    "created": 201,
    "relayed": [200, True],
    "missing": [True, "ConnectRequired", "connect_required"],
    "unknown": [True, False, 404],
    "aborted": True,
    "webhook": ["connection.needs_reauth", "user_é", "WebhookVerificationError"],
    "pages": 1,
}
"""The result of `everywhere.mjs`."""


@pytest.fixture(scope="session")
def project(tarballs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with all runtimes and all packages. Bundlers refuse symbolic links, so the files are hard links."""
    assert (RUNTIMES / "node_modules").is_dir(), "run: python scripts/bootstrap.py --dev --browser --foreign --runtimes"
    folder = tmp_path_factory.mktemp("runtimes") / "project"
    shutil.copytree(RUNTIMES, folder, symlinks=True, copy_function=link_or_copy)
    for tarball in tarballs.glob("*.tgz"):
        name = tarball.name.removeprefix("one-runtime-").rpartition("-")[0]
        with tarfile.open(tarball) as archive:
            archive.extractall(folder / "unpacked", filter="data")
        (folder / "unpacked" / "package").rename(modules(folder) / name)
    return folder


def modules(folder: Path) -> Path:
    scope = folder / "node_modules" / "@one-runtime"
    scope.mkdir(exist_ok=True)
    return scope


def link_or_copy(source: str, target: str) -> None:
    """Link a file into another folder. Copy the file if the folder is on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def program(folder: Path, name: str) -> Path:
    return folder / "node_modules" / ".bin" / name


def execute(folder: Path, *command: str | Path, **variables: str) -> str:
    """Run a command in a folder, and return its output. Fails with the output."""
    environment = {"PATH": f"{NODE.parent}:{os.environ['PATH']}", "HOME": str(folder), "NEXT_TELEMETRY_DISABLED": "1"}
    process = subprocess.run(
        command, cwd=folder, env=environment | variables, capture_output=True, text=True, check=False, timeout=300
    )
    if process.returncode != 0:
        pytest.fail(process.stdout + process.stderr, pytrace=False)
    return process.stdout


def given(demo: Demo, runtime: str) -> dict[str, Any]:
    """Return the input of `everywhere.mjs`, with an end user of its own."""
    return {
        "baseUrl": demo.url,
        "apiKey": demo.api_key,
        "acmeKey": demo.acme_key,
        "runtime": f"{runtime}-{new_id()}",
        "webhook": {"secret": SECRET, "headers": headers_of(), "body": BODY.decode()},
    }


def bundle(folder: Path, entry: str, *options: str) -> Path:
    """Bundle a program with esbuild."""
    output = folder / f"bundle-{entry}-{'-'.join(option.strip('-').replace('=', '-') for option in options)}.mjs"
    esbuild = program(folder, "esbuild")
    execute(folder, esbuild, entry, "--bundle", "--format=esm", f"--outfile={output}", "--log-level=warning", *options)
    return output


def deno(folder: Path) -> list[str | Path]:
    (binary,) = (folder / "node_modules" / "@deno").glob("*/deno")
    return [binary, "run", "--allow-all", "--node-modules-dir=manual"]


def bun(folder: Path) -> list[str | Path]:
    (binary,) = (folder / "node_modules" / "@oven").glob("bun-*/bin/bun")
    return [binary]


COMMANDS: Final[Mapping[str, Callable[[Path], list[str | Path]]]] = {"node": lambda _: [NODE], "deno": deno, "bun": bun}


@pytest.mark.parametrize("runtime", COMMANDS)
def test_client_works_on_the_command_line(project: Path, demo: Demo, runtime: str) -> None:
    command = COMMANDS[runtime](project)
    value = json.dumps(given(demo, runtime))
    assert json.loads(execute(project, *command, "command_line.mjs", value)) == PASSED
    printed = execute(project, *command, "printed.mjs", value)
    assert "***" in printed
    assert "orcs_" not in printed
    assert demo.api_key not in printed


def test_client_works_in_a_worker_without_a_compatibility_flag(project: Path, demo: Demo) -> None:
    worker = bundle(project, "worker.mjs", "--platform=browser", "--conditions=workerd,worker,browser")
    output = execute(project, NODE, "workerd.mjs", worker, json.dumps(given(demo, "workerd")))
    assert json.loads(output) == PASSED


@pytest.mark.parametrize("platform", ["neutral", "node"])
def test_client_works_in_a_minified_bundle(project: Path, demo: Demo, platform: str) -> None:
    bundled = bundle(project, "command_line.mjs", f"--platform={platform}", "--minify")
    assert json.loads(execute(project, NODE, bundled, json.dumps(given(demo, platform)))) == PASSED


def test_bundle_for_browsers_refuses_the_key(project: Path, demo: Demo) -> None:
    bundled = bundle(project, "command_line.mjs", "--platform=browser", "--minify")
    command: list[str | Path] = [NODE, bundled, json.dumps(given(demo, "browser"))]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "dangerouslyAllowBrowser" in refused.stderr
    assert demo.api_key not in refused.stderr


def test_client_works_in_jest(project: Path, demo: Demo) -> None:
    config = json.dumps({"testMatch": ["<rootDir>/client.test.cjs"], "moduleFileExtensions": ["js", "cjs", "json"]})
    execute(
        project, NODE, program(project, "jest").resolve(), "--config", config, INPUT=json.dumps(given(demo, "jest"))
    )


def test_types_of_all_packages_are_right_in_every_module_system(project: Path, tarballs: Path) -> None:
    # Only TypeScript's old module resolution, which TypeScript 7 no longer has, does not find the styles.
    options = ("--no-emoji", "--format", "ascii", "--exclude-entrypoints", "./styles.css")
    for tarball in tarballs.glob("*.tgz"):
        execute(project, program(project, "attw"), tarball, *options)


@contextmanager
def next_server(project: Path, demo: Demo, *options: str) -> Iterator[str]:
    """Build the product with Next.js, and run it on a free port. Yield its URL."""
    folder, port = project / "next", free_port()
    url = f"http://localhost:{port}"
    keys = {"ONE_RUNTIME_API_KEY": demo.api_key, "WEBHOOK_SECRET": SECRET}
    variables = {"ONE_RUNTIME_URL": demo.url, "ORIGIN": url, **keys}
    receiver = folder / "app" / "hooks" / "one-runtime"
    receiver.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "docs" / "snippets" / "webhooks_next.mjs", receiver / "route.js")
    script = program(project, "next").resolve()
    shutil.rmtree(folder / ".next", ignore_errors=True)
    if "--webpack" in options:  # with webpack, Next.js 16.4.6 cannot build any route of its edge runtime
        shutil.rmtree(folder / "app" / "edge")
    execute(folder, NODE, script, "build", *options, **variables)
    environment: Mapping[str, str] = {"PATH": f"{NODE.parent}:{os.environ['PATH']}", **variables}
    command: list[str | Path] = [NODE, script, "start", "--port", str(port), "--hostname", "127.0.0.1"]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield url
        finally:
            process.kill()  # a terminated server waits for the connections of the browser
            process.wait()


def is_up(url: str) -> bool:
    """Return True as soon as the server answers."""
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.foreign
@pytest.mark.parametrize("options", [(), ("--webpack",)], ids=["turbopack", "webpack"])
async def test_settings_page_and_edge_route_work_in_next(
    page: Page, browser_context: BrowserContext, project: Path, demo: Demo, options: tuple[str, ...]
) -> None:
    with next_server(project, demo, *options) as url:
        await eventually(lambda: is_up(f"{url}/settings"))
        if "--webpack" not in options:
            edge = await asyncio.to_thread(httpx2.post, f"{url}/edge", json=given(demo, "edge"), timeout=60)
            assert edge.json() == PASSED
        messages = [(BODY, headers_of()), (BODY + b" ", headers_of())]
        hook = f"{url}/hooks/one-runtime"
        answers = [await asyncio.to_thread(httpx2.post, hook, content=body, headers=sent) for body, sent in messages]
        assert [answer.status_code for answer in answers] == [204, 400]
        await browser_context.add_cookies([{"name": "user", "value": f"next-{new_id()}", "url": url}])
        await page.goto(f"{url}/settings")
        acme: Any = page.locator("[data-slug=acme]")
        await acme.get_by_role("button", name="Connect Acme CRM").click()
        await type_key(await find_popup(page), demo.acme_key)
        await expect(acme).to_contain_text(f"Connected to {GLOBEX}")
        await expect_closed(page)
