"""Build conditions with a list of ids as one parameter, so that a statement is compiled only once.

SQLAlchemy's `in_` has a parameter for each value, so each number of values needs another statement.
"""

from typing import Any

from sqlalchemy import ColumnElement, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from one_runtime.db.schema import DOCUMENT


class _IdInList(ColumnElement[bool]):
    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], parameter: str) -> None:
        self.column, self.ids = column, bindparam(parameter, type_=DOCUMENT)


@compiles(_IdInList, "postgresql")
def _postgresql(element: _IdInList, compiler: SQLCompiler, **options: Any) -> str:
    column, ids = (compiler.process(part, **options) for part in (element.column, element.ids))
    listed = f"SELECT CAST(listed AS UUID) FROM jsonb_array_elements_text({ids}) AS listed"  # noqa: S608 - the parts are SQL, not values
    return f"{column} IN ({listed})"


@compiles(_IdInList, "sqlite")
def _sqlite(element: _IdInList, compiler: SQLCompiler, **options: Any) -> str:
    column, ids = (compiler.process(part, **options) for part in (element.column, element.ids))
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608 - as above


def in_list(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Return the condition that a column with ids has one of the ids in a parameter. Pass a list of texts."""
    return _IdInList(column, parameter)
