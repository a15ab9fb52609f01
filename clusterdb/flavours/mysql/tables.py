"""MySQL's tables in SQLite: keys as indexes, constraints by their names, and what SHOW tells of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from clusterdb.errors import OperationalError
from clusterdb.flavours.collations import CI
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, NotSaid, Translation
from clusterdb.flavours.mysql import columns as c
from clusterdb.flavours.mysql.compare import collation_of
from clusterdb.flavours.mysql.indexes import Parts, constraint
from clusterdb.flavours.mysql.variables import DEFAULTS
from clusterdb.flavours.rebuild import definition_of, foreign_keys
from clusterdb.flavours.rules import key_of
from clusterdb.flavours.tables import quoted, text
from clusterdb.flavours.types import Columns, Kind

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.flavour import MySQLFlavour
    from clusterdb.flavours.session import EngineSession

__all__ = ["COLUMNS", "create_table", "drop", "information_schema", "like", "show", "table_collation", "unquoted"]


def create_table(flavour: MySQLFlavour, tree: exp.Create, context: Context) -> Translation:
    """CREATE TABLE, also AS SELECT; its keys become indexes behind it."""
    head = "CREATE TEMP TABLE" if _property(tree, exp.TemporaryProperty) is not None else "CREATE TABLE"
    exists = " IF NOT EXISTS" if tree.args.get("exists") else ""
    schema = tree.this
    if not isinstance(schema, exp.Schema):
        return flavour.table_of_query(head, tree, context)
    if tree.expression is not None:
        raise NotSaid("CREATE TABLE of columns and a query")
    table = schema.this.name
    defined = [each for each in schema.expressions if isinstance(each, exp.ColumnDef)]
    parts = Parts(table, numbered=next((each.name for each in defined if c.is_numbered(each)), ""))
    collate = table_collation(tree)
    own: Columns = {each.name.lower(): c.kind_of_column(each) for each in defined}
    key = {name.lower() for name in key_of(schema)}
    for each in defined:
        required = each.name.lower() in key
        parts.columns.append(c.column(flavour, each, context, own=own, collate=collate, required=required))
    for each in defined:
        parts.of_column(flavour, each, own, context)
    for each in schema.expressions:
        if not isinstance(each, exp.ColumnDef):
            constraint(flavour, each, parts, own, context)
    after = list(parts.indexes.values())
    start = _property(tree, exp.AutoIncrementProperty)
    if start is not None and parts.numbered:
        after.append(f"INSERT INTO sqlite_sequence SELECT {text(table)}, {int(start.this.name) - 1}")
    if parts.numbered and not (exists and table.lower() in context.schema.tables):
        context.before.append(f"SELECT my_forget({text(table.lower())})")
    content = ", ".join([*parts.columns, *parts.constraints])
    return Translation(f"{head}{exists} {quoted(table)} ({content})", tuple(context.before), tuple(after))


def _property(tree: exp.Create, kind: type[exp.Expression]) -> Any:
    properties = tree.args.get("properties")
    return next((each for each in (properties.expressions if properties else []) if isinstance(each, kind)), None)


def table_collation(tree: exp.Create) -> str:
    """The collation of a table's texts that have none of their own."""
    found = _property(tree, exp.CollateProperty)
    return collation_of(Kind("text", collation=found.this.name)) if found is not None else CI


def like(flavour: MySQLFlavour, match: re.Match[str]) -> Translation:
    """CREATE TABLE ... LIKE: the columns, the keys and the checks of another table, but not its foreign keys."""
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
        query = (
            f"SELECT name, sql FROM {schema}.sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL"
        )
        for index, sql in db.execute(query, (original,)).fetchall():
            new = name + str(index)[len(original) :] if str(index).startswith(original) else f"{name}__{index}"
            head, _, rest = str(sql).partition(" ON ")
            unique = "UNIQUE " if "UNIQUE" in head.upper() else ""
            db.execute(f"CREATE {unique}INDEX {quoted(new)} ON {quoted(name)} {rest[rest.index('(') :]}")
        db.execute("SELECT my_forget(?)", (name.lower(),)).fetchall()

    return Translation(IDLE, (run,), commits=not temporary)


def unquoted(name: str) -> str:
    """A name without its database, backticks or quotes."""
    last = re.findall(r"`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[^.`\"]+", name.strip())[-1]
    return str(last[1:-1].replace(last[0] * 2, last[0]) if last[0] in '`"' else last)


