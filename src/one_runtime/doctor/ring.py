"""The key ring against what the database knows of it, and against the servers that run (P3)."""

from collections.abc import Sequence

from one_runtime import __version__
from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.encryption.key_ring import Ring
from one_runtime.jobs.instances import ServerInstance


def examine_ring(ring: Ring) -> Finding:
    """Whether this ring, and the one of every server, can open what is sealed and seal what comes."""
    missing = [key.id for key in ring.keys if not key.in_ring and key.state != "retired"]
    if missing:
        saw = f"{', '.join(missing)} is missing: what it sealed cannot be opened, and no server starts without it"
        return problem("key ring", saw, "Put that key back into ONE_RUNTIME_ENCRYPTION_KEYS.")
    sealing = next((key for key in ring.keys if key.state == "sealing"), None)
    if sealing is None:
        return warning("key ring", f"{_keys(len(ring.keys))}, none of which seals yet", "The first start sees to that.")
    saw = f"complete, {_keys(sum(key.in_ring for key in ring.keys))}; {sealing.id} seals"
    if sealing.held_by < ring.servers:
        lacking = ring.servers - sealing.held_by
        saw = f"{lacking} of {ring.servers} servers were started without {sealing.id}, which seals"
        return problem("key ring", saw, "Give every server the same ring, and start it again.")
    return ok("key ring", saw)


def _keys(count: int) -> str:
    return f"{count} keys" if count != 1 else "1 key"


def examine_servers(live: Sequence[ServerInstance]) -> Finding:
    """Which processes serve this database, and in which version."""
    if not live:
        return warning("servers", "none serves this database", "Start one: one-runtime serve")
    versions = sorted({server.version for server in live})
    saw = f"{len(live)} serving, version {', '.join(versions)}"
    if versions != [__version__]:
        saw += f"; this is {__version__}"
        return warning("servers", saw, "Let every server run the same version, once the upgrade is through.")
    return ok("servers", saw)
