"""Python programs as processes that start in a tenth of the time: forks of a process with all imports done.

`ForkedProcess` is a `subprocess.Popen` for `[sys.executable, "-m", module, …]`, with its own process id, pipes, signals
and exit status. Importing One Runtime takes longer than most tests of its processes. Tests in tests/cli, tests/deploy
and tests/serving/test_server.py, and uvicorn's workers, still run the interpreter from its beginning.
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

PRELOADED: Final = (
    "alembic.command",
    "alembic.config",
    "one_runtime.cli",
    "one_runtime.demo.server",
    "one_runtime.serving.server",
    "tests.application",
)
"""Modules that programs of the tests have in common."""

_SET_CHILD_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_LARGEST_ORDER: Final = 1 << 17


class _ForkServer:
    """The process with all imports done. It ends when the socket is closed."""

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
        """Fork a child of this process that runs a module, and return its process id."""
        with self._lock:
            # The kernel makes an orphan of the fork server the child of its next ancestor that is a subreaper.
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
    """A process of `[sys.executable, "-m", module, …]`, forked where the system can do it."""

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
    """Return True for a module of this version on Linux: PYTHONPATH may name another version of One Runtime."""
    same_path = environment.get("PYTHONPATH", "") == os.environ.get("PYTHONPATH", "")
    return sys.platform == "linux" and list(args[:2]) == [sys.executable, "-m"] and same_path


def run(
    args: Sequence[str], env: Mapping[str, str] | None = None, *, cwd: Path | None = None, seconds: float | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a module until it ends, as `subprocess.run` does with captured text."""
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
    """Fork for each order. Return the order in the new process, and None in the server at its end."""
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
        os.waitpid(between, 0)  # from here on, the new process is an orphan
        orders.send(os.read(reading, 32))
        for descriptor in (*streams, reading, writing):
            os.close(descriptor)


def main() -> None:
    """Serve orders on the socket with the number in the first argument; run the module in each fork."""
    gc.freeze()
    order = _next_order(socket.socket(fileno=int(sys.argv[1])))
    if order is None:
        return
    # The old streams remember properties of the server's own files, such as whether they can seek.
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
