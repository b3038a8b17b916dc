"""Reasons why a process cannot use its database, each with advice. The server, all commands and the doctor show them.

The messages of libpq, psycopg and SQLite can contain a part of the database's URL, so this module replaces them.
"""

import os
import re
import sqlite3
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from one_runtime.errors import ConfigurationError


class Obstacle(NamedTuple):
    """A reason why a process cannot use the database, and the advice."""

    saw: str
    advice: str

    def error(self) -> "DatabaseUnusable":
        """Return the error for a command or a server that cannot start."""
        return DatabaseUnusable(self)

    def of_direct_url(self) -> "Obstacle":
        """Return the obstacle with the name of the setting for migrations."""
        return Obstacle(*(text.replace(_VARIABLE, "ONE_RUNTIME_DATABASE_DIRECT_URL") for text in self))


class DatabaseUnusable(ConfigurationError):
    """The process cannot use its database, because of `obstacle`."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(f"{obstacle.saw[0].upper()}{obstacle.saw[1:]}. {obstacle.advice}")
        self.obstacle = obstacle


IN_MEMORY: Final = "sqlite:///:memory:"
_VARIABLE: Final = "ONE_RUNTIME_DATABASE_URL"
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE | re.ASCII)
_ADVICE: Final = (
    f"Set {_VARIABLE} to sqlite:///file.db, sqlite:////folder/file.db or postgresql://user:password@host:5432/name."
)
_AUTHORITY_END: Final = re.compile(r"[/?#]")
_ENCODE: Final = "In the password, write %40 for @, %2F for /, %3A for :, %3F for ?, %23 for # and %25 for %."
INVALID_URL: Final = Obstacle(
    f"{_VARIABLE} is not a valid PostgreSQL URL", f"Write postgresql://user:password@host:5432/name. {_ENCODE}"
)
_INVALID: Final = r"Servname not supported|[Ii]nvalid .*(?:port|value|URI|percent|token)|percent-encoded|looking for"
_CORRECT: Final = f"correct {_VARIABLE}."

# Patterns of messages from libpq and psycopg, with the reason and the advice that operators see instead. `{server}` is
# the server's address, and `{name}` is the part of the message that the group of the pattern matches.
_CAUSES: Final = (
    (r'database "(.+)" does not exist', "{server} has no database {name}", f"Create the database, or {_CORRECT}"),
    (r'role "(.+)" does not exist', "{server} has no user {name}", f"Create the user, or {_CORRECT}"),
    (
        r'password authentication failed for user "(.+)"',
        "{server} refuses the password of the user {name}, or has no such user",
        f"Correct the user and the password in {_VARIABLE}. {_ENCODE}",
    ),
    (r"no password supplied", "{server} requires a password", f"Add the password to {_VARIABLE}."),
    (
        r'role "(.+)" is not permitted to log in',
        "{server} does not allow the user {name} to log in",
        "Run in PostgreSQL: ALTER ROLE {name} LOGIN.",
    ),
    (
        r"permission denied for database",
        "{server} does not allow this user to connect to the database",
        "Grant the user the privilege CONNECT in PostgreSQL.",
    ),
    (
        r"pg_hba\.conf",
        "{server} does not allow this connection: its pg_hba.conf does not allow this address, user and database",
        "Change pg_hba.conf. If the server requires TLS, add ?sslmode=require to the URL.",
    ),
    (
        r"too many (?:clients|connections)|remaining connection slots",
        "{server} has no connection left",
        "Raise max_connections in PostgreSQL, or lower ONE_RUNTIME_DATABASE_POOL_SIZE or ONE_RUNTIME_WORKERS.",
    ),
    (
        r"session is (?:not )?read-only|in hot standby mode",
        "none of the servers of {server} has the role that target_session_attrs requires",
        f"Wait for the end of a failover, or correct the hosts in {_VARIABLE}.",
    ),
    (r"starting up|shutting down|recovery mode", "{server} is starting or stopping", "Try again in a few seconds."),
    (
        r"timeout|timed out",
        "{server} does not answer in time, possibly because a firewall drops the packets",
        f"Check the firewall and the host, or {_CORRECT}",
    ),
    (
        r"invalid response to SSL negotiation",
        "{server} cannot be reached: another program answers at this address and port",
        f"Correct the host and the port in {_VARIABLE}.",
    ),
    (
        r"does not support SSL",
        "{server} offers no TLS, but the parameter sslmode of the URL requires TLS",
        f"Turn on TLS in PostgreSQL, or change sslmode in {_VARIABLE}.",
    ),
    (
        r"server certificate for .* does not match",
        "the certificate of {server} is for another host name",
        f"Use the certificate's host name in {_VARIABLE}.",
    ),
    (
        r"certificate verify failed|root certificate|self.signed",
        "this machine does not trust the certificate of {server}",
        f"Add ?sslrootcert=/path/to/authority.pem to {_VARIABLE}, with the file of the certificate authority.",
    ),
    (
        r"SSL|certificate|TLS",
        "the TLS handshake with {server} failed",
        f"Check the parameters in {_VARIABLE} whose names begin with ssl, and the TLS settings of PostgreSQL.",
    ),
    (
        r"refused",
        "{server} cannot be reached: nothing listens at this address and port",
        f"Start PostgreSQL, or correct the host and the port in {_VARIABLE}.",
    ),
    (
        r"No such file",
        "{server} cannot be reached: there is no such socket",
        f"Start PostgreSQL, or add the server's host to {_VARIABLE}.",
    ),
    (_INVALID, *INVALID_URL),
    (
        r"resolve|translate host name|not known",
        "{server} cannot be reached: its name cannot be resolved",
        f"Correct the host in {_VARIABLE}, or check DNS.",
    ),
    (
        r"closed the connection",
        "{server} closes the connection",
        "Read the log of PostgreSQL, and check that the port is PostgreSQL's port.",
    ),
    (r"read-only transaction", "{server} refuses writes", f"Set {_VARIABLE} to a server that accepts writes."),
    (
        r"permission denied|must be owner",
        "{server} does not allow this user to read or write a table",
        "Make the user the owner of all tables: see docs/backup.md, Tables of another user.",
    ),
)


def url_obstacle(url: str) -> Obstacle | None:
    """Return the reason why One Runtime supports no URL of this kind, or None. The reason contains no secret."""
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else None
    if scheme is None:
        head = f"{_VARIABLE} must begin with sqlite:/// or postgresql://, and the present value has no such beginning"
        return Obstacle(head, _ADVICE)
    if scheme.startswith(("postgresql+", "postgres+", "sqlite+")):
        plain = "sqlite" if scheme.startswith("sqlite") else "postgresql"
        return Obstacle(f"{_VARIABLE} must not name a driver", f"Write {plain}:// instead of {scheme}://.")
    if scheme == "sqlite" and not url.startswith("sqlite:///"):
        return Obstacle(
            f"{_VARIABLE} has too few slashes after sqlite:",
            "Write three slashes before a relative path (sqlite:///file.db), and four slashes before an absolute path "
            "(sqlite:////folder/file.db).",
        )
    if url in {"sqlite:///", IN_MEMORY}:
        return Obstacle(f"{_VARIABLE} names no file, and One Runtime needs a file", "Write sqlite:///file.db.")
    if url.startswith("sqlite:///"):
        return None
    if url.startswith(("postgresql://", "postgres://")):
        # libpq ends the password at the first @, and would look for a host with the rest of the password in its name.
        signs = _AUTHORITY_END.split(url.partition("://")[2], maxsplit=1)[0].count("@")
        return Obstacle(f"{_VARIABLE} has more than one @ before the host", _ENCODE) if signs > 1 else None
    return Obstacle(
        f"{_VARIABLE} begins with {scheme}://, but One Runtime supports only SQLite and PostgreSQL", _ADVICE
    )


def postgres_obstacle(url: str, error: BaseException) -> Obstacle:
    """Return the reason for a driver's error, without the driver's own message."""
    messages = []
    cause: BaseException | None = error
    while cause is not None:
        messages.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    text = "\n".join(messages)
    try:
        server = _shown_server(url)
    except ValueError:
        return INVALID_URL
    for pattern, saw, advice in _CAUSES:
        match = re.search(pattern, text)
        if match is not None:
            name = match[1] if match.groups() and server != _UNNAMED else "that the URL names"
            return Obstacle(saw.format(server=server, name=name), advice.format(name=name))
    return Obstacle(f"{server} cannot be reached", f"Check the database server, or {_CORRECT}")


_UNNAMED: Final = "PostgreSQL"


def _shown_server(url: str) -> str:
    """Return the name "PostgreSQL" with the host and port of a URL.

    If the path, query or fragment contains an `@`, return only the name. In such a URL, the apparent host can be
    a part of a password that contains an unencoded `/`, `?` or `#`.

    Raises: ValueError if the URL is invalid.
    """
    parts = urlsplit(url)
    if "@" in parts.path + parts.query + parts.fragment:
        return _UNNAMED
    return f"{_UNNAMED} at {parts.netloc.rpartition('@')[2] or 'its local socket'}"


_OWNER: Final = "Run this command as the server's user, who must own the folder and the file."


def sqlite_obstacle(path: Path) -> Obstacle | None:
    """Return the reason why this process cannot write a SQLite file, or None. The file can be missing.

    SQLite writes further files into the folder of the file. One Runtime creates no folder, because a missing folder
    usually means that the path is mistyped, and the server would start with an empty database.
    """
    if os.path.isdir(path):  # noqa: PTH112 - see `_existing_folder`
        advice = f"Add the name of a file to {_VARIABLE}, such as sqlite:///{path / 'one-runtime.db'}."
        return Obstacle(f"{path} is a folder, and not a database file", advice)
    folder = _existing_folder(path)
    blocking = next((parent for parent in path.resolve().parents if os.path.isfile(parent)), None)  # noqa: PTH113
    if blocking is not None:
        return Obstacle(f"{blocking} is a file, and not a folder", f"Correct the path in {_VARIABLE}.")
    if folder != path.resolve().parent and _may(folder, os.X_OK):
        return Obstacle(
            f"the folder {path.resolve().parent} does not exist",
            f"Create the folder, or correct the path in {_VARIABLE}.",
        )
    if not _may(folder, os.W_OK | os.X_OK):
        return Obstacle(f"this user cannot write into the folder {folder}", _OWNER)
    if path.exists() and not _may(path, os.R_OK | os.W_OK):
        verb = "write" if _may(path, os.R_OK) else "read"
        return Obstacle(f"this user cannot {verb} the file {path}", _OWNER)
    return path_obstacle(path)


def path_obstacle(path: Path) -> Obstacle | None:
    """Return the reason why no process may open a SQLite file by this path, or None. The file can be missing.

    SQLite and One Runtime name their further files after the database file: the write-ahead log and the lock of the
    server. So processes with different paths of one file do not see each other, and SQLite damages the file
    (https://www.sqlite.org/howtocorrupt.html, "Multiple links to the same file"). Symbolic links do no harm, because
    both resolve them.
    """
    try:
        links = path.stat().st_nlink
    except OSError:  # a missing file has no other name, and `sqlite_obstacle` or SQLite names any other cause
        return None
    if links > 1:
        return Obstacle(
            f"{path} has {links} names (hard links), and servers with different names would damage the database",
            f"Stop all servers on this file, find the names with `find / -xdev -samefile {path}`, and delete all but "
            "one. For a copy, run `one-runtime backup`.",
        )
    if _is_mount_point(path.resolve()):
        return Obstacle(
            f"{path} is mounted without its folder, so the write-ahead log beside it, with the latest changes, is "
            "missing elsewhere, and a second server would damage the database",
            "Stop all servers on this file, and mount the folder of the database instead of the file.",
        )
    return None


def _is_mount_point(path: Path) -> bool:
    mounts = Path("/proc/self/mountinfo")  # exists on Linux only; other systems mount no single files
    if not mounts.exists():
        return False
    # The kernel writes spaces, tabs, line breaks and backslashes of a path as \040 and the like.
    escaped = re.sub(rb"[ \t\n\\]", lambda match: b"\\%03o" % ord(match[0]), os.fsencode(path))
    return any(line.split(b" ")[4] == escaped for line in mounts.read_bytes().splitlines())


def _existing_folder(path: Path) -> Path:
    """Return the nearest parent folder that exists."""
    # `Path.is_dir` raises PermissionError if the process cannot enter a parent folder. `os.path.isdir` returns False.
    return next(parent for parent in path.resolve().parents if os.path.isdir(parent))  # noqa: PTH112


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def missing_file(path: Path) -> Obstacle | None:
    """Return the reason why a command that creates no database finds no SQLite file, or None if the file exists."""
    if os.path.lexists(path):
        return None
    if not _may(_existing_folder(path), os.X_OK):
        return sqlite_obstacle(path)
    if path.is_absolute():
        advice = f"Correct {_VARIABLE}, or create the database with `one-runtime migrate`."
    else:
        advice = (
            f"The path is relative to the current folder: run this command in the server's folder, set {_VARIABLE}, or "
            "create a database here with `one-runtime migrate`."
        )
    return Obstacle(f"there is no database at {path.absolute()}", advice)


def open_failure(path: Path, error: sqlite3.Error) -> Obstacle:
    """Return the reason why SQLite could not open a file."""
    obstacle = sqlite_obstacle(path)
    if obstacle is not None:
        return obstacle
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
        return Obstacle(f"{path} is not a SQLite database", f"Correct {_VARIABLE}, or restore the file from a backup.")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return Obstacle(f"the SQLite database {path} cannot be opened ({name})", "Check the file and the disk.")
