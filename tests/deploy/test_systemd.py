"""The systemd unit: the verdict of systemd, and the command with its environment."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from one_runtime import __version__
from one_runtime.context import Timing
from one_runtime.encryption.vault import new_key
from one_runtime.serving.server import GRACE
from one_runtime.settings import load_settings
from tests.deploy.proxies import DEPLOY, changed, longest_drain
from tests.ports import free_port
from tests.programs import environment, program
from tests.serving.test_server import is_ready
from tests.waiting import attempts

UNIT: Final = (DEPLOY / "one-runtime.service").read_text(encoding="utf-8")
SETTINGS: Final = (DEPLOY / "one-runtime.env").read_text(encoding="utf-8")
PROGRAM: Final = "/opt/one-runtime/.venv/bin/one-runtime"
MOST_EXPOSED: Final = 1.5
"""Exposure score of `systemd-analyze security`, of 10."""


def values(name: str) -> list[str]:
    """Return all values of a name in the unit."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def pairs(text: str) -> dict[str, str]:
    """Parse lines of NAME=value."""
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


KEY_RING = "%t/one-runtime/encryption-keys"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Create a folder in place of /etc/one-runtime."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o700)
    listen = f"127.0.0.1:{free_port()}"
    (folder / "one-runtime.env").write_text(changed(SETTINGS, {"127.0.0.1:8000": listen}))
    (folder / "encryption-keys").write_text(f"{new_key()}\n")
    (folder / "database-url").write_text(f"sqlite:///{tmp_path}/one-runtime.db\n")
    return folder


def started_with(etc: Path) -> dict[str, str]:
    """Return the environment that systemd creates: the file, then the unit.

    `%d` is the folder of the credentials, and `%t/one-runtime` the folder with the key ring.
    """
    environ = pairs((etc / "one-runtime.env").read_text())
    for value in values("Environment"):
        environ |= pairs(value.replace("%d", str(etc)).replace("%t/one-runtime", str(etc)))
    return environ


def analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run systemd-analyze."""
    command, variables = [program("systemd-analyze"), *words], environment("systemd-analyze")
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)


@pytest.mark.foreign
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "one-runtime.service"
    unit.write_text(changed(UNIT, {PROGRAM: sys.executable}))
    done = analyze("verify", "--man=no", str(unit))
    # systemd-analyze prints such a line for each symbolic link of an unpacked package.
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("Suspicious symlink ")]
    assert (done.returncode, complaints) == (0, [])


@pytest.mark.foreign
def test_systemd_rates_the_exposure_of_the_unit_as_low(tmp_path: Path) -> None:
    unit = tmp_path / "one-runtime.service"
    unit.write_text(UNIT)
    done = analyze("security", "--offline=true", "--no-pager", str(unit))
    exposure = re.search(r"Overall exposure level for one-runtime.service: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stdout + done.stderr
    assert float(exposure[1]) <= MOST_EXPOSED


def test_secrets_are_private_copies_and_absent_from_unit_and_settings() -> None:
    assert values("LoadCredential") == ["database-url:/etc/one-runtime/database-url"]
    read = [pairs(value) for value in values("Environment")]
    named = {path for credentials in read for path in credentials.values()}
    assert named == {"%d/database-url", KEY_RING}
    assert (values("RuntimeDirectory"), values("RuntimeDirectoryMode")) == (["one-runtime"], ["0700"])
    assert not {"ONE_RUNTIME_ENCRYPTION_KEYS", "ONE_RUNTIME_DATABASE_URL"} & pairs(SETTINGS).keys()


def test_reload_copies_the_key_ring_as_the_start_does_and_sends_sighup() -> None:
    copying, signalling = values("ExecReload")
    assert values("ExecStartPre") == [copying]
    executable, *words = shlex.split(copying)
    assert executable == "+/usr/bin/install", "root can read the key ring, and the server cannot"
    assert words == shlex.split(f"-o one-runtime -g one-runtime -m 400 /etc/one-runtime/encryption-keys {KEY_RING}")
    assert signalling == "/bin/kill -HUP $MAINPID", "the main process passes the signal on to the workers"


def test_stop_timeout_of_the_unit_covers_running_requests() -> None:
    (stop,) = values("TimeoutStopSec")
    assert int(stop) > longest_drain() + GRACE + Timing().request
    assert values("KillMode") == ["mixed"], "a signal to the workers too would end what they have in flight"


def test_server_writes_no_core_dump() -> None:
    assert values("LimitCORE") == ["0"], "a core dump would contain the key ring and credentials"


def test_unit_restarts_without_limit() -> None:
    assert values("Restart") == ["always"]
    assert values("StartLimitIntervalSec") == ["0"], "by itself systemd gives up after five starts"


def test_settings_of_the_unit_are_compatible(etc: Path) -> None:
    settings = load_settings(started_with(etc))
    assert settings.public_url == "https://connect.example.com"
    assert [str(network) for network in settings.trusted_proxies] == ["127.0.0.1/32"]


@pytest.mark.slow
def test_command_of_the_unit_serves_with_its_environment(etc: Path, tmp_path: Path) -> None:
    (line,) = values("ExecStart")
    command = [sys.executable, "-m", "one_runtime", *shlex.split(line)[1:]]
    assert shlex.split(line)[0] == PROGRAM
    environ = started_with(etc)
    port = int(environ["ONE_RUNTIME_LISTEN"].rpartition(":")[2])
    here = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environ | here, cwd=tmp_path, stdout=log, stderr=log)
    try:
        for _ in attempts(20):
            assert process.poll() is None, (tmp_path / "log").read_text()
            if is_ready(port):
                break
    finally:
        process.terminate()
        process.wait(timeout=20)
    assert (tmp_path / "one-runtime.db").stat().st_mode & 0o077 == 0


@pytest.fixture
def run_script(etc: Path, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs the command script with words and further variables, and returns the output.

    A script replaces `runuser` and runs the command as the user of the test. Other scripts replace `install` and
    `logname`.
    """
    state = tmp_path / "state"
    arguments = f"-d -o one-runtime -g one-runtime -m 700 {state}"
    programs = {
        "install": f'test "$*" = "{arguments}" && mkdir -m 700 {state}',
        "runuser": f'env > {tmp_path}/environment; test "$1 $2 $3" = "-u one-runtime --" && shift 3 && exec "$@"',
        "logname": "echo ada",
    }
    (tmp_path / "bin").mkdir()
    for name, line in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "bin" / name).chmod(0o700)
    program = f"{sys.executable} -m one_runtime"
    script = changed((DEPLOY / "one-runtime.sh").read_text(), {PROGRAM: program, "/var/lib/one-runtime": str(state)})
    (tmp_path / "one-runtime.sh").write_text(script)
    environ = {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "ONE_RUNTIME_ETC": str(etc),
    }

    def run(*words: str, **variables: str) -> str:
        command = [shutil.which("sh") or "sh", str(tmp_path / "one-runtime.sh"), *words]
        done = subprocess.run(command, env=environ | variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.mark.slow
def test_command_script_passes_settings_and_secrets_of_the_unit(
    etc: Path, tmp_path: Path, run_script: Callable[..., str]
) -> None:
    """The script works before the first start of the service, when the service's folder is missing."""
    settings = etc / "one-runtime.env"
    trusted = "ONE_RUNTIME_TRUSTED_PROXIES=127.0.0.1/32"
    settings.write_text(changed(settings.read_text(), {trusted: f" \t{trusted} 10.0.0.0/8 \t"}))
    assert run_script("version") == __version__
    environment = (tmp_path / "environment").read_text().splitlines()
    assert f"{trusted} 10.0.0.0/8" in environment, "without the spaces around the line"
    assert run_script("migrate").startswith("Migrated to")
    organization = run_script("organizations", "create", "Fernhill")
    assert organization in run_script("organizations", "list")
    assert '"operator": "ada"' in run_script("installation", "events", "--json")


@pytest.mark.slow
def test_command_script_uses_another_database_if_the_caller_sets_its_url(
    etc: Path, tmp_path: Path, run_script: Callable[..., str]
) -> None:
    """Otherwise a rehearsal with a backup would copy or change the service's database."""
    direct = "ONE_RUNTIME_DATABASE_DIRECT_URL=postgresql://one_runtime@127.0.0.1:1/one_runtime\n"
    with (etc / "one-runtime.env").open("a") as settings:
        settings.write(direct)
    copy = tmp_path / "copy.db"
    migrated = run_script("migrate", ONE_RUNTIME_DATABASE_URL=f"sqlite:///{copy}")
    assert migrated.startswith("Migrated to")
    assert copy.exists()
    assert not (tmp_path / "one-runtime.db").exists()
