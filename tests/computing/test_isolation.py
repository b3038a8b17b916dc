"""Isolation of the processes that work with the data of callers, by attempts of native Python in such a process."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import uvloop

from one_runtime.agents.programs.sandbox import Sandbox
from one_runtime.computing import isolation
from tests.agents.programs.acme_host import AcmeHost

pytestmark = pytest.mark.promise("P13")

NOBODY: Final = 65534
ATTEMPTS: Final = """
import ctypes, os, resource, signal, socket, subprocess, sys, time, json
from pathlib import Path

def outcome(attempt):
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    except subprocess.SubprocessError as error:
        return type(error).__name__
    return "succeeded"

parent, folder, port, listener = os.getppid(), sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def ptrace():  # PTRACE_SEIZE, which does not stop the other process
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(0x4206, parent, 0, 0):
        raise OSError(ctypes.get_errno(), "ptrace")

def set_limit(process):  # to what it is
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    resource.prlimit(process, resource.RLIMIT_CORE, limit)

def share_memory():
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0, 4096, 0o600)
    if segment < 0:
        raise OSError(ctypes.get_errno(), "shmget")
    libc.shmctl(segment, 0, None)  # IPC_RMID

def leave_group():
    if child := os.fork():
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise PermissionError
    else:
        os._exit(outcome(os.setsid) != "succeeded" and outcome(lambda: os.setpgid(0, 0)) != "succeeded")

def connect():
    socket.create_connection(("127.0.0.1", port), timeout=5).close()

attempts = {
    "read": lambda: Path(folder, "secret").read_text(),
    "read passwords": lambda: Path("/etc/passwd").read_text(),
    "list": lambda: os.listdir(folder),
    "write": lambda: Path(folder, "written").write_text("x"),
    "delete": lambda: Path(folder, "secret").unlink(),
    "environment of the parent": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
    "memory of the parent": lambda: open(f"/proc/{parent}/mem", "rb").close(),
    "connect": connect,
    "listen": lambda: socket.socket().bind(("127.0.0.1", 0)),
    "socket of the system": lambda: socket.socket(socket.AF_UNIX).close(),
    "raw socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "inherited listener": lambda: os.fstat(listener),
    "signal": lambda: os.kill(parent, signal.SIGCONT),
    "ptrace": ptrace,
    "limits of the parent": lambda: set_limit(parent),
    "processors of the parent": lambda: os.sched_setaffinity(parent, os.sched_getaffinity(parent)),
    "scheduling of the parent": lambda: os.sched_setparam(parent, os.sched_getparam(parent)),
    "priority of the parent": lambda: os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent)),
    "memory that stays": share_memory,
    "file in memory": lambda: os.close(os.memfd_create("x")),
    "group of processes": leave_group,
}
isolated = sys.argv[4] == "yes"
if isolated:
    from one_runtime.computing import isolation
    isolation.close_inherited_files()
    isolation.isolate()
outcomes = {name: outcome(attempt) for name, attempt in attempts.items()}
outcomes["own limits"] = outcome(lambda: set_limit(0))
outcomes["own processors"] = outcome(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))
outcomes["own signal"] = outcome(lambda: os.kill(os.getpid(), signal.SIGCONT))
outcomes["program"] = outcome(lambda: subprocess.run([sys.executable, "-c", ""], check=True))
outcomes["reads of a child"] = outcome(lambda: subprocess.run([sys.executable, "-c", "open('/etc/passwd')"], check=True,
                                                              stderr=subprocess.DEVNULL))
print(json.dumps(outcomes))
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        yield listener


def attempted(folder: Path, listener: socket.socket, *, isolated: bool) -> dict[str, str]:
    """Return the outcomes of the attempts in a new process that has inherited the listener."""
    (folder / "secret").write_text("the secret", encoding="ascii")
    arguments = [str(folder), str(listener.getsockname()[1]), str(listener.fileno()), "yes" if isolated else "no"]
    ran = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, *arguments],
        capture_output=True,
        close_fds=False,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    outcomes: dict[str, str] = json.loads(ran.stdout)
    return outcomes


def test_isolated_process_reaches_neither_files_nor_network_nor_other_processes(
    tmp_path: Path, listener: socket.socket
) -> None:
    outcomes = attempted(tmp_path, listener, isolated=True)
    succeeded = {name for name, outcome in outcomes.items() if outcome == "succeeded"}
    assert succeeded - beyond_this_kernel() == {"own signal", "own limits", "own processors", "program"}, outcomes
    assert (tmp_path / "secret").exists() is ("delete" not in succeeded)


def beyond_this_kernel() -> set[str]:
    """Return the attempts against which this kernel has no means: Debian 12, for example, cannot limit signals."""
    version = isolation.landlock_version()
    of_files = {"read", "read passwords", "list", "write", "delete", "reads of a child"}
    of_processes = {"environment of the parent", "memory of the parent"}
    return (of_files | of_processes if version < 1 else set()) | ({"signal"} if version < 6 else set())


def test_ordinary_process_reaches_all_of_it(tmp_path: Path, listener: socket.socket) -> None:
    outcomes = attempted(tmp_path, listener, isolated=False)
    assert {name for name, outcome in outcomes.items() if outcome != "succeeded"} <= {"ptrace"}, outcomes


def test_processes_of_programs_and_their_interpreter_are_isolated(listener: socket.socket) -> None:
    """With uvloop, which does not close inherited files in a new process."""

    async def examine() -> list[Path]:
        sandbox = Sandbox(size=1)
        try:
            await sandbox.run("1", AcmeHost())
            [worker] = sandbox.pool.processes
            processes = [Path(f"/proc/{pid}") for pid in (worker.pid, *children(worker.pid))]
            for process in processes:
                status = (process / "status").read_text(encoding="ascii")
                assert "NoNewPrivs:\t1" in status
                assert "Seccomp:\t2" in status
                links = {str(link.readlink()) for link in (process / "fd").iterdir()}
                assert f"socket:[{os.fstat(listener.fileno()).st_ino}]" not in links
            return processes
        finally:
            await sandbox.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert len(runner.run(examine())) == 2


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


HIDDEN: Final = """
import ctypes, os
if os.getuid() == 0:
    os.setgid({nobody})
    os.setuid({nobody})
    ctypes.CDLL(None).prctl(4, 1)  # a change of the user hides the memory, too, until the next program
{hide}
if child := os.fork():
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    open(f"/proc/{{os.getppid()}}/environ").read()
except PermissionError:
    os._exit(13)
os._exit(0)
"""


def test_environment_of_the_server_is_hidden_from_other_processes_of_its_user() -> None:
    hide = "isolation.hide_memory()"
    codes = []
    for script in (HIDDEN.format(nobody=NOBODY, hide=hide), HIDDEN.format(nobody=NOBODY, hide="")):
        code = f"from one_runtime.computing import isolation\n{script}"
        codes.append(subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode)
    assert codes == [13, 0]


@pytest.mark.parametrize("start", ["serve(settings, migrate_first=False)", "served_app()"])
def test_server_hides_its_memory_before_it_reads_the_keys(start: str) -> None:
    script = f"""
import ctypes
from one_runtime.errors import ConfigurationError
from one_runtime.serving.server import serve, served_app
from one_runtime.settings import Settings
settings = Settings.model_construct(database_url=None)
try:
    {start}
except (ConfigurationError, AttributeError):
    print(ctypes.CDLL(None).prctl(3))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={}, timeout=60)
    assert ran.stdout.splitlines()[-1] == "0"
