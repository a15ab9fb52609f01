"""The columns of a result: what their values become, and columnMetadata as JDBC drivers report it.

The Data API is a layer over the JDBC drivers of MariaDB and PostgreSQL.  Clients depend on their numbers and names of
types: ``int4`` and ``_text`` in PostgreSQL, ``INT`` and ``VARCHAR`` in MySQL.  A column that has a type only by its
values, as every expression in sqlite and a bare parameter, is described by the first value that is not NULL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterdb.flavours.types import Kind

__all__ = ["ResultColumn", "SqlType", "by_value", "typed_column"]

_NO_NULLS, _NULLABLE = 0, 1
_SIZES = re.compile(r"\((\d+)(?:\s*,\s*(\d+))?\)")


@dataclass(frozen=True, slots=True)
class SqlType:
    """A type of an engine.

    ``name``: as its JDBC driver has it.  ``number``: of ``java.sql.Types``.  ``form``: what values become: boolean,
    long, double, decimal, blob, string, moment (a text whose fraction of a second is shortened), array, or value (by
    the value).  ``element``: of arrays.
    """

    name: str
    number: int
    form: str
    precision: int = 0
    scale: int = 0
    is_signed: bool = False
    is_case_sensitive: bool = False
    element: SqlType | None = None


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result.

    ``label``: the name in the result.  ``name``: the one in the table, if it is a column of a table.  ``type``: None
    until a value has shown it.
    """

    label: str
    name: str
    table: str
    type: SqlType | None
    nullable: int = _NULLABLE
    is_auto_increment: bool = False

    def metadata(self) -> dict[str, Any]:
        """The 14 fields of a ColumnMetadata."""
        type = self.type or SqlType("", 0, "value")
        return {
            "arrayBaseColumnType": type.element.number if type.element is not None else 0,
            "isAutoIncrement": self.is_auto_increment,
            "isCaseSensitive": type.is_case_sensitive,
            "isCurrency": False,
            "isSigned": type.is_signed,
            "label": self.label,
            "name": self.name,
            "nullable": self.nullable,
            "precision": type.precision,
            "scale": type.scale,
            "schemaName": "",
            "tableName": self.table,
            "type": type.number,
            "typeName": _serial(type.name) if self.is_auto_increment else type.name,
        }


def _serial(name: str) -> str:
    """The name that PostgreSQL's driver has for the type of a numbered column."""
    return {"int2": "smallserial", "int4": "serial", "int8": "bigserial"}.get(name, name)


def _number(name: str, number: int, precision: int, form: str = "long", scale: int = 0) -> SqlType:
    return SqlType(name, number, form, precision, scale, is_signed=True)


def _text(name: str, number: int, precision: int, form: str = "string") -> SqlType:
    return SqlType(name, number, form, precision, is_case_sensitive=True)


# --- PostgreSQL -------------------------------------------------------------------------------------------------------
_ANY = 2147483647
_POSTGRESQL = {
    "integer": _number("int8", -5, 19),
    "double": _number("float8", 8, 17, "double", 17),
    "decimal": _number("numeric", 2, 0, "decimal"),
    "text": _text("text", 12, _ANY),
    "literal": _text("text", 12, _ANY),
    "char": _text("bpchar", 1, 1),
    "enum": _text("varchar", 12, _ANY),
    "date": SqlType("date", 91, "string", 13),
    "datetime": SqlType("timestamp", 93, "moment", 29, 6),
    "time": SqlType("time", 92, "moment", 15, 6),
    "boolean": SqlType("bool", -7, "boolean", 1),
    "json": _text("json", 1111, _ANY),
    "jsonb": _text("jsonb", 1111, _ANY),
    "uuid": _text("uuid", 1111, _ANY),
    "interval": _text("interval", 1111, 49),
    "bytes": SqlType("bytea", -2, "blob", _ANY),
}
_POSTGRESQL_INTEGERS = {16: _number("int2", 5, 5), 32: _number("int4", 4, 10)}
_POSTGRESQL_VALUES: dict[type, SqlType] = {
    bool: _POSTGRESQL["boolean"],
    int: _POSTGRESQL["integer"],
    float: _POSTGRESQL["double"],
    str: _POSTGRESQL["text"],
    bytes: _POSTGRESQL["bytes"],
}


