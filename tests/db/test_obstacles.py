"""Database URLs that cannot work: each command names the cause, and what to do, in the same words. No password."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg
import pytest

from one_runtime.db.obstacles import postgres_obstacle
from one_runtime.encryption.vault import new_key
from tests import postgres
from tests.command_line import Run
from tests.doctor.test_examination import without_rights
from tests.egress.certificates import tls_contexts

SECRET: Final = "s3cret-canary"
COMMANDS: Final = (("organizations", "list"), ("migrate",), ("serve",))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Yield host and port of a PostgreSQL server. The role `locked` needs a password. The server rejects `banned`."""
    server = postgres.start_server()
    rules = server.folder / "data" / "pg_hba.conf"
    first = "host all locked 127.0.0.1/32 scram-sha-256\nhost all banned 127.0.0.1/32 reject\n"
    rules.write_text(first + rules.read_text())
    try:
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{server.port}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE ROLE locked LOGIN PASSWORD '{SECRET}'")
            connection.execute("CREATE ROLE asleep NOLOGIN")
            connection.execute("SELECT pg_reload_conf()")
        yield f"127.0.0.1:{server.port}"
    finally:
        server.stop()


@contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    """Yield the port of a server that accepts PostgreSQL's request for TLS. Its certificate is for db.example.com."""
    context, _ = tls_contexts(folder, "db.example.com")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection, suppress(ssl.SSLError):
                    if not connection.recv(8):
                        return  # the end of the test
                    connection.sendall(b"S")
                    context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            socket.create_connection(listener.getsockname()).close()
            thread.join()


@pytest.mark.slow
def test_each_obstacle_of_postgresql_has_its_own_sentence(address: str, bare: Run) -> None:
    server = f"PostgreSQL at {address}"
    cases = {
        f"postgresql://postgres:{SECRET}@{address}/nowhere": (
            f"{server} has no database nowhere. Create the database, or correct ONE_RUNTIME_DATABASE_URL."
        ),
        f"postgresql://nobody:{SECRET}@{address}/postgres": (
            f"{server} has no user nobody. Create the user, or correct ONE_RUNTIME_DATABASE_URL."
        ),
        f"postgresql://locked:{SECRET}-no@{address}/postgres": f"{server} refuses the password of the user locked",
        f"postgresql://locked@{address}/postgres": f"{server} requires a password. Add the password",
        f"postgresql://asleep:{SECRET}@{address}/postgres": f"{server} does not allow the user asleep to log in",
        f"postgresql://banned:{SECRET}@{address}/postgres": f"{server} does not allow this connection: its pg_hba.conf",
        f"postgresql://postgres:{SECRET}@{address}/postgres?sslmode=require": f"{server} offers no TLS, but",
        f"postgresql://postgres:{SECRET}@127.0.0.1:1/postgres": (
            "PostgreSQL at 127.0.0.1:1 cannot be reached: nothing listens at this address and port. Start PostgreSQL, "
            "or correct the host and the port in ONE_RUNTIME_DATABASE_URL."
        ),
        f"postgresql://postgres:{SECRET}@127.0.0.1:1,{address}/postgres?target_session_attrs=standby": (
            f"None of the servers of PostgreSQL at 127.0.0.1:1,{address} has the role that target_session_attrs "
            "requires. Wait for the end of a failover, or correct the hosts in ONE_RUNTIME_DATABASE_URL."
        ),
        f"postgresql://postgres:{SECRET}@nowhere.invalid/x": "its name cannot be resolved. Correct the host",
        f"postgresql://postgres:{SECRET}@[::1/x": "is not a valid PostgreSQL URL. Write postgresql://user:password@",
        f"postgresql://postgres:{SECRET}/x@{address}/postgres": "is not a valid PostgreSQL URL",
        f"postgresql://postgres:{SECRET}%@{address}/postgres": "write %40 for @",
        f"postgresql://postgres:{SECRET}@{address}/postgres?sslmode=maybe": "is not a valid PostgreSQL URL",
    }
    for url, sentence in cases.items():
        for command in COMMANDS:
            refused = bare(*command, DATABASE_URL=url, ENCRYPTION_KEYS=new_key())
            assert refused.code == 1
            assert sentence in refused.sentence, url
            assert "canary" not in refused.err
        assert "canary" not in bare("doctor").out


def test_certificate_that_this_machine_refuses_is_explained(tmp_path: Path, bare: Run) -> None:
    with tls_server(tmp_path) as port:
        url = f"postgresql://postgres:{SECRET}@127.0.0.1:{port}/x?sslmode=verify-full&sslrootcert="
        server = f"PostgreSQL at 127.0.0.1:{port}"
        cases = {
            "system": f"This machine does not trust the certificate of {server}. Add ?sslrootcert=",
            f"{tmp_path}/nothing": "This machine does not trust the certificate of",
            f"{tmp_path}/certificate.pem": f"The certificate of {server} is for another host name.",
        }
        for root, sentence in cases.items():
            refused = bare("organizations", "list", DATABASE_URL=url + root)
            assert (refused.code, refused.sentence[: len(sentence)]) == (1, sentence)
            assert "canary" not in refused.err


