"""What both engines read from and write into sqlglot's trees of CREATE TABLE, INSERT and ``information_schema``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from sqlglot import exp, parse_one

from clusterdb.flavours.flavour import Unsupported

__all__ = [
    "CATALOG_COLUMNS",
    "CATALOG_TABLES",
    "FROM_COLUMNS",
    "IS_NULLABLE",
    "TABLE_TYPE",
    "catalog_table",
    "column_names",
    "data_type",
    "has_constraint",
    "insert_defaults",
    "name_columns",
    "property_of",
    "quoted_column",
    "quoted_names",
    "sizes_of",
    "target_of",
    "type_name",
]

_Property = TypeVar("_Property", bound=exp.Expression)


# --- definitions of columns and tables --------------------------------------------------------------------------------
def data_type(column: exp.ColumnDef) -> exp.DataType:
    """The type of a column.  Raises Unsupported if its definition names none."""
    kind = column.args.get("kind")
    if not isinstance(kind, exp.DataType):
        raise Unsupported(f"column '{column.name}' without a type")
    return kind


def type_name(kind: exp.DataType) -> str:
    """A type's name as sqlglot spells it, such as ``UINT`` or ``USER-DEFINED``."""
    return str(kind.this.value if isinstance(kind.this, exp.DataType.Type) else kind.this)


def sizes_of(kind: exp.DataType) -> list[int]:
    """The numbers in a type's parentheses."""
    return [int(size.name) for size in kind.expressions if size.name.isdigit()]


def has_constraint(column: exp.ColumnDef, kind: type[exp.Expression]) -> bool:
    """Whether a column's definition has a constraint of a kind."""
    return any(isinstance(constraint.kind, kind) for constraint in column.constraints)


def property_of(tree: exp.Create, kind: type[_Property]) -> _Property | None:
    """The first property of a kind in a CREATE statement."""
    properties = tree.args.get("properties")
    listed = properties.expressions if properties is not None else []
    return next((option for option in listed if isinstance(option, kind)), None)


def quoted_column(name: str) -> exp.Column:
    """A reference to a column."""
    return exp.column(exp.to_identifier(name, quoted=True))


def quoted_names(names: Iterable[str]) -> list[exp.Identifier]:
    """Quoted identifiers."""
    return [exp.to_identifier(name, quoted=True) for name in names]


# --- INSERT -----------------------------------------------------------------------------------------------------------
def target_of(tree: exp.Expression) -> exp.Table:
    """The table that an INSERT or UPDATE writes."""
    target: exp.Table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    return target


def column_names(tree: exp.Insert) -> list[str] | None:
    """The columns that an INSERT lists, in lower case; None if it has no list."""
    return [column.name.lower() for column in tree.this.expressions] if isinstance(tree.this, exp.Schema) else None


def name_columns(tree: exp.Insert, target: exp.Table, names: Iterable[str]) -> None:
    """Have an INSERT list these columns."""
    tree.set("this", exp.Schema(this=target.copy(), expressions=quoted_names(names)))


def insert_defaults(tree: exp.Insert, target: exp.Table) -> None:
    """Turn an INSERT into ``INSERT INTO target DEFAULT VALUES``."""
    tree.set("this", target.copy())
    tree.set("expression", None)
    tree.set("default", True)


# --- information_schema -----------------------------------------------------------------------------------------------
TABLE_TYPE = "CASE type WHEN 'view' THEN 'VIEW' ELSE 'BASE TABLE' END"
IS_NULLABLE = "CASE WHEN c.\"notnull\" OR c.pk THEN 'NO' ELSE 'YES' END"
CATALOG_TABLES = f"name AS table_name, {TABLE_TYPE} AS table_type"
"""Columns of ``information_schema.tables``, from ``sqlite_schema``."""
CATALOG_COLUMNS = "m.name AS table_name, c.name AS column_name, c.cid + 1 AS ordinal_position"
"""Columns of ``information_schema.columns``, from :data:`FROM_COLUMNS`."""
FROM_COLUMNS = "FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type IN ('table', 'view')"


def catalog_table(node: exp.Table, queries: Mapping[str, str]) -> exp.Subquery:
    """The query of SQLite that answers for a table of ``information_schema`` or ``pg_catalog``.

    ``queries``: the queries by the table's name in lower case.  Raises Unsupported for other tables.
    """
    name = node.name.lower()
    if name not in queries:
        raise Unsupported(f"{node.db or 'pg_catalog'}.{name}".lower())
    query = parse_one(queries[name], read="sqlite")
    assert isinstance(query, exp.Query)
    return query.subquery(node.alias or name)
