"""Check that the database answers, is migrated, and allows enough connections. For SQLite, check the file and the disk.

Also check the running servers, the key ring (the encryption keys) and the organizations (the customers of One Runtime).
"""

import asyncio
import fcntl
import shutil
import stat
from pathlib import Path
from typing import Final

from one_runtime import __version__
from one_runtime.catalog import disabled_integrations
from one_runtime.catalog.disabled_integrations import DisabledIntegration
from one_runtime.clock import Clock, rfc3339
from one_runtime.db.access import Access, read_access
from one_runtime.db.database_url import create_database, lock_path, sqlite_path
from one_runtime.db.engine import Database, has_unknown_cluster
from one_runtime.db.migrations import HEAD, SchemaState, read_schema_state
from one_runtime.db.obstacles import DatabaseUnusable, postgres_obstacle, sqlite_obstacle
from one_runtime.db.pooler import is_pooled, keeps_prepared_statements
from one_runtime.db.vitals import PostgresVitals, database_clock, postgres_vitals
from one_runtime.doctor.clock import ahead
from one_runtime.doctor.finding import Finding, Report, ok, problem, warning
from one_runtime.doctor.webhooks import examine_webhooks
from one_runtime.encryption import key_ring, self_check
from one_runtime.encryption.key_ring import Ring
from one_runtime.encryption.vault import Vault
from one_runtime.errors import ConfigurationError, Unavailable
from one_runtime.jobs import instances, liveness
from one_runtime.jobs.instances import ServerInstance
from one_runtime.jobs.liveness import InstallationRow
from one_runtime.settings import Settings
from one_runtime.tenancy import organizations

CONNECT_TIMEOUT: Final = 5
"""Seconds to wait for each address of PostgreSQL, for example behind a firewall that drops packets."""

_CHECK: Final = "Check the database and ONE_RUNTIME_DATABASE_URL."
_MIB: Final = 1024 * 1024
_SCARCE: Final = 1024 * _MIB
_ALMOST_FULL: Final = 100 * _MIB
_NETWORK_FILE_SYSTEMS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs"})


async def examine_database(settings: Settings, vault: Vault | None, clock: Clock) -> Report:
    """Check the database. Stop at the first problem that prevents further checks."""
    report, url = Report(), settings.database_url.get_secret_value()
    path = sqlite_path(url)
    if path:
        report.findings += await asyncio.to_thread(_examine_file, Path(path))
        if not any(finding.check == "file" for finding in report.findings):
            return report
    try:
        database = create_database(url, pool_size=1)
        if not path:
            access = await asyncio.to_thread(read_access, url, timeout=CONNECT_TIMEOUT)
            report.findings += _judge_access(access)
            if report.findings and report.findings[0].verdict == "problem":
                return report
        state = await asyncio.to_thread(read_schema_state, url)
        if not state.is_compatible:
            report.findings.append(_judge_incompatible(state, on_sqlite=bool(path)))
            return report
        if not path:
            report.findings += await asyncio.to_thread(_examine_pooler, settings)
        await database.open()
        try:
            await _examine_contents(report, database, _describe_schema(state), settings, vault, clock)
        finally:
            await database.close()
    except (ConfigurationError, Unavailable) as error:
        report.findings.append(_judge_error(error, url))
    return report


def _judge_error(error: ConfigurationError | Unavailable, url: str) -> Finding:
    if isinstance(error, DatabaseUnusable):
        return problem("database", *error.obstacle)
    if sqlite_path(url) is None and error.__cause__ is not None:
        return problem("database", *postgres_obstacle(url, error))
    return problem("database", error.detail, _CHECK)


def _judge_access(access: Access) -> list[Finding]:
    obstacle = access.obstacle_to_use()
    if obstacle is not None:
        return [problem("database", *obstacle)]
    obstacle = access.obstacle_to_migration()
    if obstacle is None:
        return []
    return [warning("database", *obstacle) if access.tables else problem("database", *obstacle)]


def _judge_incompatible(state: SchemaState, *, on_sqlite: bool) -> Finding:
    if state.is_newer:
        saw = f"its schema is {state.revision}, but this version of One Runtime supports {HEAD} at most"
        return problem(
            "database", saw, "Run the version of One Runtime that migrated the database, or a newer version."
        )
    saw = f"its schema is {state.revision or 'missing'}, but this version of One Runtime needs {HEAD}"
    if on_sqlite:
        return warning(
            "database", saw, "Back up the database. The next start of `one-runtime serve` migrates the database."
        )
    return problem("database", saw, "Back up the database, then run `one-runtime migrate`.")


def _describe_schema(state: SchemaState) -> str:
    newer = f" by a newer version of One Runtime, but compatible with {HEAD}" if state.is_newer else ""
    return f"migrated to {state.revision}{newer}"


