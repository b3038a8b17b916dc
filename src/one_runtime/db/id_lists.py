"""Build conditions with a list of values as one parameter, so that a statement is compiled only once.

SQLAlchemy's `in_` has a parameter for each value, so each number of values needs another statement.
"""

from typing import Any

from sqlalchemy import ColumnElement, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from one_runtime.db.schema import DOCUMENT


class _ValueInList(ColumnElement[bool]):
    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], parameter: str) -> None:
        self.column, self.values = column, bindparam(parameter, type_=DOCUMENT)


@compiles(_ValueInList, "postgresql")
def _postgresql(element: _ValueInList, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in (element.column, element.values))
    kind = compiler.dialect.type_compiler_instance.process(element.column.type)
    listed = f"SELECT CAST(listed AS {kind}) FROM jsonb_array_elements_text({values}) AS listed"  # noqa: S608 - the parts are SQL, not values
    return f"{column} IN ({listed})"


@compiles(_ValueInList, "sqlite")
def _sqlite(element: _ValueInList, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in (element.column, element.values))
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - as above


def in_list(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Return the condition that a column has one of the values in a parameter.

    Pass a list of texts: ids, or times in the format of RFC 3339 as `clock.rfc3339` writes them.
    """
    return _ValueInList(column, parameter)
