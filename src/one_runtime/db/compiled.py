"""Compile SQLAlchemy Core statements for a bare driver, and convert parameters and result values.

The module compiles each statement once for its dialect. It converts values by the statement's SQL types, so both
databases return the same Python values: `str` for UUIDs, aware `datetime`, `bytes`, parsed JSON, `bool`. One Runtime
does not use SQLAlchemy's engines: an engine takes four to seven times as long as the query itself
(docs/decisions/0001-bare-drivers.md).
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
    """Row of a statement without a row type: a named tuple of the statement's columns.

    The type checker does not check a row's attributes. So the module that runs the statement converts the row
    immediately.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        count: Any  # a column of this name hides the tuple's method

        def __getattr__(self, name: str) -> Any: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Bind:
    """A parameter of a compiled statement: its name in the SQL text, and the keyword argument with its value."""

    name: str
    key: str
    default: object
    required: bool
    convert: Convert | None


class CompiledStatement:
    """The text of a statement, its parameters, and the constructors of its rows."""

    __slots__ = ("binds", "make_row", "text")

    def __init__(self, text: str, binds: tuple[Bind, ...], columns: Sequence[tuple[str, Convert | None]]) -> None:
        self.text, self.binds, self.make_row = text, binds, RowMakers(columns)

    def values(self, params: Params) -> dict[str, object]:
        """Return the driver's parameters. Raises: KeyError for a missing parameter."""
        values: dict[str, object] = {}
        for bind in self.binds:
            value = params[bind.key] if bind.required else params.get(bind.key, bind.default)
            values[bind.name] = bind.convert(value) if bind.convert and value is not None else value
        return values


class RowMakers(dict[type, MakeRow]):
    """The constructors of a statement's rows, one for each row type that callers have used.

    Raises: TypeError for a row type whose fields are not the statement's columns.
    """

    def __init__(self, columns: Sequence[tuple[str, Convert | None]]) -> None:
        super().__init__()
        self._names = [name for name, _ in columns]
        self._converts = tuple((index, convert) for index, (_, convert) in enumerate(columns) if convert)

    def __missing__(self, row_type: type) -> MakeRow:
        maker = self[row_type] = self._create(self._row_class(row_type))
        return maker

    def _row_class(self, row_type: Any) -> Any:
        if row_type is Row:
            return namedtuple("Row", self._names, rename=True)  # noqa: PYI024 - not known earlier
        is_dataclass = dataclasses.is_dataclass(row_type)
        fields = [field.name for field in dataclasses.fields(row_type)] if is_dataclass else list(row_type._fields)
        if fields != self._names:
            raise TypeError(
                f"{row_type.__name__} has the fields {fields}, but the statement has the columns {self._names}."
            )
        return row_type

    def _create(self, row_class: Any) -> MakeRow:
        converts = self._converts
        if not converts and issubclass(row_class, tuple):
            make: MakeRow = row_class._make
            return make

        def convert_and_make(values: Sequence[object]) -> object:
            cells = list(values)
            for index, convert in converts:
                if cells[index] is not None:
                    cells[index] = convert(cells[index])
            return row_class(*cells)

        return convert_and_make


class StatementCompiler:
    """Compiles each statement once for one dialect."""

    def __init__(
        self, dialect: Dialect, *, binds: Mapping[type[TypeEngine[Any]], Convert], results: Mapping[type, Convert]
    ) -> None:
        self._dialect, self._binds, self._results = dialect, binds, results
        self._compiled: WeakKeyDictionary[ClauseElement, CompiledStatement] = WeakKeyDictionary()

    def compile(self, statement: ClauseElement) -> CompiledStatement:
        """Return the compiled statement. The cache keeps it as long as the statement itself exists."""
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
        """Return one parameter. SQLAlchemy expands `IN (x)` to `x_1, x_2`, with the type of `x`."""
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
    """Return the function that converts values of a type, or None if the values stay unchanged."""
    return next((convert for base, convert in converts.items() if isinstance(kind, base)), None)
