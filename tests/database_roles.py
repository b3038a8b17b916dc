"""Users of PostgreSQL with few rights, for tests of permissions."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql


class Role:
    """A database user without rights. Statements must quote the name, as the name `one-runtime` in docs/deploying.md.

    `url`: the URL of the test's database with this user.
    """

    def __init__(self, owner_url: str) -> None:
        self.name = f"role-{uuid.uuid4().hex[:12]}"
        self.quoted = f'"{self.name}"'
        self.url = owner_url.replace("postgres@", f"{self.name}@")
        self._owner_url = owner_url

    def run(self, statement: str) -> None:
        """Run a statement as the owner of the database. `{role}` and `{database}` are the two names."""
        options = "-c default_transaction_read_only=off"
        with psycopg.connect(self._owner_url, autocommit=True, options=options) as connection:
            names = {"role": sql.Identifier(self.name), "database": sql.Identifier(connection.info.dbname)}
            connection.execute(sql.SQL(statement).format(**names))


@contextmanager
def role_on(url: str) -> Iterator[Role]:
    created = Role(url)
    created.run("CREATE ROLE {role} LOGIN")
    try:
        yield created
    finally:
        for statement in (
            "ALTER DATABASE {database} RESET default_transaction_read_only",
            "DROP OWNED BY {role}",
            "DROP ROLE {role}",
        ):
            created.run(statement)
