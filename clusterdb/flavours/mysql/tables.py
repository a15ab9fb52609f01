"""MySQL's tables in SQLite: CREATE TABLE, DROP, SHOW and ``information_schema``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from clusterdb.errors import OperationalError
from clusterdb.flavours.collations import CI
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, Translation, Unsupported
from clusterdb.flavours.indexes import index_statement, indexes_of
from clusterdb.flavours.mysql import columns as c
from clusterdb.flavours.mysql.compare import collation_of
from clusterdb.flavours.mysql.indexes import Parts
from clusterdb.flavours.mysql.variables import DEFAULTS
from clusterdb.flavours.rebuild import definition_of, foreign_keys, tokens
from clusterdb.flavours.rules import key_of
from clusterdb.flavours.tables import quoted, text
from clusterdb.flavours.trees import (
    CATALOG_COLUMNS,
    CATALOG_TABLES,
    FROM_COLUMNS,
    IS_NULLABLE,
    TABLE_TYPE,
    catalog_table,
    property_of,
)
from clusterdb.flavours.types import Columns, Kind

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.base import MySQLBase
    from clusterdb.flavours.session import EngineSession

__all__ = ["COLUMNS", "create_table", "drop", "information_schema", "like", "show", "table_collation", "unquoted"]


def create_table(flavour: MySQLBase, tree: exp.Create, context: Context) -> Translation:
    """CREATE TABLE, also AS SELECT; the table's keys are created as indexes after it.

    Raises Unsupported or Refused.
    """
    head = "CREATE TEMP TABLE" if property_of(tree, exp.TemporaryProperty) is not None else "CREATE TABLE"
    exists = " IF NOT EXISTS" if tree.args.get("exists") else ""
    schema = tree.this
    if not isinstance(schema, exp.Schema):
        return flavour.table_of_query(head, tree, context)
    if tree.expression is not None:
        raise Unsupported("CREATE TABLE with both columns and a query")
    table = schema.this.name
    columns = [part for part in schema.expressions if isinstance(part, exp.ColumnDef)]
    collate = table_collation(tree)
    own: Columns = {column.name.lower(): c.kind_of_column(column) for column in columns}
    numbered = next((column.name for column in columns if c.is_numbered(column)), "")
    parts = Parts(flavour, context, own, table, numbered=numbered)
    key = {name.lower() for name in key_of(schema)}
    for column in columns:
        required = column.name.lower() in key
        parts.columns.append(c.column(flavour, column, context, own=own, collate=collate, required=required))
    for column in columns:
        parts.of_column(column)
    for part in schema.expressions:
        if not isinstance(part, exp.ColumnDef):
            parts.constraint(part)
    after = list(parts.indexes.values())
    start = property_of(tree, exp.AutoIncrementProperty)
    if start is not None and parts.numbered:
        after.append(f"INSERT INTO sqlite_sequence SELECT {text(table)}, {int(start.this.name) - 1}")
    if parts.numbered and not (exists and table.lower() in context.schema.tables):
        context.before.append(f"SELECT my_forget({text(table.lower())})")
    content = ", ".join([*parts.columns, *parts.constraints])
    return Translation(f"{head}{exists} {quoted(table)} ({content})", tuple(context.before), tuple(after))


def table_collation(tree: exp.Create) -> str:
    """The collation of a table's text columns without one of their own."""
    collate = property_of(tree, exp.CollateProperty)
    return collation_of(Kind("text", collation=collate.this.name)) if collate is not None else CI


def like(match: re.Match[str]) -> Translation:
    """CREATE TABLE ... LIKE: the columns, keys and checks of another table, but not its foreign keys.

    The groups of ``match``: TEMPORARY, IF NOT EXISTS, the new table and the source.
    """
    temporary, exists, name, source = match[1], match[2], unquoted(match[3]), unquoted(match[4])

    def run(session: EngineSession) -> None:
        db = session.db
        if exists and name.lower() in (str(row[0]).lower() for row in db.execute("SELECT name FROM sqlite_schema")):
            return
        definition = definition_of(db, source)
        original, schema = definition.table, definition.schema
        definition.table, definition.schema = name, "temp" if temporary else "main"
        definition.parts = [part for part in definition.parts if not re.search(r"\bFOREIGN KEY\b", part)]
        db.execute(definition.sql)
        for index, sql in indexes_of(db, schema, original).items():
            new = name + index[len(original) :] if index.startswith(original) else f"{name}__{index}"
            db.execute(index_statement(sql, new, table=name))
        db.execute("SELECT my_forget(?)", (name.lower(),)).fetchall()

    return Translation(IDLE, (run,), commits=not temporary)


def unquoted(name: str) -> str:
    """A name without its database and quotes."""
    last = re.findall(r"`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[^.`\"]+", name.strip())[-1]
    return str(last[1:-1].replace(last[0] * 2, last[0]) if last[0] in '`"' else last)


def drop(tree: exp.Drop) -> Translation:
    """DROP TABLE and DROP VIEW; DROP TABLE does not drop views, nor DROP VIEW tables."""
    kind = tree.args["kind"].lower()
    names = [table.name for table in tree.args.get("tables") or [tree.this, *tree.expressions]]
    exists, temporary = tree.args.get("exists"), tree.args.get("temporary")

    def run(session: EngineSession) -> None:
        db = session.db
        targets = [(name, _schema_of(session, kind, name)) for name in names]
        missing = [name for name, schema in targets if schema is None]
        if missing and not exists:
            raise OperationalError(f"Unknown table '{','.join(missing)}'")
        if kind == "table" and foreign_keys(db):
            _require_no_child(session, names)
        for name, schema in targets:
            if schema is not None and (schema == "temp" or not temporary):
                db.execute(f"DROP {kind} {schema}.{quoted(name)}")
                db.execute("SELECT my_forget(?)", (name.lower(),)).fetchall()

    return Translation(IDLE, (run,))


