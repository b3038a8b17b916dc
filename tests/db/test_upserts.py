"""Decision 8: upserts of SQLAlchemy's SQLite dialect compile to the same SQL for PostgreSQL."""

import re
from importlib import import_module
from typing import Final

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from one_runtime.db.upsert import Insert
from tests.documentation import ROOT

IMPORT: Final = "from one_runtime.db.upsert import insert"
SOURCE: Final = ROOT / "src"
MODULES: Final = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in SOURCE.rglob("*.py")
    if IMPORT in path.read_text("utf-8")
)


def upserts(module: str) -> list[Insert]:
    """Return the upserts of a module."""
    return [statement for statement in vars(import_module(module)).values() if isinstance(statement, Insert)]


def test_package_has_upserts() -> None:
    assert sum(len(upserts(module)) for module in MODULES) > 5


@pytest.mark.parametrize("module", MODULES)
def test_upsert_is_the_same_on_both_databases(module: str) -> None:
    for statement in upserts(module):
        texts = {
            re.sub(r"::\w+(?: WITH TIME ZONE)?", "", str(statement.compile(dialect=dialect(paramstyle="named"))))
            for dialect in (postgresql.dialect, sqlite.dialect)
        }
        # Only PostgreSQL's dialect adds the name of the table in RETURNING, and has locks of rows.
        texts = {text.replace(f"{statement.table.description}.", "") for text in texts}
        assert len({text.replace(" FOR KEY SHARE OF organizations", "") for text in texts}) == 1, texts
