"""Compare the key ring with the database and with the running servers (P3)."""

from collections.abc import Sequence

from one_runtime import __version__
from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.encryption.key_ring import Ring
from one_runtime.jobs.instances import ServerInstance


def examine_ring(ring: Ring) -> Finding:
    """Check that this ring, and the ring of every server, can open all values and seal new ones."""
    missing = [key.id for key in ring.keys if not key.in_ring and key.state != "disabled"]
    if missing:
        saw = f"{', '.join(missing)} is missing: its values cannot be opened, and no server starts without the key"
        return problem("key ring", saw, "Put that key back into ONE_RUNTIME_ENCRYPTION_KEYS.")
    active = next((key for key in ring.keys if key.state == "active"), None)
    if active is None:
        return warning(
            "key ring", f"{_keys(len(ring.keys))}, none is active yet", "The first start of a server activates one."
        )
    if active.held_by < ring.servers:
        saw = f"{ring.servers - active.held_by} of {ring.servers} servers run without the active key {active.id}"
        return problem("key ring", saw, "Give every server the same key ring and restart it.")
    count = sum(key.in_ring for key in ring.keys)
    return ok("key ring", f"complete, {_keys(count)}; the active key is {active.id}")


def _keys(count: int) -> str:
    return f"{count} keys" if count != 1 else "1 key"


def examine_servers(live: Sequence[ServerInstance]) -> Finding:
    """Check which versions of One Runtime serve this database."""
    if not live:
        return warning("servers", "no server uses this database", "Start one: one-runtime serve")
    versions = sorted({server.version for server in live})
    saw = f"{len(live)} running, version {', '.join(versions)}"
    if versions != [__version__]:
        saw += f"; this is {__version__}"
        return warning("servers", saw, "Run the same version on every server once the upgrade is complete.")
    return ok("servers", saw)
