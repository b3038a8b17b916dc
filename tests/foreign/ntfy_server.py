"""Debian's ntfy as a foreign process: `python -m tests.foreign.ntfy_server PROGRAM FOLDER`.

Only one user has access. The start-up line has its name and password.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx2

from tests.ports import free_port
from tests.waiting import attempts

USER: Final = "ada"
PASSWORD: Final = "correct-horse"
TOPICS: Final = "orders*"


def main(program: str, folder: Path) -> None:
    url, file = f"http://127.0.0.1:{(port := free_port())}", folder / "server.yml"
    settings = {
        "base-url": url,
        "listen-http": f"127.0.0.1:{port}",
        "cache-file": str(folder / "cache.db"),
        "auth-file": str(folder / "auth.db"),
        "auth-default-access": "deny-all",
        "attachment-cache-dir": str(folder / "attachments"),
        "visitor-request-limit-burst": 100_000,
        "visitor-message-daily-limit": 100_000,
    }
    file.write_text(json.dumps(settings))  # JSON is valid YAML
    with subprocess.Popen([program, "serve", "--config", file], stdout=sys.stderr, stderr=sys.stderr) as server:
        try:
            for _ in attempts(20):
                assert server.poll() is None, "it has ended"
                if is_up(url):
                    break
            environment = {"NTFY_PASSWORD": PASSWORD, "PATH": os.environ["PATH"]}
            add = [program, "user", "--config", str(file), "add", "--role=user", USER]
            subprocess.run(add, env=environment, stdout=sys.stderr, check=True)
            allow = [program, "access", "--config", str(file), USER, TOPICS, "rw"]
            subprocess.run(allow, env=environment, stdout=sys.stderr, check=True)
            print(json.dumps({"url": url, "username": USER, "password": PASSWORD}), flush=True)  # noqa: T201
            sys.stdin.read()
        finally:
            server.kill()


def is_up(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/v1/health").status_code == 200
    except httpx2.TransportError:
        return False


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
