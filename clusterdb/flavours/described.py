"""The types of result columns as the engines and their JDBC drivers name them, and values of these types in Python.

A column of a table has the type of its declaration, an expression that of its kind.  Names, numbers and sizes are those
of the metadata of pgjdbc and MySQL Connector/J, which the RDS Data API answers: PostgreSQL's names in lower case
(``int4``, ``varchar``, ``_int4``; ``serial`` for a numbered column), MySQL's in upper case.  Sources:
``java.sql.Types``, ``TypeInfoCache`` of pgjdbc, ``MysqlType`` of Connector/J.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

from clusterdb.flavours.schema import Column, Schema
from clusterdb.flavours.types import Kind, of_column

__all__ = [
    "Engine",
    "Loader",
    "ResultColumn",
    "ResultType",
    "decimal_of",
    "described",
    "mysql_type",
    "numbered_type",
    "postgresql_type",
]

Loader = Callable[[Any], Any]
"""Makes a value in Python of one that SQLite keeps; not called with None."""


@dataclass(frozen=True, slots=True)
class ResultType:
    """A type: its name, its number in ``java.sql.Types``, its digits or characters, and the digits behind the point.

    ``element``: of an array the number of its elements' type, 0 for others.
    """

    name: str
    jdbc: int
    precision: int = 0
    scale: int = 0
    is_signed: bool = False
    is_case_sensitive: bool = False
    element: int = 0


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """What JDBC's drivers tell of a result column; see :class:`clusterdb.dbapi2.columns.Column`."""

    table: str = ""
    schema: str = ""
    column: str = ""
    type_name: str = ""
    jdbc_type: int = 1111
    precision: int = 0
    scale: int = 0
    nullable: int = 2
    is_auto_increment: bool = False
    is_signed: bool = False
    is_case_sensitive: bool = False
    element_jdbc_type: int = 0


class Engine(Protocol):
    """A flavour, as far as it has types: its engine, the schema of its tables, and the type of a result column."""

    engine: str
    schema_name: str

    def result_type(self, kind: Kind | None, declared: str, schema: Schema) -> ResultType | None:
        """The type of a column, by its declaration, empty for an expression, else by its kind."""


def described(
    flavour: Engine,
    kind: Kind | None,
    declared: str,
    origin: tuple[str | None, str | None, str | None],
    schema: Schema,
) -> ResultColumn:
    """A result column: ``origin`` is the database, the table and the column that SQLite has it from."""
    table, name = (origin[1] or "").lower(), (origin[2] or "").lower()
    column = schema.tables.get(table, {}).get(name)
    declared_type = column.declared if column is not None else declared
    if kind is not None and declared_type and not _is_same(kind, of_column(column or Column(declared_type.lower()))):
        column, declared_type = None, ""  # a cast of the column, which SQLite keeps in the same way
    result = flavour.result_type(kind, declared_type, schema)
    is_plain = column is not None and not table.startswith("clusterdb_cursor_")
    is_numbered = is_plain and _is_numbered(schema, table, name, declared)
    if result is not None and is_numbered and flavour.engine == "aurora-postgresql":
        result = numbered_type(result)
    nullable = 2 if column is None or not is_plain else int(not column.is_required)
    found_in = (origin[1] or "", flavour.schema_name, origin[2] or "") if is_plain else ("", "", "")
    if result is None:
        return ResultColumn(*found_in, nullable=nullable)
    return ResultColumn(
        *found_in,
        result.name,
        result.jdbc,
        result.precision,
        result.scale,
        nullable,
        is_numbered,
        result.is_signed,
        result.is_case_sensitive,
        result.element,
    )


def _is_same(kind: Kind, own: Kind) -> bool:
    """Whether an expression has the kind that the column has that SQLite has it from."""
    if kind.name == "array":
        return own.name == "array" and of_column(Column(kind.members)) == of_column(Column(own.members))
    return (kind.name, kind.scale, kind.size) == (own.name, own.scale, own.size)


