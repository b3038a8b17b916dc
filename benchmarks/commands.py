"""The commands of `one-runtime`: the CPU time and the duration of each command, from the start of its process."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.rows import NewDatabase
from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import system_clock
from one_runtime.connections import connections
from one_runtime.connections.connections import NewConnection
from one_runtime.connections.credentials import ProviderAccount
from one_runtime.db.database_url import sqlite_path
from one_runtime.encryption.vault import Vault, key_id, new_key, parse_keys
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.events import Actor
from tests import sealed_rows
from tests.billing import ENTRY

_WITHOUT_DATABASE: Final = """
version
catalog list
catalog search hubspot
catalog show hubspot
catalog check hubspot
catalog export
keys new
keys --help
""".strip().splitlines()
_READS: Final = """
organizations list
organizations export {organization}
api-keys list
keys list
installation show
installation events
integrations list-disabled
integrations failures
oauth-clients list
custom-integrations list --organization {organization}
custom-integrations show x-billing --organization {organization}
end-users list --organization {organization}
end-users show ada --organization {organization}
sessions list
sessions show {session}
connections list
connections show {connection}
events list
proxy-requests list
webhooks list
webhooks show {endpoint}
webhooks deliveries {endpoint}
""".strip().splitlines()
_WRITES: Final = """
migrate
backup {folder}/copy.db.backup
organizations create Contoso
organizations set {organization} --display-name Fabrikam
organizations delete {organization} --yes
api-keys create {organization}
api-keys revoke {api_key}
keys activate {key}
keys reseal
keys disable {key}
installation confirm
installation hold
integrations disable notion
integrations enable intercom
oauth-clients set hubspot --client-id other --secret-file {folder}/secret
oauth-clients delete github
custom-integrations set {folder}/x-billing.yaml --organization {organization}
custom-integrations delete x-billing --organization {organization}
end-users delete ada --organization {organization} --yes
sessions cancel {session}
connections require-reauth {connection}
connections delete {connection}
webhooks create {organization}
webhooks update {endpoint} --status paused
webhooks delete {endpoint}
webhooks rotate-secret {endpoint}
webhooks retry {endpoint} {event}
webhooks replay {endpoint} --since 1d
""".strip().splitlines()
"""A command line with a name in braces needs a row or a file of the prepared database."""

COMMANDS: Final = (*_WITHOUT_DATABASE, *_READS, *_WRITES)

OMITTED: Final = {
    "serve": "runs until a signal",
    "demo": "runs until a signal",
    "copy": "copies all rows",
    "doctor": "sends requests",
    "catalog test": "sends a request",
    "catalog new": "asks questions",
    "catalog probe": "sends requests",
    "keys abandon": "needs a lost key",
    "connections check": "sends a request",
    "connections refresh": "sends a request",
    "webhooks test": "sends a request",
    "webhooks listen": "runs until a signal",
    "webhooks trigger": "sends a request",
}
"""The commands that the benchmark does not measure, with the reason."""

_PROGRAM: Final = str(Path(sys.executable).with_name("one-runtime"))


@dataclass(slots=True)
class Command:
    """A command line, and the CPU time and the duration of each run, in seconds."""

    words: str
    cpu: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the command without its arguments."""
        return " ".join(word for word in self.words.split()[:2] if "{" not in word)

    @property
    def cells(self) -> str:
        """Return the CPU time and the duration of the fastest run."""
        return f"**{min(self.cpu) * 1000:.0f} ms** | {min(self.seconds) * 1000:.0f} ms"


