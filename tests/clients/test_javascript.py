"""The JavaScript client against the real application: runs each file of clients/js/test in Node."""

import json
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from tests.application import ACME_KEYS, Application, RunningAcme, SetClock, catalog_with_acme, running
from tests.clients.conftest import CLIENTS, PACKAGES
from tests.clients.javascript import PACKAGE, TESTS, echo, run_tests
from tests.foreign.process import NODE, NODE_PROJECT
from tests.proxy.relay import relaying
from tests.redirects import RETURN_URL, connect_and_return, register

pytestmark = pytest.mark.only_database("sqlite")  # the client speaks HTTP: nothing here depends on the database

PROXIED: Final = frozenset({"deadline", "proxy"})
"""The files whose provider echoes the request."""


@dataclass(frozen=True, slots=True)
class Served:
    """The application on a port."""

    application: Application
    port: int


@pytest_asyncio.fixture
async def served(settings: Settings, acme: RunningAcme) -> AsyncIterator[Served]:
    """The application with Acme, on a port of loopback."""
    clock = SetClock()
    app = create_app(settings, catalog_with_acme(acme.url), clock=clock)
    async with running(app) as port:
        yield Served(Application(app, app.services.installation, clock, acme), port)


def environment(served: Served, key: str, **more: str) -> dict[str, str]:
    """The environment of every file of tests."""
    return {
        "ONE_RUNTIME_URL": f"http://127.0.0.1:{served.port}",
        "ONE_RUNTIME_KEY": key,
        "ONE_RUNTIME_READ_KEY": "",
        "ACME_URL": served.application.acme.url,
        "ACME_KEYS": ",".join(ACME_KEYS.values()),
        "BROUGHT_BACK": "[]",
        **more,
    }


@pytest.mark.slow
@pytest.mark.foreign
@pytest.mark.usefixtures("built_client")
@pytest.mark.parametrize("name", [name for name in TESTS if name not in PROXIED])
async def test_javascript_tests_pass_against_the_application(served: Served, name: str) -> None:
    application = served.application
    organization = await application.organization()
    key = await application.key(organization)
    client = application.client(key)
    await register(client, RETURN_URL)
    returns = [await connect_and_return(application, client) for _ in range(2)]
    more = {
        "ONE_RUNTIME_READ_KEY": await application.key(organization, "read"),
        "BROUGHT_BACK": json.dumps([{"sessionId": redirect.session_id, "code": redirect.code} for redirect in returns]),
    }
    await run_tests(name, environment(served, key, **more))


@pytest.mark.slow
@pytest.mark.foreign
@pytest.mark.usefixtures("built_client")
@pytest.mark.parametrize("name", sorted(PROXIED))
async def test_javascript_tests_of_the_proxy_pass(settings: Settings, acme: RunningAcme, name: str) -> None:
    async with relaying(settings, acme) as relay:
        relay.upstream.handler = echo
        await run_tests(name, environment(Served(relay.application, relay.port), relay.key))


@pytest.mark.foreign
def test_installed_package_has_the_built_files_and_no_dependencies(installed_client: Path) -> None:
    modules = installed_client / "node_modules"
    installed = modules / "@one-runtime" / "client"
    assert [path.name for path in modules.iterdir() if path.name[0] != "."] == ["@one-runtime"]
    sources = [path.relative_to(PACKAGE / "src").with_suffix("") for path in (PACKAGE / "src").rglob("*.ts")]
    built = {
        f"dist/{form}/{source.as_posix()}{suffix}"
        for form in ("esm", "cjs")
        for source in sources
        for suffix in (".js", ".d.ts")
    }
    files = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert files == built | {"LICENSE", "README.md", "package.json", "dist/cjs/package.json"}


@pytest.mark.foreign
@pytest.mark.parametrize(
    "program",
    [
        "import('@one-runtime/client').then(({ OneRuntime }) => console.log(OneRuntime.name))",
        "console.log(require('@one-runtime/client').OneRuntime.name)",
    ],
    ids=["module", "commonjs"],
)
def test_installed_package_is_loaded(installed_client: Path, program: str) -> None:
    command: list[str | Path] = [NODE, "--no-experimental-require-module", "--eval", program]
    loaded = subprocess.run(command, cwd=installed_client, capture_output=True, text=True, check=False)
    assert loaded.stdout == "OneRuntime\n", loaded.stderr


def test_package_sends_its_version() -> None:
    source = (PACKAGE / "src" / "version.ts").read_text(encoding="utf-8")
    assert f'"{json_of(PACKAGE / "package.json")["version"]}"' in source


def test_package_has_no_dependencies() -> None:
    package = json_of(PACKAGE / "package.json")
    assert package["type"] == "module"
    assert not {"dependencies", "optionalDependencies", "peerDependencies"} & package.keys()


@pytest.mark.parametrize("name", ["js", "react"])
def test_users_build_with_the_programs_of_the_tests(name: str) -> None:
    needed = json_of(CLIENTS / name / "package.json")["devDependencies"]
    locked = json_of(CLIENTS / name / "package-lock.json")["packages"]
    assert locked[""]["devDependencies"] == needed
    of_tests = json_of(NODE_PROJECT / "package-lock.json")["packages"]
    installed = {path: entry for path, entry in locked.items() if "integrity" in entry}
    assert len(installed) > 1
    for path, entry in installed.items():
        assert (entry["version"], entry["integrity"]) == (of_tests[path]["version"], of_tests[path]["integrity"])


@pytest.mark.parametrize("name", PACKAGES)
def test_readme_installs_the_tarball_of_this_version(name: str) -> None:
    package = json_of(CLIENTS / name / "package.json")
    tarball = f"./one-runtime-{package['name'].rpartition('/')[2]}-{package['version']}.tgz"
    assert tarball in (CLIENTS / name / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PACKAGES)
def test_package_is_complete_outside_of_this_repository(name: str) -> None:
    license_ = (CLIENTS / name / "LICENSE").read_text(encoding="utf-8")  # npm packs it whatever `files` says
    assert license_ == (CLIENTS.parent / "LICENSE").read_text(encoding="utf-8")
    readme = (CLIENTS / name / "README.md").read_text(encoding="utf-8")
    assert [link for link in re.findall(r"\]\((.*?)\)", readme) if not link.startswith(("https://", "#"))] == []


def json_of(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_says_which_node_and_typescript_it_needs(name: str) -> None:
    assert json_of(CLIENTS / name / "package.json")["engines"] == {"node": ">=20.3"}
    assert "TypeScript 5.0 or newer" in (CLIENTS / name / "README.md").read_text(encoding="utf-8")
