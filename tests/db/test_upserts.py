"""Decision 8: what SQLAlchemy's PostgreSQL dialect makes of an upsert, its SQLite dialect makes too."""

import re
from importlib import import_module
from typing import Final

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert

from tests.documentation import ROOT

IMPORT: Final = "from sqlalchemy.dialects.postgresql import insert"
SOURCE: Final = ROOT / "src"
NOUNS: Final = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in SOURCE.rglob("*.py")
    if IMPORT in path.read_text("utf-8")
)


def upserts(noun: str) -> list[Insert]:
    """The module's statements that are upserts."""
    return [one for one in vars(import_module(noun)).values() if isinstance(one, Insert)]


def test_there_are_upserts() -> None:
    assert NOUNS


@pytest.mark.parametrize("noun", NOUNS)
def test_both_databases_get_the_same_upsert(noun: str) -> None:
    assert upserts(noun)
    for statement in upserts(noun):
        texts = {
            re.sub(r"::\w+(?: WITH TIME ZONE)?", "", str(statement.compile(dialect=dialect(paramstyle="named"))))
            for dialect in (postgresql.dialect, sqlite.dialect)
        }
        assert len(texts) == 1, texts