class Workplace:
    """A database with a row of each kind, and the files and environment variables of commands."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder, self._url = folder, url
        self._keys = f"{new_key()},{new_key()}"
        self._names = {"folder": str(folder)}

    def prepare(self) -> None:
        """Migrate the database, and create the rows and files that commands need."""
        (self._folder / "secret").write_text("s3cret")
        (self._folder / "x-billing.yaml").write_text(ENTRY)
        self._output("migrate")
        self._names["organization"] = self._output("organizations create Northwind").strip()
        self._names["api_key"] = self._output("api-keys create {organization}")[:12]
        self._names["key"] = key_id(parse_keys(self._keys)[1])
        self._names["endpoint"] = json.loads(self._output("webhooks create {organization} --json"))["id"]
        self._output("custom-integrations set {folder}/x-billing.yaml --organization {organization}")
        self._output("oauth-clients set github --client-id ours --secret-file {folder}/secret")
        self._output("integrations disable intercom")
        asyncio.run(self._connect())
        (event,) = json.loads(self._output("events list --type connection.created --json"))
        self._names["event"] = event["id"]

    async def _connect(self) -> None:
        """Create an end user, a connection and a session."""
        organization, now, vault = self._names["organization"], system_clock(), Vault(parse_keys(self._keys))
        actor, catalogs = Actor(organization, "system"), OrganizationCatalogs(load_catalog())
        new = NewConnection("ada", "hubspot", "api_key", None, {}, {"api_key": "k"}, ProviderAccount("a", "A"), {})
        async with sealed_rows.opened(self._url) as database:
            async with database.write() as tx:
                await end_users.ensure(tx, organization, EndUser("ada", "Ada", "ada@example.com", now, now))
                connection, _ = await connections.create_or_replace(tx, vault, catalogs, actor, new, now)
            self._names["connection"] = connection.id
            self._names["session"] = await sealed_rows.leave_unredeemed(database, vault, actor, "ada", "secret")

    def run(self, command: Command) -> None:
        """Run a command once, and measure the run."""
        url = self._copied()
        begun = time.perf_counter()
        with self._started(command.words, url, subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        command.seconds.append(time.perf_counter() - begun)
        command.cpu.append(usage.ru_utime + usage.ru_stime)
        assert process.returncode == 0, command.words

    def _copied(self) -> str:
        """Return the URL of a new copy of a SQLite database, or the URL of the database in PostgreSQL."""
        path, copy = sqlite_path(self._url), self._folder / "copy.db"
        if path is None:
            return self._url
        for old in self._folder.glob("copy.db*"):
            old.unlink()
        shutil.copyfile(path, copy)
        return f"sqlite:///{copy}"

    def _output(self, words: str) -> str:
        """Run a command on the database itself, and return its output."""
        with self._started(words, self._url, subprocess.PIPE) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, words
        return output

    def _started(self, words: str, url: str, output: int) -> "subprocess.Popen[str]":
        theirs = {name: value for name, value in os.environ.items() if not name.startswith("ONE_RUNTIME_")}
        ours = {"ONE_RUNTIME_DATABASE_URL": url, "ONE_RUNTIME_ENCRYPTION_KEYS": self._keys}
        command = [_PROGRAM, *words.format_map(self._names).split()]
        return subprocess.Popen(command, env=theirs | ours, stdout=output, text=True)


def measure(new: NewDatabase, runs: int) -> list[Command]:
    """Run each command several times. Each round runs every command once. On PostgreSQL, only read.

    On SQLite, each run has a new copy of the database, so a command that changes rows finds the same rows.
    """
    url = new("commands")
    is_sqlite = sqlite_path(url) is not None
    measured = [Command(words) for words in (COMMANDS if is_sqlite else _READS)]
    with TemporaryDirectory(prefix="one-runtime-commands-") as folder:
        workplace = Workplace(Path(folder), url)
        workplace.prepare()
        for _ in range(runs):
            for command in measured:
                workplace.run(command)
    return measured


def table(results: Mapping[str, Sequence[Command]]) -> Iterator[str]:
    """Render the results as Markdown. `results`: the commands by the name of the database."""
    yield "### Commands"
    yield ""
    yield "| command | " + " | ".join(f"CPU time, {name} | duration, {name}" for name in results) + " |"
    yield "|---|" + "---:|---:|" * len(results)
    by_words = [{command.words: command for command in measured} for measured in results.values()]
    for words, command in max(by_words, key=len).items():
        cells = [measured[words].cells if words in measured else "– | –" for measured in by_words]
        yield f"| `{command.name}` | {' | '.join(cells)} |"
