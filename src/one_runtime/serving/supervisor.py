"""Replace server processes (workers) that die. The loss of a worker never stops the other workers."""

import multiprocessing
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import Final

from uvicorn.supervisors import multiprocess

from one_runtime.errors import ConfigurationError
from one_runtime.serving.draining import DrainingConfig, DrainingServer
from one_runtime.serving.hangup import has_lost_terminal
from one_runtime.serving.reloading import report_refusal
from one_runtime.settings import load_settings
from one_runtime.telemetry import logs
from one_runtime.telemetry.logger import Logger

PATIENCE: Final = 60.0
"""Seconds in which a worker must answer the supervisor (parent process).

If a worker does not answer, the supervisor replaces the worker. uvicorn's default is 5 seconds. On a busy machine, a
worker can need more than 5 seconds to start.
"""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 15.0
"""Longest pause in seconds before the next start of a worker that cannot start. Each failure doubles the pause."""

STABLE: Final = 10.0
"""Seconds after which a ready worker counts as healthy. If this worker dies, its successor starts without a pause."""

log = Logger()


class Worker(multiprocess.Process):
    """A server process, or the place of a dead server process that the supervisor will replace."""

    config: DrainingConfig

    def __init__(self, config: DrainingConfig, sockets: list[socket.socket], failures: int = 0) -> None:
        super().__init__(config, sockets)
        self.failures = failures
        """Number of workers in a row that died in this place before they were healthy."""
        self._server: DrainingServer | None = None
        self.ready_at: float | None = None
        self.restart_at: float | None = None
        """Time of the next start in this place. None while the worker runs."""
        self._pinged_at: float | None = None

    @property
    def server(self) -> DrainingServer:
        """Return the server of the new process."""
        if self._server is None:
            self._server = DrainingServer(self.config)
        return self._server

    def start(self) -> None:
        """Start the process with SIGHUP blocked, because SIGHUP ends a process that does not handle it yet.

        The system passes the blocked signals on to the new process, and keeps a SIGHUP until the process unblocks it.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in the new process. If the parent process dies, stop gracefully.

        Raises: SystemExit with the sentence of a ConfigurationError, for example after a change of a secret file.
        """
        server = self.server  # created before the threads start, because uvicorn creates the server without a lock

        def stop_without_parent() -> None:
            parent = multiprocessing.parent_process()
            if parent is not None:
                parent.join()
                server.should_exit = True

        threading.Thread(target=stop_without_parent, daemon=True).start()
        try:
            super().target(sockets)
        except ConfigurationError as error:
            raise SystemExit(error.detail) from error

    def is_responding(self, now: float) -> bool:
        """Return False if the process is dead, or has not answered for `PATIENCE` seconds. Do not wait for an answer.

        uvicorn's own health check waits. Meanwhile, the supervisor could not replace other workers, and could not stop.
        """
        if not self.process.is_alive():
            return False
        try:
            while self.parent_conn.poll(0):
                is_ready: bool = self.parent_conn.recv()
                self._pinged_at = None
                if is_ready and self.ready_at is None:
                    self.ready_at = now
                    log.info("worker_ready", process_id=self.pid)
            if self._pinged_at is None:
                self.parent_conn.send(b"ping")
                self._pinged_at = now
        except (OSError, EOFError):  # the process has died since `is_alive`
            return False
        return now < self._pinged_at + PATIENCE

    def schedule_restart(self, now: float) -> float:
        """Set the time of the next start. Return the pause in seconds until then."""
        if self.ready_at is not None and now >= self.ready_at + STABLE:
            self.failures, pause, self.ready_at = 0, 0.0, None  # only the first attempt has no pause
        else:
            pause = min(FIRST_PAUSE * 2.0**self.failures, LONGEST_PAUSE)
            self.failures += 1
        self.restart_at = now + pause
        return pause


class Supervisor(multiprocess.Multiprocess):
    """uvicorn's parent process of all workers, which keeps trying to replace workers.

    uvicorn's own class stops all workers if one worker cannot start, for example because the database is unavailable.
    """

    processes: list[Worker]  # type: ignore[assignment] # `_start_worker` and `multiprocess.Process` create workers

    config: DrainingConfig

    def __init__(self, config: DrainingConfig, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        multiprocess.Process = Worker  # type: ignore[misc, assignment] # uvicorn has no option for the class
        self._has_served = False
        self._cannot_start = False

    def run(self) -> None:
        """Run the workers until a signal arrives.

        Raises: ConfigurationError if a worker cannot start before any worker has served.
        """
        try:
            super().run()
        except BaseException:
            self.terminate_all()
            self.join_all()
            raise
        if self._cannot_start:
            raise ConfigurationError(
                "A server process could not start. The log lines above contain the reason. "
                "Remove the reason, and start the server again."
            )

    def handle_hup(self) -> None:
        """Reload the settings of all workers, and the log level of this process. uvicorn would replace the workers."""
        if has_lost_terminal():
            self.should_exit.set()
            return
        try:
            settings = load_settings()
        except ConfigurationError as error:
            report_refusal(error)
            return
        logs.configure(settings.log_level, settings.log_format)
        for worker in self.processes:
            if worker.restart_at is None and worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGHUP)

    def terminate_all(self) -> None:
        """Stop all workers. Only the workers keep the listener open, until they have drained."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Look for dead workers, and start new workers whose time has come. uvicorn calls this twice a second."""
        now = time.monotonic()
        for index, worker in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if worker.restart_at is not None:
                if now >= worker.restart_at:
                    self._replace(index, now)
            elif worker.is_responding(now):
                self._has_served = self._has_served or worker.ready_at is not None
            else:
                self._bury(worker, now)

    def _bury(self, worker: Worker, now: float) -> None:
        worker.kill()  # the worker can hang
        worker.join()
        if not self._has_served and (worker.exitcode or 0) > 0:  # a signal has a negative number
            self._cannot_start = True
            self.should_exit.set()
            return
        pause = worker.schedule_restart(now)
        log.warning("worker_died", process_id=worker.pid, exit_status=worker.exitcode, restart_in_seconds=pause)

    def _replace(self, index: int, now: float) -> None:
        dead = self.processes[index]
        try:
            worker = Worker(self.config, self.sockets, dead.failures)
            worker.start()
        except OSError as error:  # the system has no memory, process or file descriptor left
            pause = dead.schedule_restart(now)
            log.warning("worker_not_started", reason=type(error).__name__, restart_in_seconds=pause)
            return
        self.processes[index] = worker