@pytest.mark.parametrize(
    "url, sentence",
    [
        (
            "postgresql://ada:p@ss@db.example:5432/one",
            "more than one @ before the host. In the password, write %40 for @",
        ),
        ("postgresql://ada:p@ss@db.example?x=1", "more than one @ before the host"),
        ("sqlite://x.db", "has too few slashes after sqlite:. Write three slashes before a relative path"),
        ("sqlite:x.db", "must begin with sqlite:/// or postgresql://"),
        ("x.db", "must begin with sqlite:/// or postgresql://"),
        (f"host=db password={SECRET}", "must begin with sqlite:/// or postgresql://"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        (f"mysql://root:{SECRET}@db/x", "begins with mysql://, but One Runtime supports only SQLite and PostgreSQL."),
        (f"postgresql+psycopg://u:{SECRET}@db/x", "Write postgresql:// instead of postgresql+psycopg://."),
        ("sqlite+aiosqlite:///x.db", "Write sqlite:// instead of sqlite+aiosqlite://."),
    ],
)
def test_url_of_an_unsupported_kind_is_explained(url: str, sentence: str, bare: Run) -> None:
    for command in (*COMMANDS, ("backup", "/nowhere/copy.db")):
        refused = bare(*command, DATABASE_URL=url, ENCRYPTION_KEYS=new_key())
        assert (refused.code, refused.sentence.startswith("ONE_RUNTIME_DATABASE_URL ")) == (1, True)
        assert sentence in refused.sentence
        assert "canary" not in refused.err


def test_error_about_the_url_for_migrations_names_its_setting(bare: Run) -> None:
    for url, sentence in (
        ("mysql://root@db/x", "ONE_RUNTIME_DATABASE_DIRECT_URL begins with mysql://"),
        ("postgresql://u@127.0.0.1:1/x", "correct the host and the port in ONE_RUNTIME_DATABASE_DIRECT_URL."),
    ):
        pooled = "postgresql://u@127.0.0.1:2/x"
        refused = bare("migrate", DATABASE_URL=pooled, DATABASE_DIRECT_URL=url).sentence
        assert sentence in refused
        assert "ONE_RUNTIME_DATABASE_URL" not in refused


@pytest.mark.promise("P11")
def test_unknown_message_of_the_driver_is_not_shown() -> None:
    """A message that no pattern knows can contain a part of the URL."""
    error = psycopg.OperationalError(f'something new about "{SECRET}"')
    obstacle = postgres_obstacle(f"postgresql://one:{SECRET}@db.example.com/one", error)
    advice = "Check the database server, or correct ONE_RUNTIME_DATABASE_URL."
    assert obstacle == ("PostgreSQL at db.example.com cannot be reached", advice)


def test_missing_sqlite_file_is_named_with_its_path(tmp_path: Path, bare: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    relative = bare("organizations", "list", DATABASE_URL="").sentence
    assert relative.startswith(f"There is no database at {tmp_path}/one-runtime.db. The path is relative")
    for url in ("sqlite:////nope/x.db", f"sqlite:///{tmp_path}/x.db"):
        path = url.removeprefix("sqlite:///")
        for command in (("organizations", "list"), ("backup", str(tmp_path / "copy.db"))):
            assert bare(*command, DATABASE_URL=url).sentence == (
                f"There is no database at {path}. Correct ONE_RUNTIME_DATABASE_URL, or create the database with "
                "`one-runtime migrate`."
            )
    assert list(tmp_path.iterdir()) == [], "no command created a file"


def test_path_that_is_no_database_is_explained(tmp_path: Path, bare: Run) -> None:
    (tmp_path / "text.db").write_text("This file is a text, and not a database. " * 50)
    cases = {
        f"{tmp_path}": f"{tmp_path} is a folder, and not a database file. Add the name of a file",
        f"{tmp_path}/text.db": f"{tmp_path}/text.db is not a SQLite database. Correct ONE_RUNTIME_DATABASE_URL",
    }
    for path, sentence in cases.items():
        for command in COMMANDS:
            refused = bare(*command, DATABASE_URL=f"sqlite:///{path}", ENCRYPTION_KEYS=new_key())
            assert (refused.code, refused.sentence[: len(sentence)]) == (1, sentence), command
    for command in COMMANDS[1:]:
        below = bare(*command, DATABASE_URL=f"sqlite:///{tmp_path}/text.db/x.db", ENCRYPTION_KEYS=new_key())
        assert below.sentence.startswith(f"{tmp_path}/text.db is a file, and not a folder."), command


def test_file_of_another_user_is_explained(tmp_path: Path, migrated_sqlite_url: str, bare: Run) -> None:
    path = tmp_path / "one.db"
    path.write_bytes(Path(migrated_sqlite_url.removeprefix("sqlite:///")).read_bytes())
    path.chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o777)
    with without_rights():
        for command in COMMANDS:
            refused = bare(*command, DATABASE_URL=f"sqlite:///{path}", ENCRYPTION_KEYS=new_key()).sentence
            assert refused == (
                f"This user cannot read the file {path}. Run this command as the server's user, who must own the "
                "folder and the file."
            )
