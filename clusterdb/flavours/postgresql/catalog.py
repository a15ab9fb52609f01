"""The tables of ``pg_catalog`` that programs look for tables, columns and types in.

Their columns are those that describe what exists here.  A table's oid is 16384 and its row number in SQLite's schema.

Source: "System Catalogs" in the documentation of PostgreSQL 15.
"""

from __future__ import annotations

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.postgresql import sequences
from clusterdb.flavours.schema import TYPES
from clusterdb.flavours.trees import catalog_table

__all__ = ["pg_catalog"]

_FIRST_OID = 16384
_ENUM_OID = 1 << 24
_CATALOG, _PUBLIC = 11, 2200
_HIDDEN = f"'sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4', '{sequences.TABLE}', '{TYPES}'"
_TYPES = {"bool": 16, "bytea": 17, "int8": 20, "int2": 21, "int4": 23, "text": 25, "json": 114, "float4": 700}
_TYPES |= {"float8": 701, "bpchar": 1042, "varchar": 1043, "date": 1082, "time": 1083, "timestamp": 1114}
_TYPES |= {"timestamptz": 1184, "interval": 1186, "numeric": 1700, "uuid": 2950, "jsonb": 3802}
_DECLARED = {"smallint": "int2", "bigint": "int8", "int": "int4", "real numeric": "numeric", "real": "float4"}
_DECLARED |= {"double": "float8", "varchar": "varchar", "character": "bpchar", "timestamptz": "timestamptz"}
_DECLARED |= {"timestamp": "timestamp", "time": "time", "date": "date", "boolean": "bool", "jsonb": "jsonb"}
_DECLARED |= {"json": "json", "uuid": "uuid", "span": "interval", "bytea": "bytea"}
"""The types by the first words of what columns are declared as; the first that fits decides."""
_TYPE_OF_COLUMN = (
    "CASE WHEN c.type LIKE 'enum text(%' "
    f"THEN {_ENUM_OID} + CAST(substr(c.type, 11) AS INTEGER) "
    + " ".join(f"WHEN c.type LIKE '{words}%' THEN {_TYPES[name]}" for words, name in _DECLARED.items())
    + f" ELSE {_TYPES['text']} END"
)
_NAMESPACES = (
    f"SELECT {_CATALOG} AS oid, 'pg_catalog' AS nspname, 10 AS nspowner UNION ALL SELECT {_PUBLIC}, 'public', 10 "
    "UNION ALL SELECT 13000, 'information_schema', 10"
)
_TABLES = f"m.name NOT IN ({_HIDDEN}) AND m.name NOT LIKE 'sqlite!_autoindex!_%' ESCAPE '!'"
_CLASSES = (
    f"SELECT {_FIRST_OID} + m.rowid AS oid, m.name AS relname, {_PUBLIC} AS relnamespace, "
    "CASE m.type WHEN 'table' THEN 'r' WHEN 'view' THEN 'v' ELSE 'i' END AS relkind, 10 AS relowner, "
    "0 AS relispartition, 'p' AS relpersistence "
    f"FROM sqlite_schema AS m WHERE m.type IN ('table', 'view', 'index') AND {_TABLES}"
)
_SEQUENCES = f"SELECT {2 * _ENUM_OID} + s.rowid, s.name, {_PUBLIC}, 'S', 10, 0, 'p' FROM {sequences.TABLE} AS s"
_ATTRIBUTES = (
    f"SELECT {_FIRST_OID} + m.rowid AS attrelid, c.name AS attname, {_TYPE_OF_COLUMN} AS atttypid, "
    'c.cid + 1 AS attnum, c."notnull" OR c.pk > 0 AS attnotnull, '
    "c.dflt_value IS NOT NULL OR m.sql LIKE '%\"' || c.name || '\" % /* serial %' AS atthasdef, "
    "0 AS attisdropped, -1 AS atttypmod, '' AS attidentity, "
    "CASE WHEN c.hidden IN (2, 3) THEN 's' ELSE '' END AS attgenerated "
    f"FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS c WHERE m.type IN ('table', 'view') AND {_TABLES}"
)
_TABLES_SHOWN = (
    "SELECT 'public' AS schemaname, m.name AS tablename, 'local' AS tableowner FROM sqlite_schema AS m "
    f"WHERE m.type = 'table' AND {_TABLES}"
)
_BASE_TYPES = " UNION ALL ".join(
    f"SELECT {oid} AS oid, '{name}' AS typname, {_CATALOG} AS typnamespace, 'b' AS typtype"
    for name, oid in _TYPES.items()
)
_ENUMS = f"SELECT {_ENUM_OID} + e.id, e.name, {_PUBLIC}, 'e' FROM {TYPES} AS e"


def pg_catalog(node: exp.Table, context: Context) -> exp.Subquery:
    """The query that answers for a table of ``pg_catalog``.  Raises Unsupported."""
    has_sequences = sequences.TABLE in context.schema.tables
    has_enums = TYPES in context.schema.tables
    return catalog_table(
        node,
        {
            "pg_namespace": _NAMESPACES,
            "pg_tables": _TABLES_SHOWN,
            "pg_class": f"{_CLASSES} UNION ALL {_SEQUENCES}" if has_sequences else _CLASSES,
            "pg_attribute": _ATTRIBUTES,
            "pg_type": f"{_BASE_TYPES} UNION ALL {_ENUMS}" if has_enums else _BASE_TYPES,
        },
    )