def _is_numbered(schema: Schema, table: str, name: str, declared: str) -> bool:
    if name in schema.numbers.get(table, {}):
        return True
    return table in schema.numbered and name in schema.primary.get(table, ()) and declared.lower() == "integer"


_LONG = 2147483647
_INT2, _INT4 = ResultType("int2", 5, 5, is_signed=True), ResultType("int4", 4, 10, is_signed=True)
_INT8 = ResultType("int8", -5, 19, is_signed=True)
_TEXT = ResultType("text", 12, _LONG, is_case_sensitive=True)
_POSTGRESQL: dict[str, ResultType] = {
    "boolean": ResultType("bool", -7, 1),
    "text": _TEXT,
    "literal": _TEXT,
    "null": _TEXT,
    "date": ResultType("date", 91, 13),
    "time": ResultType("time", 92, 15, 6),
    "json": ResultType("json", 1111, _LONG, is_case_sensitive=True),
    "jsonb": ResultType("jsonb", 1111, _LONG, is_case_sensitive=True),
    "uuid": ResultType("uuid", 1111, _LONG),
    "bytes": ResultType("bytea", -2, _LONG),
    "interval": ResultType("interval", 1111, 49),
}
_SERIAL = {"int2": "smallserial", "int4": "serial", "int8": "bigserial"}
_SIZES = re.compile(r"\((\d+)(?:\s*,\s*(\d+))?\)")


def _sizes(declared: str) -> tuple[int, int]:
    match = _SIZES.search(declared)
    return (0, 0) if match is None else (int(match[1]), int(match[2] or 0))


def postgresql_type(kind: Kind | None, declared: str, schema: Schema) -> ResultType | None:
    """PostgreSQL's type of a column, by its kind and its declaration, empty for an expression; None if unknown."""
    if declared:
        kind = of_column(Column(declared.lower()))
    if kind is None:
        return None
    size, scale = _sizes(declared)
    if kind.name == "array":
        element = postgresql_type(of_column(Column(kind.members)), kind.members, schema)
        return None if element is None else replace(element, name=f"_{element.name}", jdbc=2003, element=element.jdbc)
    if kind.name == "integer":
        return {16: _INT2, 32: _INT4}.get(kind.size, _INT8)
    if kind.name in ("decimal", "number"):
        return ResultType("numeric", 2, size, scale if declared else kind.scale or 0, is_signed=True)
    if kind.name == "double":
        is_single = kind.size == 32
        return ResultType(*(("float4", 7, 8, 8) if is_single else ("float8", 8, 17, 17)), is_signed=True)
    if kind.name == "char":
        return ResultType("bpchar", 1, kind.size or 1, is_case_sensitive=True)
    if declared.lower().startswith("varchar"):
        return ResultType("varchar", 12, size or _LONG, is_case_sensitive=True)
    if kind.name == "datetime":
        digits = 6 if kind.scale is None else kind.scale
        return ResultType("timestamptz", 93, 35, digits) if kind.collation else ResultType("timestamp", 93, 29, digits)
    if kind.name == "enum" and kind.size in schema.labels:
        return ResultType(schema.labels[kind.size].name, 12, _LONG, is_case_sensitive=True)
    return _POSTGRESQL.get(kind.name)


def numbered_type(kind: ResultType) -> ResultType:
    """The type of a column of PostgreSQL that is numbered."""
    return replace(kind, name=_SERIAL.get(kind.name, kind.name))


