"""Compile SQLAlchemy Core statements to SQL text for a database driver, and convert parameters and result values.

For each dialect, the module compiles each statement object once, and caches the result. The SQL type of a column or
parameter decides the conversion of values. So SQLite and PostgreSQL return the same Python types: `str` for UUIDs,
aware `datetime`, `bytes`, parsed JSON, `bool`.

One Runtime does not use SQLAlchemy's async engines, because a query through an async engine takes four to seven times
as long (docs/decisions/0001-bare-drivers.md).
"""

import dataclasses
import json
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
    """Type of the result rows if the caller passes no row type. At run time, a result row is a named tuple.

    Convert each `Row` to another type immediately, because the type checker does not check the attributes of a `Row`.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        count: Any  # a column `count` replaces the method `count` of tuples

        def __getattr__(self, name: str) -> Any: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Bind:
    """A parameter of a compiled statement.

    `name`: name in the SQL text. `key`: name of the keyword argument that contains the value.
    """

    name: str
    key: str
    default: object
    required: bool
    convert: Convert | None


class CompiledStatement:
    """A statement's SQL text and parameters, and the functions that make its result rows."""

    __slots__ = ("binds", "make_row", "text")

    def __init__(self, text: str, binds: tuple[Bind, ...], columns: Sequence[tuple[str, Convert | None]]) -> None:
        self.text, self.binds, self.make_row = text, binds, RowMakers(columns)

    def values(self, params: Params) -> dict[str, object]:
        """Return the parameters for the driver. Raises: KeyError for a missing parameter."""
        values: dict[str, object] = {}
        for bind in self.binds:
            value = params[bind.key] if bind.required else params.get(bind.key, bind.default)
            values[bind.name] = bind.convert(value) if bind.convert and value is not None else value
        return values


class RowMakers(dict[type, MakeRow]):
    """The functions that make a statement's result rows, by row type. The first use of a row type creates its function.

    Raises: TypeError if the fields of a row type are not the statement's columns.
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
            return namedtuple("Row", self._names, rename=True)  # noqa: PYI024 - the statement defines the fields
        is_dataclass = dataclasses.is_dataclass(row_type)
        fields = [field.name for field in dataclasses.fields(row_type)] if is_dataclass else list(row_type._fields)
        if fields != self._names:
            raise TypeError(
                f"{row_type.__name__} has the fields {fields}, but the statement has the columns {self._names}."
            )
        return row_type

    def _create(self, row_class: Any) -> MakeRow:
        converts = self._converts
        # `tuple.__new__` is faster than the constructor of a named tuple.
        is_tuple = issubclass(row_class, tuple)
        make: MakeRow = partial(tuple.__new__, row_class) if is_tuple else lambda values: row_class(*values)
        if not converts:
            return make

        def convert_and_make(values: Sequence[object]) -> object:
            cells = list(values)
            for index, convert in converts:
                if cells[index] is not None:
                    cells[index] = convert(cells[index])
            return make(cells)

        return convert_and_make


class StatementCompiler:
    """Compiles statements for one SQL dialect. The compiler compiles each statement object only once."""

    def __init__(
        self, dialect: Dialect, *, binds: Mapping[type[TypeEngine[Any]], Convert], results: Mapping[type, Convert]
    ) -> None:
        self._dialect, self._binds, self._results = dialect, binds, results
        self._compiled: WeakKeyDictionary[ClauseElement, CompiledStatement] = WeakKeyDictionary()

    def compile(self, statement: ClauseElement) -> CompiledStatement:
        """Return the compiled statement. The result stays in a cache as long as `statement` exists."""
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
        # SQLAlchemy replaces the list parameter `x` of `IN` with `x_1`, `x_2` and so on, which have the type of `x`.
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
    """Return the JSON text that the database stores for a value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _converter(converts: Mapping[type, Convert], kind: TypeEngine[Any]) -> Convert | None:
    return next((convert for base, convert in converts.items() if isinstance(kind, base)), None)