async def _examine_contents(
    report: Report, database: Database, schema: str, settings: Settings, vault: Vault | None, clock: Clock
) -> None:
    location = await database.location()
    async with database.read() as tx:
        report.findings.append(_examine_installation(await liveness.read_row(tx), location))
        report.database_fingerprint = await self_check.database_fingerprint(tx)
        servers = await instances.list_live(tx, clock)
        if sqlite_path(settings.database_url.get_secret_value()):
            report.findings.append(ok("database", f"SQLite, {schema}"))
        else:
            processes = max(settings.workers, len(servers))
            required = processes * settings.database_pool_size
            report.findings += examine_postgresql(await postgres_vitals(tx), required, schema)
            before = clock()
            now = await database_clock(tx)
            report.ahead = ahead(now, before, clock())
        report.findings.append(_examine_servers(servers))
        if vault is not None:
            report.findings.append(_examine_ring(await key_ring.find_all(tx, vault, clock)))
        report.findings.append(_examine_organizations(await organizations.list_all(tx), settings))
        report.findings.append(_examine_integrations(await disabled_integrations.list_all(tx)))
        report.findings += await examine_webhooks(tx, clock())


def _examine_installation(row: InstallationRow, location: str) -> Finding:
    """Check that this is the live database, and not a copy."""
    if row.is_live_at(location) and has_unknown_cluster(location):
        return warning(
            "installation",
            "PostgreSQL hides the identity of its cluster, so a copy in another cluster can count as live",
            "Run in PostgreSQL: GRANT EXECUTE ON FUNCTION pg_control_system() TO the database user. Then run: "
            "one-runtime installation confirm. Until then, run `one-runtime installation hold` in each copy.",
        )
    if row.is_live_at(location):
        return ok("installation", "this database is the live database")
    if row.is_moved:
        saw = "`one-runtime copy` has moved this database to PostgreSQL, so no server starts on this database"
        return problem("installation", saw, "Set ONE_RUNTIME_DATABASE_URL to the PostgreSQL database.")
    return problem(
        "installation",
        "this database is an unconfirmed copy, so no server refreshes or revokes tokens",
        "If production uses this copy now, run: one-runtime installation confirm",
    )


def examine_postgresql(vitals: PostgresVitals, required: int, schema: str) -> list[Finding]:
    """Check a PostgreSQL server.

    `required` is the number of connections that all server processes can open. `schema` describes the schema.
    """
    name = f"PostgreSQL {vitals.version.split(' ')[0]}"
    findings = []
    if vitals.synchronous_commit == "off":
        saw = f"{name} has synchronous_commit off: a crash can lose commits that store new tokens"
        findings.append(warning("database", saw, "Turn synchronous_commit on for this database."))
    findings = findings or [ok("database", f"{name}, {schema}")]
    size = f"the database uses {vitals.size / _MIB:.0f} MiB; this command cannot check PostgreSQL's disk"
    findings.append(ok("disk", size))
    opened, allowed = _count(required, "connection"), _count(vitals.free_for_us, "connection")
    saw = f"the server processes can open {opened}, and PostgreSQL allows One Runtime {allowed}"
    if required > vitals.free_for_us:
        advice = "Raise PostgreSQL's max_connections, or lower ONE_RUNTIME_DATABASE_POOL_SIZE or ONE_RUNTIME_WORKERS."
        return [*findings, problem("connections", saw, advice)]
    return [*findings, ok("connections", saw)]


def _examine_pooler(settings: Settings) -> list[Finding]:
    url = settings.database_url.get_secret_value()
    if not is_pooled(url):
        return []
    saw = "a connection pooler is between One Runtime and PostgreSQL"
    if not keeps_prepared_statements(url):
        advice = "Set max_prepared_statements in PgBouncer to 200, and use PgBouncer 1.21 or later."
        return [warning("pooler", f"{saw}, and does not support prepared statements, so queries are slower", advice)]
    if not settings.database_direct_url.get_secret_value():
        advice = "Set ONE_RUNTIME_DATABASE_DIRECT_URL to the URL of PostgreSQL itself. Migrations need this URL."
        return [warning("pooler", f"{saw}; there is no direct URL", advice)]
    return [ok("pooler", f"{saw}, and supports prepared statements; migrations have a direct URL")]


def _examine_file(path: Path) -> list[Finding]:
    """Check the file and the disk of SQLite. Before the first start, the file can be missing."""
    obstacle = sqlite_obstacle(path)
    if obstacle is not None:
        return [problem("database", *obstacle)]
    if not path.exists():
        return [
            _examine_disk(path.resolve().parent, 0),
            warning("database", f"{path} does not exist", "The first start of the server creates the file."),
        ]
    return [_examine_disk(path.absolute().parent, path.stat().st_size), _examine_permissions(path)]


def _examine_disk(folder: Path, size: int) -> Finding:
    mounts = Path("/proc/self/mounts")  # exists on Linux only
    kind = file_system_type(folder.resolve(), mounts.read_text("utf-8", "replace") if mounts.exists() else "")
    if kind in _NETWORK_FILE_SYSTEMS:
        saw = f"{folder} is on a network file system ({kind}), where SQLite's locks are unreliable"
        return problem("disk", saw, "Keep the file on a disk of this machine, or use PostgreSQL.")
    return examine_disk_space(folder, shutil.disk_usage(folder).free, size)