_OF_KINDS = {
    "boolean": "INT",
    "text": "VARCHAR",
    "literal": "VARCHAR",
    "char": "VARCHAR",
    "null": "NULL",
    "date": "DATE",
    "time": "TIME",
    "datetime": "DATETIME",
    "json": "JSON",
    "bytes": "VARBINARY",
    "double": "DOUBLE",
    "decimal": "DECIMAL",
    "number": "DOUBLE",
    "enum": "CHAR",
}
_MYSQL: dict[str, tuple[int, int]] = {
    "BIT": (-7, 1),
    "TINYINT": (-6, 3),
    "SMALLINT": (5, 5),
    "MEDIUMINT": (4, 7),
    "INT": (4, 10),
    "BIGINT": (-5, 19),
    "YEAR": (91, 4),
    "DECIMAL": (3, 10),
    "FLOAT": (7, 12),
    "DOUBLE": (8, 22),
    "DATE": (91, 10),
    "TIME": (92, 10),
    "DATETIME": (93, 19),
    "TIMESTAMP": (93, 19),
    "CHAR": (1, 1),
    "VARCHAR": (12, 0),
    "TINYTEXT": (12, 255),
    "TEXT": (-1, 65535),
    "MEDIUMTEXT": (-1, 16777215),
    "LONGTEXT": (-1, _LONG),
    "JSON": (-1, _LONG),
    "BINARY": (-2, 1),
    "VARBINARY": (-3, 0),
    "TINYBLOB": (-3, 255),
    "BLOB": (-4, 65535),
    "MEDIUMBLOB": (-4, 16777215),
    "LONGBLOB": (-4, _LONG),
    "NULL": (0, 0),
}
_WHOLE = ("TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT")
_NUMERIC = (*_WHOLE, "DECIMAL", "FLOAT", "DOUBLE")
_FRACTIONS = ("TIME", "DATETIME", "TIMESTAMP")
_COUNTED = ("CHAR", "VARCHAR", "BINARY", "VARBINARY")


def mysql_type(kind: Kind | None, declared: str) -> ResultType | None:
    """MySQL's type of a column, by its kind and its declaration, empty for an expression; None if unknown.

    TINYINT(1) is a bit, as for Connector/J.
    """
    size, scale = _sizes(declared)
    name = _word(declared) if declared else _of_kind(kind)
    if name not in _MYSQL:
        return None
    jdbc, precision = _MYSQL[name]
    if name == "TINYINT" and size == 1:
        return ResultType("TINYINT", -7, 1, is_signed=True)
    if name == "DECIMAL":
        precision, scale = (size or 10, scale) if declared else (65, (kind.scale if kind is not None else None) or 0)
    elif name in _FRACTIONS:
        digits = size if declared else (kind.scale if kind is not None else None) or 0
        precision, scale = precision + (digits + 1 if digits else 0), 0
    elif name in _COUNTED:
        precision, scale = size or precision, 0
    else:
        scale = 0
    is_unsigned = "unsigned" in declared.lower() or "zerofill" in declared.lower()
    shown = f"{name} UNSIGNED" if is_unsigned else name
    return ResultType(shown, jdbc, precision, scale, is_signed=name in _NUMERIC and not is_unsigned)


def _of_kind(kind: Kind | None) -> str:
    if kind is None:
        return ""
    if kind.name == "integer":
        return {8: "TINYINT", 16: "SMALLINT", 24: "MEDIUMINT", 32: "INT"}.get(kind.size, "BIGINT")
    return _OF_KINDS.get(kind.name, "")


def _word(declared: str) -> str:
    """The name of a type in its declaration."""
    plain = re.sub(r"\([^)]*+\)", " ", declared.upper())
    words = [word for word in plain.split() if word not in ("UNSIGNED", "ZEROFILL")]
    if words[:1] in (["ENUM"], ["SET_OF"]):
        return "CHAR"
    if words[:1] == ["JSON"]:
        return "JSON"
    if len(words) > 1 and words[0] == "BLOB":
        words = words[1:]
    first = words[0] if words else ""
    return {"INTEGER": "INT", "NUMERIC": "DECIMAL", "REAL": "DOUBLE"}.get(first, first)


def decimal_of(value: int | float | str, scale: int | None) -> Decimal:
    """A number with its scale, exact up to the 15 digits that SQLite keeps; as few digits as it has if unknown."""
    if scale is not None:
        return Decimal(repr(value) if isinstance(value, float) else str(value)).quantize(Decimal(1).scaleb(-scale))
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return Decimal(int(value))
    return Decimal(repr(value) if isinstance(value, float) else str(value))