def _postgresql(kind: Kind, declared: str) -> SqlType:
    result = _POSTGRESQL.get(kind.name, _POSTGRESQL["text"])
    sizes = _SIZES.search(declared)
    if kind.name == "integer":
        return _POSTGRESQL_INTEGERS.get(kind.size, result)
    if kind.name == "double" and kind.size == 32:
        return _number("float4", 7, 8, "double", 8)
    if kind.name == "decimal":
        return replace(result, precision=int(sizes[1]) if sizes else 0, scale=-1 if kind.scale is None else kind.scale)
    if kind.name == "text" and declared.lower().startswith("varchar"):
        return _text("varchar", 12, int(sizes[1]) if sizes else _ANY)
    if kind.name == "char":
        return replace(result, precision=kind.size or 1)
    if kind.name == "datetime" and kind.collation:
        return replace(result, name="timestamptz", precision=35)
    return result


# --- MySQL ------------------------------------------------------------------------------------------------------------
_MYSQL = {
    "integer": _number("BIGINT", -5, 19),
    "double": _number("DOUBLE", 8, 22, "double", 31),
    "decimal": _number("DECIMAL", 3, 10, "decimal"),
    "text": SqlType("VARCHAR", 12, "string", 255),
    "enum": SqlType("CHAR", 1, "string", 255),
    "date": SqlType("DATE", 91, "string", 10),
    "datetime": SqlType("DATETIME", 93, "string", 19),
    "time": SqlType("TIME", 92, "string", 10),
    "boolean": _number("BIGINT", -5, 1),
    "json": SqlType("JSON", -1, "string", 2**30 - 1),
    "bytes": SqlType("BLOB", -4, "blob", 65535),
}
_MYSQL_INTEGERS = {
    8: _number("TINYINT", -6, 3),
    16: _number("SMALLINT", 5, 5),
    24: _number("MEDIUMINT", 4, 7),
    32: _number("INT", 4, 10),
}
_MYSQL_TEXTS = {
    "text": SqlType("TEXT", -1, "string", 65535),
    "tinytext": SqlType("TINYTEXT", 12, "string", 255),
    "mediumtext": SqlType("MEDIUMTEXT", -1, "string", 2**24 - 1),
    "longtext": SqlType("LONGTEXT", -1, "string", 2**32 // 2 - 1),
    "char": SqlType("CHAR", 1, "string", 1),
    "varchar": SqlType("VARCHAR", 12, "string", 255),
}
_MYSQL_VALUES: dict[type, SqlType] = {
    bool: _MYSQL["integer"],
    int: _MYSQL["integer"],
    float: _MYSQL["double"],
    str: _MYSQL["text"],
    bytes: _MYSQL["bytes"],
}
_BIT = SqlType("BIT", -7, "boolean", 1)


def _mysql(kind: Kind, declared: str) -> SqlType:
    declared = declared.lower()
    result = _MYSQL.get(kind.name, _MYSQL["text"])
    sizes = _SIZES.search(declared)
    if declared.startswith("tinyint(1)"):  # the driver takes it for a boolean, as BOOLEAN is an alias of it
        return _BIT
    if kind.name == "integer":
        result = _number("YEAR", 91, 4) if kind.collation == "year" else _MYSQL_INTEGERS.get(kind.size, result)
        if "unsigned" in declared:
            result = replace(result, name=f"{result.name} UNSIGNED", is_signed=False)
    elif kind.name == "double" and kind.size == 32:
        result = _number("FLOAT", 7, 12, "double", 31)
    elif kind.name == "decimal":
        precision = int(sizes[1]) if sizes else result.precision
        result = replace(result, precision=precision, scale=-1 if kind.scale is None else kind.scale)
    elif kind.name == "text":
        word = re.match(r"\w*", declared)
        result = _MYSQL_TEXTS.get(word[0] if word else "", result)
        result = replace(result, precision=int(sizes[1]) if sizes else result.precision)
        is_case_sensitive = kind.collation.endswith(("_bin", "_cs")) or kind.collation == "binary"
        result = replace(result, is_case_sensitive=is_case_sensitive)
    elif kind.name == "datetime":
        result = replace(result, name="TIMESTAMP" if declared.startswith("timestamp") else "DATETIME")
        result = replace(result, scale=kind.scale or 0)
    elif kind.name == "bytes" and "binary" in declared:
        is_variable = "varbinary" in declared
        result = replace(result, name="VARBINARY" if is_variable else "BINARY", number=-3 if is_variable else -2)
        result = replace(result, precision=int(sizes[1]) if sizes else result.precision)
    return result


# --- sqlite -----------------------------------------------------------------------------------------------------------
_SQLITE_VALUES: dict[type, SqlType] = {
    bool: _number("INTEGER", 4, 19),
    int: _number("INTEGER", 4, 19),
    float: _number("REAL", 8, 17, "double", 17),
    str: _text("TEXT", 12, 0),
    bytes: SqlType("BLOB", -2, "blob"),
}
_SQLITE_NUMBERS = {"BIGINT": -5, "SMALLINT": 5, "TINYINT": -6, "DATE": 91, "TIME": 92, "DATETIME": 93}
_SQLITE_NUMBERS |= {"TIMESTAMP": 93, "BOOLEAN": -7, "BOOL": -7, "DECIMAL": 3, "NUMERIC": 2, "CHAR": 1}


def _sqlite(declared: str) -> SqlType:
    """By SQLite's rules of affinity, and for BOOLEAN and DECIMAL(p,s) by what their names mean elsewhere."""
    name = declared.partition("(")[0].strip().upper()
    sizes = _SIZES.search(declared)
    precision, scale = (int(sizes[1]), int(sizes[2] or 0)) if sizes else (0, 0)
    if "INT" in name:
        type = _number(name, 4, 19)
    elif any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        type = _text(name, 12, precision)
    elif "BLOB" in name:
        type = SqlType(name, -2, "blob", precision)
    elif any(part in name for part in ("REAL", "FLOA", "DOUB")):
        type = _number(name, 8, 17, "double", 17)
    elif name in ("BOOLEAN", "BOOL"):
        type = SqlType(name, -7, "boolean", 1)
    elif name in ("DECIMAL", "NUMERIC", "DEC") and sizes:
        type = _number(name, 3, precision, "decimal", scale)
    else:
        type = SqlType(name, 12, "value", precision, scale)
    return replace(type, number=_SQLITE_NUMBERS.get(name, type.number))


# --- all --------------------------------------------------------------------------------------------------------------
_VALUES = {"aurora-mysql": _MYSQL_VALUES, "aurora-postgresql": _POSTGRESQL_VALUES, "sqlite": _SQLITE_VALUES}
_NULLS = {
    "aurora-mysql": SqlType("NULL", 0, "value"),
    "aurora-postgresql": _POSTGRESQL["text"],
    "sqlite": SqlType("NULL", 0, "value"),
}


def typed_column(engine: str, kind: Kind | None, declared: str | None) -> SqlType | None:
    """The type of a column by its kind and its declaration; None if only its values have one."""
    if engine == "sqlite":
        return _sqlite(declared) if declared else None
    if kind is None and declared:
        kind = _kind_of(declared)
    if kind is None or kind.name in ("unknown", "null", "mixed"):
        return None
    return _postgresql(kind, declared or "") if engine == "aurora-postgresql" else _mysql(kind, declared or "")


def _kind_of(declared: str) -> Kind:
    """The kind of a table's column in the result of RETURNING, for which the engine tells none."""
    from clusterdb.flavours.schema import Column
    from clusterdb.flavours.types import of_column

    return of_column(Column(declared.lower()))


def by_value(engine: str, values: Sequence[object]) -> SqlType:
    """The type of a column that has none, by the first value that is not NULL."""
    value = next((value for value in values if value is not None), None)
    return _NULLS[engine] if value is None else _VALUES[engine].get(type(value), _VALUES[engine][str])