def _schema_of(session: EngineSession, kind: str, name: str) -> str | None:
    """The schema, ``temp`` or ``main``, of a table or view; None if it does not exist."""
    for schema in ("temp", "main"):
        query = f"SELECT 1 FROM {schema}.sqlite_schema WHERE type = ? AND name = ? COLLATE NOCASE"
        if session.db.execute(query, (kind, name)).fetchall():
            return schema
    return None


def _require_no_child(session: EngineSession, names: list[str]) -> None:
    """Raise OperationalError if a table that is not among ``names`` refers to one of them."""
    keys = "sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f"
    query = f"SELECT m.name, f.\"table\" FROM {keys} WHERE m.type = 'table'"
    doomed = {name.lower() for name in names}
    for child, parent in session.db.execute(query).fetchall():
        if str(parent).lower() in doomed and str(child).lower() not in doomed:
            key = _foreign_key(session, str(child), str(parent))
            raise OperationalError(
                f"Cannot drop table '{parent}' referenced by a foreign key constraint '{key}' on table '{child}'."
            )


def _foreign_key(session: EngineSession, child: str, parent: str) -> str:
    """The name of the foreign key by which a table refers to another."""
    for part in definition_of(session.db, child).parts:
        words = tokens(part)
        references = [word.upper() for word in words].index("REFERENCES") if "FOREIGN" in words else None
        if references is not None and unquoted(words[references + 1]).lower() == parent.lower():
            return unquoted(words[1])
    return ""


# --- SHOW -------------------------------------------------------------------------------------------------------------
_TYPE = "my_shown_type(c.type, (SELECT sql FROM sqlite_schema WHERE name = '{table}' COLLATE NOCASE), c.name)"
COLUMNS = (
    'SELECT c.name AS "Field", ' + _TYPE + ' AS "Type", '
    "CASE WHEN c.\"notnull\" OR c.pk THEN 'NO' ELSE 'YES' END AS \"Null\", "
    "CASE WHEN c.pk THEN 'PRI' ELSE '' END AS \"Key\", my_shown_default(c.dflt_value) AS \"Default\", "
    "CASE WHEN c.pk AND c.type = 'INTEGER' THEN 'auto_increment' WHEN c.type LIKE '%updating%' "
    "THEN 'on update current_timestamp()' WHEN c.type LIKE '%invisible%' THEN 'INVISIBLE' ELSE '' END AS \"Extra\" "
    "FROM pragma_table_info('{table}') AS c"
)
_INDEXES = (
    'SELECT * FROM (SELECT \'{table}\' AS "Table", 0 AS "Non_unique", \'PRIMARY\' AS "Key_name", pk AS "Seq_in_index", '
    "name AS \"Column_name\" FROM pragma_table_info('{table}') WHERE pk UNION ALL "
    "SELECT '{table}', NOT l.\"unique\", replace(l.name, '{table}__', ''), i.seqno + 1, i.name "
    "FROM pragma_index_list('{table}') AS l, pragma_index_info(l.name) AS i WHERE l.origin <> 'pk') "
    'ORDER BY "Non_unique", "Key_name" <> \'PRIMARY\', "Key_name", "Seq_in_index"'
)
_TABLES = "FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"


def show(tree: exp.Show) -> Translation:
    """SHOW TABLES, COLUMNS, INDEX, VARIABLES."""
    subject = tree.name.upper()
    like = tree.args.get("like")
    pattern = f" AND name LIKE {text(like.name)}" if like is not None else ""
    if subject == "TABLES":
        kind = f', {TABLE_TYPE} AS "Table_type"' if tree.args.get("full") else ""
        name = "Tables_in_main" if like is None else f"Tables_in_main ({like.name})"
        return Translation(f"SELECT name AS {quoted(name)}{kind} {_TABLES}{pattern} ORDER BY name")
    if subject == "COLUMNS":
        return Translation(COLUMNS.format(table=tree.args["target"].name.replace("'", "''")))
    if subject in ("INDEX", "INDEXES", "KEYS"):
        return Translation(_INDEXES.format(table=tree.args["target"].name.replace("'", "''")))
    if subject == "VARIABLES":
        rows = ", ".join(f"({text(name)}, my_shown_variable({text(name)}))" for name in sorted(DEFAULTS))
        return Translation(
            f'SELECT column1 AS "Variable_name", column2 AS "Value" FROM (VALUES {rows}) AS v WHERE 1'
            + pattern.replace(" name ", " column1 ")
        )
    raise Unsupported(f"SHOW {subject}")


def information_schema(node: exp.Table) -> exp.Subquery:
    """The query that answers for a table of MySQL's ``information_schema``.  Raises Unsupported."""
    shown = (
        "my_shown_default(c.dflt_value) AS column_default",
        f"{IS_NULLABLE} AS is_nullable",
        "my_data_type(c.type) AS data_type",
        "my_shown_type(c.type, m.sql, c.name) AS column_type",
    )
    return catalog_table(
        node,
        {
            "tables": f"SELECT 'def' AS table_catalog, 'main' AS table_schema, {CATALOG_TABLES} {_TABLES}",
            "columns": f"SELECT 'def' AS table_catalog, 'main' AS table_schema, {CATALOG_COLUMNS}, {', '.join(shown)} "
            f"{FROM_COLUMNS}",
        },
    )
