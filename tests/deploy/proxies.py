"""nginx and Caddy with the files of `deploy/`, with changed names, certificates, paths and ports."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from annotated_types import Le

from one_runtime.settings import Settings
from tests.documentation import ROOT
from tests.ports import free_port
from tests.programs import program
from tests.waiting import attempts

Kind: TypeAlias = Literal["nginx", "caddy"]

DEPLOY: Final = ROOT / "deploy"
NGINX: Final = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
KINDS: Final[tuple[Kind, ...]] = ("nginx", "caddy")
_NAME: Final = "connect.example.com"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy at an https address of localhost."""

    kind: Kind
    url: str
    folder: Path

    def logs(self) -> bytes:
        """Return access log, error log and standard error of the proxy."""
        return b"\n".join(path.read_bytes() for path in sorted((self.folder / "log").iterdir()))


def changed(text: str, changes: dict[str, str]) -> str:
    """Return the text with each part replaced. Each part must occur."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the configuration any more"
        text = text.replace(old, new)
    return text


def nginx_command(folder: Path, port: int, server: str, extra: str = "", text: str = NGINX) -> list[str]:
    """Return the command for our file in an `http` block; `extra` are lines of an operator.

    `text`: the file, possibly with an operator's changes.
    """
    certificate = folder / "certificate.pem"
    site = changed(
        text,
        {
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "    listen [::]:80;\n": "",
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "    listen [::]:443 ssl;\n": "",
            f"/etc/letsencrypt/live/{_NAME}/fullchain.pem": str(certificate),
            f"/etc/letsencrypt/live/{_NAME}/privkey.pem": str(certificate),
            _NAME: "localhost",
            "127.0.0.1:8000": server,
            "/var/log/nginx/": f"{folder}/log/",
            "gzip off;": f"gzip off;\n    {extra}",
        },
    )
    (folder / "site.conf").write_text(site)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    whole = folder / "nginx.conf"
    whole.write_text(
        f"{user}\ndaemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/log/error.log info;\n"
        f"events {{}}\nhttp {{\n{temporary}\ninclude {folder}/site.conf;\n}}\n"
    )
    return [program("nginx"), "-e", f"{folder}/log/start.log", "-p", str(folder), "-c", str(whole)]


def caddy_command(folder: Path, port: int, server: str, extra: str = "") -> list[str]:
    """Return the command for our file, with a test certificate instead of a certificate from an ACME server.

    Several servers are separated by spaces. For these, the function also removes the # as the file's comment says.
    """
    text = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    certificate = folder / "certificate.pem"
    site = changed(
        text,
        {
            "\n{\n": f"\n{{\n\tadmin 127.0.0.1:{free_port()}\n\tauto_https disable_redirects\n",
            f"{_NAME} {{": f"https://localhost:{port} {{\n\ttls {certificate} {certificate}\n\t{extra}",
            "127.0.0.1:8000": server,
            "/var/log/caddy/": f"{folder}/log/",
        },
    )
    if " " in server:
        site = changed(
            site, {f"\t#{name}": f"\t{name}" for name in ("health_uri", "health_interval", "lb_try_duration")}
        )
    (folder / "Caddyfile").write_text(site)
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def reload_caddy(proxy: Proxy) -> None:
    """Load Caddy's configuration again, as an operator does after a change.

    Caddy's command can fail if Caddy dies. Tests find this failure in Caddy's log, and in the responses.
    """
    command = [program("caddy"), "reload", "--force", "--adapter", "caddyfile", "--config"]
    subprocess.run([*command, str(proxy.folder / "Caddyfile")], env={"HOME": str(proxy.folder)}, check=False)


@contextmanager
def proxying(kind: Kind, folder: Path, server: str, port: int, extra: str = "") -> Iterator[Proxy]:
    """Run a proxy in front of the server at `host:port`. The folder must have `certificate.pem`."""
    (folder / "log").mkdir()
    make = nginx_command if kind == "nginx" else caddy_command
    with _running(kind, folder, make(folder, port, server, extra), port) as proxy:
        yield proxy


@contextmanager
def changed_nginx(folder: Path, server: str, port: int, changes: dict[str, str]) -> Iterator[Proxy]:
    """Run nginx with an operator's changes of our file."""
    (folder / "log").mkdir()
    command = nginx_command(folder, port, server, text=changed(NGINX, changes))
    with _running("nginx", folder, command, port) as proxy:
        yield proxy


@contextmanager
def _running(kind: Kind, folder: Path, command: list[str], port: int) -> Iterator[Proxy]:
    home = {
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "PATH": os.environ["PATH"],
    }
    with (folder / "log" / "stderr.log").open("wb") as log:
        process = subprocess.Popen(command, env=home, stdout=log, stderr=log)
    try:
        for _ in attempts(20):
            assert process.poll() is None, (folder / "log" / "stderr.log").read_text()
            if _listens(port):
                break
        yield Proxy(kind, f"https://localhost:{port}", folder)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def seconds(text: str, directive: str) -> list[float]:
    """Return the values of a directive in seconds."""
    values = re.findall(rf"^\s*{directive} (\d+)s;?$", text, re.MULTILINE)
    assert values, f"there is no {directive}"
    return [float(value) for value in values]


def longest_drain() -> int:
    """Return the largest value of `ONE_RUNTIME_DRAIN_SECONDS`."""
    (limit,) = [limit.le for limit in Settings.model_fields["drain_seconds"].metadata if isinstance(limit, Le)]
    assert isinstance(limit, int)
    return limit
