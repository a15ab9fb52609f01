"""The columns of a result: what their values become, and columnMetadata as JDBC drivers report it.

The Data API is a layer over the JDBC drivers of MariaDB and PostgreSQL.  Clients depend on their numbers and names of
types: ``int4`` and ``_text`` in PostgreSQL, ``INT`` and ``VARCHAR`` in MySQL.  A column that has a type only by its
values, as every expression in sqlite and a bare parameter, is described by the first value that is not NULL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import NoneType
from typing import Any

from clusterdb.dbapi2.columns import Column

__all__ = ["ResultColumn", "SqlType", "by_value", "type_of"]

_NULLABLE = 1
_SIZES = re.compile(r"\((\d+)(?:\s*,\s*(\d+))?\)")


@dataclass(frozen=True, slots=True)
class SqlType:
    """A type of an engine.

    ``name``: as its JDBC driver has it.  ``number``: of ``java.sql.Types``.  ``form``: what values become: boolean,
    long, double, decimal, blob, string, moment (a text whose fraction of a second is shortened), array, or value (by
    the value).  ``element``: of arrays.  ``shown_scale``: the digits behind the point of exact numbers; None if each
    number has its own.
    """

    name: str
    number: int
    form: str
    precision: int = 0
    scale: int = 0
    is_signed: bool = False
    is_case_sensitive: bool = False
    element: SqlType | None = None
    shown_scale: int | None = None


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
            "typeName": type.name,
        }


def _number(name: str, number: int, precision: int, form: str = "long", scale: int = 0) -> SqlType:
    return SqlType(name, number, form, precision, scale, is_signed=True)


def _text(name: str, number: int, precision: int, form: str = "string") -> SqlType:
    return SqlType(name, number, form, precision, is_case_sensitive=True)


# --- sqlite -----------------------------------------------------------------------------------------------------------
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
        type = replace(_number(name, 3, precision, "decimal", scale), shown_scale=scale)
    else:
        type = SqlType(name, 12, "value", precision, scale)
    return replace(type, number=_SQLITE_NUMBERS.get(name, type.number))


# --- other engines ----------------------------------------------------------------------------------------------------
_FORMS = {**dict.fromkeys((-7, 16), "boolean"), **dict.fromkeys((-6, 5, 4, -5), "long"), 2003: "array"}
_FORMS |= {**dict.fromkeys((6, 7, 8), "double"), **dict.fromkeys((2, 3), "decimal")}
_FORMS |= dict.fromkeys((-2, -3, -4), "blob")
_MOMENTS = frozenset({"timestamp", "timestamptz", "time"})


def _of_engine(column: Column) -> SqlType | None:
    """A type that the engine's flavour has told."""
    if not column.type_name:
        return None
    form = _FORMS.get(column.jdbc_type, "moment" if column.type_name in _MOMENTS else "string")
    element = None
    if form == "array":
        form_of_element = _FORMS.get(column.element_jdbc_type, "string")
        element = SqlType("", column.element_jdbc_type, form_of_element, shown_scale=None)
    return SqlType(
        column.type_name,
        column.jdbc_type,
        form,
        column.precision,
        column.scale,
        column.is_signed,
        column.is_case_sensitive,
        element,
        _scale_of(column) if form == "decimal" else None,
    )


def _scale_of(column: Column) -> int | None:
    """The scale of exact numbers; None if each has its own, as in a column NUMERIC of PostgreSQL."""
    if column.precision and column.declared_type:
        return column.scale
    return column.kind.scale if column.kind is not None else None


_VALUES: dict[str, dict[type, SqlType]] = {
    "sqlite": {
        int: _number("INTEGER", 4, 19),
        float: _number("REAL", 8, 17, "double", 17),
        str: _text("TEXT", 12, 0),
        bytes: SqlType("BLOB", -2, "blob"),
    },
    "aurora-mysql": {
        int: _number("BIGINT", -5, 19),
        float: _number("DOUBLE", 8, 22, "double"),
        Decimal: _number("DECIMAL", 3, 65, "decimal"),
        str: SqlType("VARCHAR", 12, "string", 255),
        bytes: SqlType("VARBINARY", -3, "blob"),
        NoneType: SqlType("NULL", 0, "value"),
    },
    "aurora-postgresql": {
        bool: SqlType("bool", -7, "boolean", 1),
        int: _number("int8", -5, 19),
        float: _number("float8", 8, 17, "double", 17),
        Decimal: _number("numeric", 2, 0, "decimal"),
        str: _text("text", 12, 2147483647),
        bytes: SqlType("bytea", -2, "blob", 2147483647),
        NoneType: _text("text", 12, 2147483647),
        list: SqlType("_text", 2003, "array", 2147483647, element=_text("text", 12, 2147483647)),
    },
}
_UNKNOWN = SqlType("NULL", 0, "value")


def type_of(engine: str, column: Column) -> SqlType | None:
    """The type of a column; None if only its values have one."""
    if engine == "sqlite":
        return _sqlite(column.declared_type) if column.declared_type else None
    return _of_engine(column)


def by_value(engine: str, values: Sequence[object]) -> SqlType:
    """The type of a column that has none, by the first value that is not NULL."""
    first = next((value for value in values if value is not None), None)
    return _VALUES[engine].get(type(first), _UNKNOWN)
