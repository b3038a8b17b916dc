"""Python programs as forked processes, which start in a tenth of the time. The forking process has done all imports.

`ForkedProcess` is a `subprocess.Popen` for `[sys.executable, "-m", module, …]`. It has its own process id, pipes,
signals and exit status. Most tests of a process take less time than the imports of One Runtime. Uvicorn's workers and
the tests in tests/cli, tests/deploy and tests/serving/test_server.py do not use this module.
"""

import atexit
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]

COMMANDS: Final = tuple(
    f"one_runtime.cli.{path.stem}" for path in sorted((ROOT / "src/one_runtime/cli").glob("[a-z]*.py"))
)
"""The modules of the commands. Without a fork server, each command imports its module when it runs."""

PRELOADED: Final = (
    "alembic.command",
    "alembic.config",
    "one_runtime.cli",
    *COMMANDS,
    "one_runtime.db.access",
    "one_runtime.db.postgres",
    "one_runtime.demo.server",
    "one_runtime.serving.server",
    "tests.application",
)
"""Modules that most programs of the tests import."""

_SET_CHILD_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_LARGEST_ORDER: Final = 1 << 17


class _ForkServer:
    """The process that forks. It has done all imports, and ends when the socket is closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._stop)

    def fork(self, order: dict[str, Any], streams: Sequence[int]) -> int:
        """Let the fork server start a process that runs a module. Return the new process's id.

        The new process becomes a child of this process.
        """
        with self._lock:
            # The new process is an orphan of the fork server. As a subreaper, this process becomes its parent.
            _set_subreaper(enabled=True)
            try:
                socket.send_fds(self._socket, [json.dumps(order).encode()], streams)
                answer = self._socket.recv(32)
            finally:
                _set_subreaper(enabled=False)
        if not answer:
            raise RuntimeError("The fork server has ended: its error is on standard error.")
        return int(answer)

    def _stop(self) -> None:
        self._socket.close()
        self._process.wait()


@functools.cache
def _fork_server() -> _ForkServer:
    return _ForkServer()


def _set_subreaper(*, enabled: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, int(enabled), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class ForkedProcess(subprocess.Popen[Any]):
    """A process of `[sys.executable, "-m", module, …]`. It is a fork if the system allows this."""

    def _execute_child(self, args: Sequence[str], *rest: Any) -> None:
        _executable, _preexec, _close_fds, _pass_fds, cwd, env, _startup, _flags, _shell, *pipes = rest
        environment = os.environ if env is None else env
        if not _can_fork(args, environment):
            super()._execute_child(args, *rest)  # type: ignore[misc] # typeshed omits what is private
            return
        child_stdin, _, _, child_stdout, _, child_stderr = pipes[:6]
        order = {
            "module": args[2],
            "argv": list(args[2:]),
            "environment": {name: os.fspath(value) for name, value in environment.items()},
            "folder": os.fspath(cwd or Path.cwd()),
        }
        inherited = zip((child_stdin, child_stdout, child_stderr), (0, 1, 2), strict=True)
        self.pid = _fork_server().fork(order, [stream if pipe == -1 else pipe for pipe, stream in inherited])
        self._child_created = True
        self._close_pipe_fds(*pipes[:6])  # type: ignore[attr-defined] # as above


def _can_fork(args: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return True if a fork can run the command. This needs Linux, a module, and an unchanged `PYTHONPATH`.

    Another `PYTHONPATH` can name another version of One Runtime than the version that the fork server imported.
    """
    same_path = environment.get("PYTHONPATH", "") == os.environ.get("PYTHONPATH", "")
    return sys.platform == "linux" and list(args[:2]) == [sys.executable, "-m"] and same_path


def run(
    args: Sequence[str], env: Mapping[str, str] | None = None, *, cwd: Path | None = None, seconds: float | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a module until it ends, like `subprocess.run` with `capture_output` and `text`."""
    with ForkedProcess(
        args, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(args, process.returncode, out, err)


def _next_order(orders: socket.socket) -> dict[str, Any] | None:
    """Fork for each order. Return the order in the new process. In the fork server, return None at the socket's end."""
    while True:
        data, streams, _, _ = socket.recv_fds(orders, _LARGEST_ORDER, 3)
        if not data:
            return None
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child:
                os.write(writing, str(child).encode())
                os._exit(0)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            for descriptor in (*streams, reading, writing):
                os.close(descriptor)
            orders.close()
            order: dict[str, Any] = json.loads(data)
            return order
        os.waitpid(between, 0)  # after this, the new process is an orphan
        orders.send(os.read(reading, 32))
        for descriptor in (*streams, reading, writing):
            os.close(descriptor)


def main() -> None:
    """Receive orders from a socket, and run a module for each order. The first argument is the socket's number."""
    gc.freeze()
    order = _next_order(socket.socket(fileno=int(sys.argv[1])))
    if order is None:
        return
    # The old stream objects describe the files of the fork server. For example, they store if the file is seekable.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = order["argv"]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    main()