def examine_disk_space(folder: Path, free: int, size: int) -> Finding:
    """Check that the free bytes are enough for a database of this size."""
    saw = f"{free / _MIB / 1024:.1f} GiB free in {folder}"
    if free < _ALMOST_FULL:
        return problem("disk", saw, "Make space on this disk: every write fails if the disk is full.")
    if free < max(_SCARCE, size):
        return warning("disk", saw, "Make space on this disk: the disk must have room for a copy of the database.")
    return ok("disk", saw)


def file_system_type(folder: Path, mounts: str) -> str:
    """Return the type of the file system that contains the folder. Return an empty string if the type is unknown.

    `mounts` is the text of /proc/self/mounts. If several mount points contain the folder, the longest path counts.
    """
    lines = [line.split(" ") for line in mounts.splitlines()]
    within = [(fields[1], fields[2]) for fields in lines if folder.is_relative_to(fields[1])]
    return max(within, key=lambda mount: len(mount[0]), default=("", ""))[1]


def _examine_permissions(path: Path) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        saw = f"other users of this machine can open {path} (mode {mode:04o})"
        return warning("file", saw, f"Run: chmod 600 {path}*")
    serving = "a server uses the file" if _is_served(path) else "no server uses the file"
    return ok("file", f"only the owner can open {path}; {serving}")


def _is_served(path: Path) -> bool:
    """Return True if a running server holds the lock of this database file."""
    lock = lock_path(path, "serving")
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _examine_ring(ring: Ring) -> Finding:
    """Check that this key ring can decrypt all values, and that every server has the active key."""
    missing = [key.id for key in ring.keys if key.required and not key.in_ring]
    if missing:
        one = len(missing) == 1
        saw = f"{', '.join(missing)} {'is' if one else 'are'} missing: no server can start or decrypt all stored values"
        advice = f"Add {'this key' if one else 'these keys'} to ONE_RUNTIME_ENCRYPTION_KEYS again."
        return problem("key ring", saw, advice)
    active = next((key for key in ring.keys if key.state == "active"), None)
    if active is None:
        return warning(
            "key ring",
            f"{_count(len(ring.keys), 'key')}, and no active key yet",
            "The first start of a server activates a key.",
        )
    if active.held_by < ring.servers:
        without = ring.servers - active.held_by
        verb = "runs" if without == 1 else "run"
        saw = f"{without} of {ring.servers} servers {verb} without the active key {active.id}"
        return problem("key ring", saw, "Give every server the same key ring. Then restart the servers.")
    count = sum(key.in_ring for key in ring.keys)
    return ok("key ring", f"complete, {_count(count, 'key')}; the active key is {active.id}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _examine_servers(live: list[ServerInstance]) -> Finding:
    """Check which versions of One Runtime serve this database."""
    if not live:
        return warning("servers", "no server uses this database", "Start a server: one-runtime serve")
    versions = sorted({server.version for server in live})
    saw = f"{len(live)} running, version {', '.join(versions)}"
    if versions != [__version__]:
        saw += f"; this command has version {__version__}"
        return warning("servers", saw, "Run the same version on every server, except during an upgrade.")
    return ok("servers", saw)


def _examine_organizations(listed: list[organizations.Organization], settings: Settings) -> Finding:
    if not listed:
        return warning(
            "organizations", "there is no organization", 'Create one: one-runtime organizations create "Name"'
        )
    without = [organization.id for organization in listed if not organization.allowed_origins]
    if without:
        verb = "has" if len(without) == 1 else "have"
        saw = f"{len(without)} of {len(listed)} (such as {without[0]}) {verb} no allowed origin"
        saw += ": no page can open the popup"
        advice = "Run: one-runtime organizations set ID --allowed-origin https://app.example.com"
        return warning("organizations", saw, advice)
    misconfigured = [organization.id for organization in listed if settings.public_url in organization.allowed_origins]
    if misconfigured:
        saw = f"{misconfigured[0]} has One Runtime's own public URL as an allowed origin"
        return warning("organizations", saw, "Replace this origin with the origin of the page that opens the popup.")
    return ok("organizations", f"{len(listed)}, each with an allowed origin")


def _examine_integrations(disabled: list[DisabledIntegration]) -> Finding:
    """Report the integrations that an operator disabled, and perhaps forgot to enable."""
    if not disabled:
        return ok("integrations", "no integration is disabled")
    described = [f"{row.integration_slug} ({rfc3339(row.disabled_at)}, {row.disabled_by})" for row in disabled]
    advice = "After the end of the emergency, run: one-runtime integrations enable " + disabled[0].integration_slug
    return warning("integrations", f"disabled for all organizations: {', '.join(described)}", advice)
