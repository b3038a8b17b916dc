"""Compile SQLAlchemy Core statements for a bare driver, and convert the values that go in and come out.

A statement is compiled once for its dialect. Its own bind and result types drive the conversion, so that both databases
give the same Python values: `str` for UUIDs, aware `datetime`, `bytes`, parsed JSON, `bool`. SQLAlchemy's engines are
not used: they cost four to seven times the query (docs/decisions/0001-bare-drivers.md).
"""

import dataclasses
import json
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Params: TypeAlias = Mapping[str, object]
Convert: TypeAlias = Callable[[Any], object]
MakeRow: TypeAlias = Callable[[Sequence[object]], Any]


class Row(tuple[Any, ...]):
    """Row of a statement that was run without a row type: a named tuple of the statement's columns.

    Its attributes are not checked by the type checker; the module that ran the statement converts it at once.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        count: Any  # a column hides the method of tuples

        def __getattr__(self, name: str) -> Any: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Bind:
    """A parameter of a compiled statement: its name in the text, and the keyword that its value is passed by."""

    name: str
    key: str
    default: object
    required: bool
    convert: Convert | None


class CompiledStatement:
    """The text of a statement, its parameters, and one row constructor for each row type that it was run with."""

    __slots__ = ("_columns", "_makers", "binds", "text")

    def __init__(self, text: str, binds: tuple[Bind, ...], columns: Sequence[tuple[str, Convert | None]]) -> None:
        self.text, self.binds, self._columns = text, binds, columns
        self._makers: dict[type, MakeRow] = {}

    def values(self, params: Params) -> dict[str, object]:
        """Return the driver's parameters. Raises: KeyError for a missing one."""
        values: dict[str, object] = {}
        for bind in self.binds:
            value = params[bind.key] if bind.required else params.get(bind.key, bind.default)
            values[bind.name] = bind.convert(value) if bind.convert and value is not None else value
        return values

    def make_row(self, row_type: type) -> MakeRow:
        """Return the constructor of rows. Raises: TypeError where the fields of the type are not the columns."""
        maker = self._makers.get(row_type)
        if maker is None:
            maker = self._makers[row_type] = self._new_maker(row_type)
        return maker

    def _new_maker(self, row_type: type) -> MakeRow:
        construct = _constructor(row_type, [name for name, _ in self._columns])
        converts = tuple((index, convert) for index, (_, convert) in enumerate(self._columns) if convert)
        if not converts:
            return construct

        def make(values: Sequence[object]) -> object:
            cells = list(values)
            for index, convert in converts:
                if cells[index] is not None:
                    cells[index] = convert(cells[index])
            return construct(cells)

        return make


def _constructor(row_type: type, columns: list[str]) -> MakeRow:
    make_type: Any = namedtuple  # noqa: PYI024 - the columns are known at run time only
    if row_type is Row:
        untyped: Any = make_type("Row", columns, rename=True)
        return untyped._make  # type: ignore[no-any-return]
    is_dataclass = dataclasses.is_dataclass(row_type)
    fields = [field.name for field in dataclasses.fields(row_type)] if is_dataclass else list(row_type._fields)  # type: ignore[attr-defined]
    if fields != columns:
        raise TypeError(f"{row_type.__name__} has the fields {fields}, but the statement has the columns {columns}.")
    if is_dataclass:
        return lambda cells: row_type(*cells)
    return row_type._make  # type: ignore[attr-defined, no-any-return]


class StatementCompiler:
    """Compiles each statement once for one dialect."""

    def __init__(
        self, dialect: Dialect, *, binds: Mapping[type[TypeEngine[Any]], Convert], results: Mapping[type, Convert]
    ) -> None:
        self._dialect, self._binds, self._results = dialect, binds, results
        self._compiled: WeakKeyDictionary[ClauseElement, CompiledStatement] = WeakKeyDictionary()

    def compile(self, statement: ClauseElement) -> CompiledStatement:
        """Return the compiled statement. The cache keeps it for as long as the statement itself exists."""
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = self._compiled[statement] = self._compile(statement)
        return compiled

    def _compile(self, statement: ClauseElement) -> CompiledStatement:
        compiled = statement.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - true for each statement that returns rows or a count
        binds = [self._bind(compiled, name) for name in compiled.positiontup or compiled.params]
        columns = [
            (column.keyname, _converter(self._results, column.type))
            for column in compiled._result_columns  # noqa: SLF001
        ]
        return CompiledStatement(compiled.string, tuple(binds), columns)

    def _bind(self, compiled: SQLCompiler, name: str) -> Bind:
        """Return one parameter. `IN (x)` was expanded to `x_1, x_2`, which hold their values and have the type of x."""
        bind = compiled.binds.get(name)
        expanded = bind is None
        bind = bind if bind is not None else compiled.binds[name.rpartition("_")[0]]
        return Bind(
            name,
            name if expanded else bind.key,
            compiled.params[name],
            bind.required and not expanded,
            _converter(self._binds, bind.type),
        )


def dump_json(value: object) -> str:
    """Return a value as the JSON text to store."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _converter(converts: Mapping[type, Convert], kind: TypeEngine[Any]) -> Convert | None:
    """Return the conversion of values of a type, or None where they pass unchanged."""
    return next((convert for base, convert in converts.items() if isinstance(kind, base)), None)
