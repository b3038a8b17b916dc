"""Two PostgreSQL servers under Patroni, with etcd and HAProxy, from `deploy/patroni.yaml` and `deploy/haproxy.cfg`.

Each PostgreSQL server runs with its Patroni in a process namespace. A signal to the first process of the namespace
ends all of them at the same moment, like the loss of a machine.
"""

import asyncio
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import httpx2
import psycopg
import yaml

from tests.documentation import ROOT
from tests.operating.backups import tool
from tests.ports import free_port
from tests.programs import environment, program
from tests.waiting import async_attempts, attempts

Role: TypeAlias = Literal["leader", "sync_standby"]

_DEPLOY: Final = ROOT / "deploy"
_PATRONI: Final = ROOT / ".cache" / "patroni" / "bin" / "patroni"
_NAMES: Final = ("postgres-1", "postgres-2")
_PASSWORD: Final = "only-for-this-drill"


@dataclass
class Node:
    """A PostgreSQL server and its Patroni. `port` is PostgreSQL's, `api` is the address of Patroni's REST API."""

    name: str
    folder: Path
    port: int
    api_port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def log_file(self) -> Path:
        return self.folder / "patroni.log"

    def configure(self, etcd_port: int) -> None:
        """Write the configuration: the file of `deploy/` with the paths, ports and passwords of this drill."""
        written: dict[str, Any] = yaml.safe_load((_DEPLOY / "patroni.yaml").read_text(encoding="utf-8"))
        address = f"127.0.0.1:{self.api_port}"
        written |= {
            "name": self.name,
            "restapi": {"listen": address, "connect_address": address},
            "etcd3": {"hosts": [f"127.0.0.1:{etcd_port}"]},
        }
        # The data of this drill has to survive only the death of processes.
        written["bootstrap"]["dcs"]["postgresql"]["parameters"] |= {"fsync": "off", "unix_socket_directories": ""}
        written["bootstrap"]["initdb"] += [
            {"locale": "C"},
            {"locale-provider": "builtin"},
            {"builtin-locale": "C.UTF-8"},
        ]
        server = written["postgresql"]
        server |= {
            "listen": f"127.0.0.1:{self.port}",
            "connect_address": f"127.0.0.1:{self.port}",
            "data_dir": str(self.folder / "data"),
            "bin_dir": str(Path(tool("postgres")).parent),
            "pgpass": str(self.folder / "pgpass"),
            "pg_hba": [line.replace("10.0.0.0/24", "127.0.0.1/32") for line in server["pg_hba"]],
        }
        for account in server["authentication"].values():
            account["password"] = _PASSWORD
        (self.folder / "patroni.yaml").write_text(yaml.safe_dump(written))

    def start(self) -> None:
        """Start Patroni, which starts PostgreSQL. Like a machine that boots, it finds no process of an earlier time."""
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*_in_process_namespace(), str(_PATRONI), str(self.folder / "patroni.yaml")],
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill Patroni, PostgreSQL and all its processes at once, like the loss of the machine."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """End all processes of this node, if they run."""
        if self.process is not None:
            self.kill()

    def has_role(self, role: Role) -> bool:
        """Ask Patroni for the role of this server."""
        path = {"leader": "primary", "sync_standby": "sync"}[role]
        try:
            return httpx2.get(f"{self.api}/{path}", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False


@dataclass
class Cluster:
    """Two servers. `proxied_url`: the database by way of HAProxy. `several_hosts_url`: the same with both addresses."""

    nodes: list[Node]
    proxy_port: int
    log_files: list[Path] = field(default_factory=list)

    @property
    def proxied_url(self) -> str:
        return self._url(f"127.0.0.1:{self.proxy_port}")

    @property
    def several_hosts_url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"{self._url(hosts)}?target_session_attrs=read-write"

    @staticmethod
    def _url(hosts: str, database: str = "one_runtime") -> str:
        return f"postgresql://postgres:{_PASSWORD}@{hosts}/{database}"

    def with_role(self, role: Role) -> Node | None:
        return next((node for node in self.nodes if node.process is not None and node.has_role(role)), None)

    async def until_synchronous(self) -> tuple[Node, Node]:
        """Wait until one server is the primary, and the other one a synchronous standby. Return both."""
        async for _ in async_attempts(120):
            primary = await asyncio.to_thread(self.with_role, "leader")
            standby = await asyncio.to_thread(self.with_role, "sync_standby")
            if primary is not None and standby is not None:
                return primary, standby
        raise AssertionError("unreachable: the attempts end with TimeoutError")

    async def switch_over(self, primary: Node, standby: Node) -> None:
        """Make the standby the primary, as an operator does before maintenance."""
        async with httpx2.AsyncClient(base_url=primary.api, timeout=60) as http:
            response = await http.post("/switchover", json={"leader": primary.name, "candidate": standby.name})
            assert response.status_code == 200, response.text

    def logs(self) -> str:
        return "\n".join(f"{path}:\n{path.read_text(errors='replace')[-20_000:]}" for path in self.log_files)

    def create_database(self) -> None:
        with psycopg.connect(self._url(f"127.0.0.1:{self.proxy_port}", "postgres"), autocommit=True) as admin:
            admin.execute("CREATE DATABASE one_runtime")


def _in_process_namespace() -> Sequence[str]:
    """Return the prefix of a command that runs in a process namespace. The end of the command ends all processes in it.

    PostgreSQL refuses to run as root, so the processes of root run as the user `nobody`. They keep one right of root,
    because only root may read the files of the tests' Python and PostgreSQL.
    """
    namespace = ["unshare", "--pid", "--fork", "--mount-proc"]
    if os.geteuid() != 0:
        namespace += ["--user", "--map-current-user"]
        return ["setpriv", "--pdeathsig", "KILL", *namespace, "setpriv", "--pdeathsig", "KILL"]
    rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    user = ["--reuid=nobody", f"--regid={pwd.getpwnam('nobody').pw_gid}", "--clear-groups", *rights]
    return ["setpriv", "--pdeathsig", "KILL", *namespace, "setpriv", *user, "--pdeathsig", "KILL"]


@contextmanager
def _running(name: str, folder: Path, *arguments: str) -> Iterator[Path]:
    """Run a program of Debian until the block ends. Yield its log file."""
    log_file = folder / f"{name}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", program(name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment(name)},
            start_new_session=True,
        )
    try:
        yield log_file
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run a cluster with an empty database until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="one-runtime-cluster-"))
    folder.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        etcd_port = free_port()
        logs = [stack.enter_context(_running("etcd", folder, *_etcd_arguments(folder, etcd_port)))]
        nodes = [Node(name, folder / name, free_port(), free_port()) for name in _NAMES]
        for node in nodes:
            node.folder.mkdir(mode=0o700)
            node.configure(etcd_port)
            if os.geteuid() == 0:
                shutil.chown(node.folder, "nobody")
            logs.append(node.log_file)
            stack.callback(node.stop)
            node.start()
        created = Cluster(nodes, free_port(), logs)
        (folder / "haproxy.cfg").write_text(_haproxy_file(created))
        logs.append(stack.enter_context(_running("haproxy", folder, "-db", "-f", str(folder / "haproxy.cfg"))))
        _wait_for_proxy(created)
        created.create_database()
        yield created


def _etcd_arguments(folder: Path, port: int) -> list[str]:
    address, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    return [
        f"--data-dir={folder}/etcd",
        "--unsafe-no-fsync",
        f"--listen-client-urls={address}",
        f"--advertise-client-urls={address}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def _haproxy_file(running: Cluster) -> str:
    """Return the file of `deploy/` with the ports of this drill."""
    text = (_DEPLOY / "haproxy.cfg").read_text(encoding="utf-8")
    ports = {"bind 127.0.0.1:5000": f"bind 127.0.0.1:{running.proxy_port}"}
    for number, node in enumerate(running.nodes, 1):
        server = f"10.0.0.{number}:5432 check port 8008"
        ports[server] = f"127.0.0.1:{node.port} check port {node.api_port}"
    for old, new in ports.items():
        assert old in text, f"{old!r} is not in deploy/haproxy.cfg any more"
        text = text.replace(old, new)
    assert not re.search(r"10\.0\.0\.", text)
    return text


def _wait_for_proxy(running: Cluster) -> None:
    try:
        for _ in attempts(120):
            try:
                psycopg.connect(Cluster._url(f"127.0.0.1:{running.proxy_port}", "postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                continue
            return
    except TimeoutError as error:
        raise RuntimeError(f"The cluster did not start:\n{running.logs()}") from error