def drop(tree: exp.Drop) -> Translation:
    """DROP TABLE and DROP VIEW, of several: each is dropped only if it is such a one."""
    kind = tree.args["kind"].lower()
    names = [each.name for each in tree.args.get("tables") or [tree.this, *tree.expressions]]
    exists, temporary = tree.args.get("exists"), tree.args.get("temporary")

    def run(session: EngineSession) -> None:
        db = session.db
        there = [(name, _schema_of(session, kind, name)) for name in names]
        missing = [name for name, schema in there if schema is None]
        if missing and not exists:
            raise OperationalError(f"Unknown {kind} '{','.join(missing)}'")
        if kind == "table" and foreign_keys(db):
            _require_no_child(session, names)
        for name, schema in there:
            if schema is not None and (schema == "temp" or not temporary):
                db.execute(f"DROP {kind} {schema}.{quoted(name)}")
                db.execute("SELECT my_forget(?)", (name.lower(),)).fetchall()

    return Translation(IDLE, (run,))


def _schema_of(session: EngineSession, kind: str, name: str) -> str | None:
    for schema in ("temp", "main"):
        query = f"SELECT 1 FROM {schema}.sqlite_schema WHERE type = ? AND name = ? COLLATE NOCASE"
        if session.db.execute(query, (kind, name)).fetchall():
            return schema
    return None


def _require_no_child(session: EngineSession, names: list[str]) -> None:
    """Raises OperationalError if another table refers to one of these."""
    keys = "sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f"
    query = f"SELECT m.name, f.\"table\" FROM {keys} WHERE m.type = 'table'"
    going = {name.lower() for name in names}
    for child, parent in session.db.execute(query).fetchall():
        if str(parent).lower() in going and str(child).lower() not in going:
            raise OperationalError(
                f"Cannot drop table '{parent}' referenced by a foreign key constraint on table '{child}'"
            )


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
    what = tree.name.upper()
    like = tree.args.get("like")
    pattern = f" AND name LIKE {text(like.name)}" if like is not None else ""
    if what == "TABLES":
        kind = (
            ", CASE type WHEN 'view' THEN 'VIEW' ELSE 'BASE TABLE' END AS \"Table_type\""
            if tree.args.get("full")
            else ""
        )
        name = "Tables_in_main" if like is None else f"Tables_in_main ({like.name})"
        return Translation(f"SELECT name AS {quoted(name)}{kind} {_TABLES}{pattern} ORDER BY name")
    if what == "COLUMNS":
        return Translation(COLUMNS.format(table=tree.args["target"].name.replace("'", "''")))
    if what in ("INDEX", "INDEXES", "KEYS"):
        return Translation(_INDEXES.format(table=tree.args["target"].name.replace("'", "''")))
    if what == "VARIABLES":
        rows = ", ".join(f"({text(name)}, my_shown_variable({text(name)}))" for name in sorted(DEFAULTS))
        return Translation(
            f'SELECT column1 AS "Variable_name", column2 AS "Value" FROM (VALUES {rows}) AS v WHERE 1'
            + pattern.replace(" name ", " column1 ")
        )
    raise NotSaid(f"SHOW {what}")


def information_schema(node: exp.Table) -> exp.Expression:
    """The tables and columns of the database, as MySQL's catalog has them."""
    from sqlglot import parse_one

    what = node.name.lower()
    queries = {
        "tables": "SELECT 'def' AS table_catalog, 'main' AS table_schema, name AS table_name, "
        f"CASE type WHEN 'view' THEN 'VIEW' ELSE 'BASE TABLE' END AS table_type {_TABLES}",
        "columns": "SELECT 'def' AS table_catalog, 'main' AS table_schema, m.name AS table_name, "
        "c.name AS column_name, c.cid + 1 AS ordinal_position, "
        "my_shown_default(c.dflt_value) AS column_default, CASE WHEN c.\"notnull\" OR c.pk THEN 'NO' ELSE "
        "'YES' END AS is_nullable, my_data_type(c.type) AS data_type, "
        "my_shown_type(c.type, m.sql, c.name) AS column_type "
        "FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type IN ('table', 'view')",
    }
    if what not in queries:
        raise NotSaid(f"information_schema.{what}")
    made = parse_one(queries[what], read="sqlite")
    assert isinstance(made, exp.Select)
    return made.subquery(node.alias or what)
