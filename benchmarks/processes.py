"""Server processes of the measurements: start them, send requests, read their memory, stop them."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.rows import Target
from tests.ports import free_port

ROOT: Final = Path(__file__).resolve().parent.parent
PATIENCE: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Server:
    """One Runtime in a separate process."""

    command: list[str]
    database_url: str
    encryption_key: str
    port: int = field(default_factory=free_port)
    environment: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start the process without waiting for a response."""
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=self._environment())

    def _environment(self) -> Mapping[str, str]:
        theirs = {name: value for name, value in os.environ.items() if not name.startswith("ONE_RUNTIME_")}
        return theirs | {
            "ONE_RUNTIME_PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "ONE_RUNTIME_LISTEN": f"127.0.0.1:{self.port}",
            "ONE_RUNTIME_DATABASE_URL": self.database_url,
            "ONE_RUNTIME_ENCRYPTION_KEYS": self.encryption_key,
            "ONE_RUNTIME_RATE_LIMIT": "0",
            "ONE_RUNTIME_LOG_LEVEL": "warning",
            **self.environment,
        }

    def wait_for(self, target: Target) -> None:
        """Wait until the server returns a list.

        Raises: TimeoutError; RuntimeError if the process ended or the server answered with an error.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError("The server ended before it answered.")
            try:
                status, _ = self.get(target)
            except ConnectionError:
                time.sleep(0.002)
            else:
                if status == 200:
                    return
                raise RuntimeError(f"The server answered {status}.")
        raise TimeoutError("The server did not answer.")

    def get(self, target: Target, options: str = "") -> tuple[int, str]:
        """Request one list. Return the status and the `ETag`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            path = f"/v1/integrations?end_user_id={target.end_user_id}{options}"
            connection.request("GET", path, headers={"Authorization": f"Bearer {target.token}"})
            response = connection.getresponse()
            response.read()
            return response.status, response.getheader("etag", "")
        finally:
            connection.close()

    def cpu_seconds(self) -> float:
        """Return the user and system CPU time of the process and its workers."""
        workers = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text(encoding="ascii").split()
        return sum(_cpu_seconds(pid) for pid in (self._pid, *map(int, workers)))

    def resident_megabytes(self) -> float:
        """Return the resident memory (RSS) of the process."""
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii")
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return int(kilobytes) / 1024

    @property
    def _pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self) -> None:
        """Stop the process with SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=PATIENCE)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def measured_server(database_url: str, encryption_key: str) -> Server:
    """Return a server that also serves the limit."""
    return Server([sys.executable, "-m", "benchmarks.server"], database_url, encryption_key)


def served(database_url: str, encryption_key: str) -> Server:
    """Return a server that starts with `one-runtime serve`."""
    return Server([str(Path(sys.executable).with_name("one-runtime")), "serve"], database_url, encryption_key)
