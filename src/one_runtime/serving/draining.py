"""Stop a server process without losing requests that a reverse proxy or a load balancer has already sent.

After SIGHUP, the process reloads its settings (`reloading.py`), and continues to serve.

After SIGTERM, the process first drains: `/readyz` answers 503, and every response closes its connection. Meanwhile, the
process continues to serve. After the delay, the process closes its listener and finishes the running requests.
"""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import uvicorn

from one_runtime.api.system import STOPPING
from one_runtime.serving.hangup import has_lost_terminal
from one_runtime.serving.http_protocol import HttpProtocol
from one_runtime.serving.reloading import RELOAD

LAST_HEADS: Final = 1.0
"""Seconds for which a process without a listener waits for the first requests of connections that it has accepted."""

_CLOSE: Final = (b"connection", b"close")


class DrainingConfig(uvicorn.Config):
    """uvicorn's settings, and the time between SIGTERM and the close of the listener."""

    def __init__(self, *args: Any, drain_seconds: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.drain_seconds = drain_seconds


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which drains after SIGTERM. After SIGINT (Ctrl-C), the server stops at once."""

    config: DrainingConfig

    def __init__(self, config: DrainingConfig) -> None:
        super().__init__(config)
        self._drained_at: float | None = None
        self._must_reload = False
        self._reload: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGHUP too. The supervisor starts its workers with SIGHUP blocked, so that it waits until now."""
        if threading.current_thread() is not threading.main_thread():  # as in uvicorn
            with super().capture_signals():
                yield
            return
        before = signal.signal(signal.SIGHUP, self._handle_hangup)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        try:
            with super().capture_signals():
                yield
        finally:
            signal.signal(signal.SIGHUP, before)

    def _handle_hangup(self, _number: int, _frame: FrameType | None) -> None:
        if has_lost_terminal():
            signal.raise_signal(signal.SIGTERM)
        else:
            self._must_reload = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to drain at the first SIGTERM. Any other signal ends the drain."""
        drains = sig == signal.SIGTERM and not self.should_exit
        self._drained_at = time.monotonic() + self.config.drain_seconds if drains else None
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Return True if the server must close its listener. uvicorn calls this ten times a second."""
        if self._must_reload and (self._reload is None or self._reload.done()):
            self._must_reload = False
            self._reload = asyncio.create_task(self.lifespan.state[RELOAD]())
        if not await super().on_tick(counter):
            return False
        self._report_stopping()
        return self._drained_at is None or time.monotonic() >= self._drained_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, and answer all requests of accepted connections."""
        self._report_stopping()
        await self._stop_listening(sockets or [])
        end = time.monotonic() + LAST_HEADS
        await asyncio.sleep(0.01)
        while HttpProtocol.awaits_head() and time.monotonic() < end:  # noqa: ASYNC110 - uvicorn has no such event
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    def _report_stopping(self) -> None:
        self.lifespan.state[STOPPING] = True
        if _CLOSE not in self.config.encoded_headers:
            self.config.encoded_headers.append(_CLOSE)
            self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Accept the connections that wait in the kernel, and close the listener, which would reset them otherwise."""
        listeners = [
            socket.socket(fileno=os.dup(listener.fileno())) for server in self.servers for listener in server.sockets
        ]
        for server in self.servers:
            server.close()
        for listener in sockets:
            listener.close()
        for _ in range(2):
            await asyncio.sleep(0)  # uvloop closes the listener in the next iteration of the event loop
        waiting = [connection for listener in listeners for connection in _accept_all(listener)]
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._create_protocol, connection)

    def _create_protocol(self) -> asyncio.Protocol:
        """Return the protocol of a connection, as in uvicorn's `startup`."""
        return HttpProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def _accept_all(listener: socket.socket) -> list[socket.socket]:
    """Accept all waiting connections, and close the listener at once."""
    accepted = []
    with listener:
        listener.setblocking(False)
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # no connection waits
                break
            connection.setblocking(False)
            accepted.append(connection)
    return accepted
