"""MySQL's tables in SQLite: columns with their types enforced, keys as indexes, and what SHOW tells of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from clusterdb.flavours.collations import CI
from clusterdb.flavours.flavour import NotSaid, Translation, Work, known, own_columns_of
from clusterdb.flavours.mysql.compare import collation_of
from clusterdb.flavours.mysql.variables import DEFAULTS
from clusterdb.flavours.rules import columns_first, key_of
from clusterdb.flavours.schema import Column
from clusterdb.flavours.tables import decimal_check, moment_check, quoted, text
from clusterdb.flavours.types import Columns, Kind, of_column

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.flavour import MySQLFlavour

__all__ = ["COLUMNS", "alter_table", "create_table", "information_schema", "show"]

_INTEGERS = {
    "TINYINT",
    "SMALLINT",
    "MEDIUMINT",
    "INT",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UMEDIUMINT",
    "UINT",
    "UBIGINT",
}
_INTEGERS |= {"BOOLEAN", "BIT", "YEAR"}
_TEXTS = {"CHAR", "VARCHAR", "TEXT", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT", "NCHAR", "NVARCHAR", "ENUM"}
_NUMBERS = {"DECIMAL", "UDECIMAL", "FLOAT", "DOUBLE", "UDOUBLE"}
_BLOBS = {"BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BINARY", "VARBINARY"}
_BOUNDS = {"BOOLEAN": 7, "YEAR": 15, "TINYINT": 7, "SMALLINT": 15, "MEDIUMINT": 23, "INT": 31}


def create_table(flavour: MySQLFlavour, tree: exp.Create, work: Work) -> Translation:
    """CREATE TABLE, also LIKE and AS SELECT; its keys become indexes behind it."""
    head = "CREATE TEMP TABLE" if _is_temporary(tree) else "CREATE TABLE"
    exists = " IF NOT EXISTS" if tree.args.get("exists") else ""
    schema = tree.this
    if not isinstance(schema, exp.Schema):
        return flavour.table_of_query(head, tree)
    table = schema.this.name
    parts: list[str] = []
    after: list[str] = []
    key = key_of(schema)
    numbered = next(
        (each.name for each in schema.expressions if isinstance(each, exp.ColumnDef) and _is_numbered(each)), ""
    )
    collate = _table_collation(tree)
    own = _kinds(schema.expressions)
    for each in columns_first(schema.expressions):
        if isinstance(each, exp.ColumnDef):
            is_key = key == [each.name] and each.name == numbered
            parts.append(column(flavour, each, is_key=is_key, collate=collate, own=own))
        elif isinstance(each, exp.PrimaryKey):
            if key != [numbered]:
                parts.append(f"PRIMARY KEY ({', '.join(quoted(name) for name in key)})")
        else:
            _constraint(flavour, each, table, parts, after, own)
    start = _property(tree, exp.AutoIncrementProperty)
    if start is not None and numbered:
        after.append(f"INSERT INTO sqlite_sequence SELECT {text(table)}, {int(start.this.name) - 1}")
    if numbered and not (exists and table.lower() in known.get().tables):
        work.before.append(f"SELECT my_forget({text(table.lower())})")
    if _property(tree, exp.PartitionedByProperty) is not None:
        raise NotSaid("PARTITION BY")
    return Translation(f"{head}{exists} {quoted(table)} ({', '.join(parts)})", tuple(work.before), tuple(after))


def _is_temporary(tree: exp.Create) -> bool:
    return _property(tree, exp.TemporaryProperty) is not None


def _property(tree: exp.Create, kind: type[exp.Expression]) -> Any:
    properties = tree.args.get("properties")
    return next((each for each in (properties.expressions if properties else []) if isinstance(each, kind)), None)


def _table_collation(tree: exp.Create) -> str:
    found = _property(tree, exp.CollateProperty)
    return _collation(found.this.name) if found is not None else CI


def _collation(name: str) -> str:
    return collation_of(Kind("text", collation=name))


def _kinds(parts: list[Any]) -> Columns:
    """The kinds of the columns that are being made."""
    made: Columns = {}
    for each in parts:
        if isinstance(each, exp.ColumnDef) and each.args.get("kind") is not None:
            kind = each.args["kind"]
            name = kind.this.value if isinstance(kind.this, exp.DataType.Type) else str(kind.this)
            made[each.name.lower()] = of_column(Column(_declared(kind, name).lower()))
    return made


def _is_numbered(column: exp.ColumnDef) -> bool:
    return any(isinstance(each.kind, exp.AutoIncrementColumnConstraint) for each in column.constraints)


def column(flavour: MySQLFlavour, tree: exp.ColumnDef, *, is_key: bool, own: Columns, collate: str = CI) -> str:
    """A column: its type as declared, and checks that SQLite's affinities do not make."""
    name, kind = quoted(tree.name), tree.args.get("kind")
    if kind is None:
        raise NotSaid(f"a column without a type: {tree.name}")
    type_name = kind.this.value if isinstance(kind.this, exp.DataType.Type) else str(kind.this)
    sizes = [int(each.name) for each in kind.expressions if each.name.isdigit()]
    if is_key:
        return f"{name} INTEGER PRIMARY KEY AUTOINCREMENT"
    parts = [name, _declared(kind, type_name)]
    checks = _checks(name, type_name, sizes, kind)
    rest: list[str] = []
    for constraint in tree.constraints:
        made = constraint.kind
        if isinstance(made, exp.CollateColumnConstraint):
            collate = _collation(made.this.name)
        elif isinstance(made, exp.AutoIncrementColumnConstraint):
            raise NotSaid("AUTO_INCREMENT on a column that is no primary key by itself")
        elif isinstance(made, exp.OnUpdateColumnConstraint):
            raise NotSaid("ON UPDATE of a column")
        elif isinstance(made, exp.CommentColumnConstraint | exp.CharacterSetColumnConstraint):
            continue
        elif isinstance(made, exp.DefaultColumnConstraint):
            value = flavour.text(flavour.schema_expression(made.this))
            rest.append(
                f"DEFAULT {value if isinstance(made.this, exp.Literal | exp.Null | exp.Boolean) else f'({value})'}"
            )
        else:
            rest.append(flavour.text(flavour.schema_expression(constraint, own)))
    if type_name in _TEXTS:
        rest.append(f"COLLATE {collate}")
    if checks:
        rest.append(f"CHECK ({' AND '.join(checks)})")
    return " ".join([*parts, *rest])


def _declared(kind: exp.DataType, type_name: str) -> str:
    """The type as MySQL shows it, with the affinity that its values need."""
    if type_name == "BOOLEAN":
        return "tinyint(1)"
    if type_name == "ENUM":
        return "enum text"
    if type_name == "BIT":
        raise NotSaid("a column of type BIT")
    if type_name in ("DOUBLE", "FLOAT") and len(kind.expressions) > 1:
        raise NotSaid("a floating point column with so many digits")
    if type_name == "JSON":
        return "json text"
    if type_name in ("BINARY", "VARBINARY"):
        size = kind.expressions[0].name if kind.expressions else "1"
        return f"blob {type_name.lower()}({size})"
    if type_name in _BLOBS:
        return "blob"
    if type_name not in _INTEGERS | _TEXTS | _NUMBERS | {"DATE", "DATETIME", "TIMESTAMP", "TIME", "TIMESTAMPTZ"}:
        raise NotSaid(f"a column of type {type_name}")
    shown = kind.sql(dialect="mysql").lower()
    return re.sub(r"\s+", " ", shown)


def _checks(name: str, type_name: str, sizes: list[int], kind: exp.DataType) -> list[str]:
    nothing = f"{name} IS NULL OR "
    unsigned = type_name.startswith("U") and type_name in _INTEGERS | _NUMBERS
    plain = type_name.removeprefix("U") if unsigned else type_name
    if plain in _INTEGERS:
        bits = _BOUNDS.get(plain)
        check = f"typeof({name}) = 'integer'"
        if bits is not None:
            low, high = (0, 2 ** (bits + 1) - 1) if unsigned else (-(2**bits), 2**bits - 1)
            check += f" AND {name} BETWEEN {low} AND {high}"
        elif unsigned:
            check += f" AND {name} >= 0"
        return [f"({nothing}{check})"]
    if plain == "DECIMAL":
        return [f"({nothing}{decimal_check(name, sizes or [10])}{f' AND {name} >= 0' if unsigned else ''})"]
    if plain in _NUMBERS:
        return [f"({nothing}typeof({name}) IN ('integer', 'real'){f' AND {name} >= 0' if unsigned else ''})"]
    if type_name == "ENUM":
        values = ", ".join(text(each.name) for each in kind.expressions)
        return [f"({nothing}{name} COLLATE BINARY IN ({values}))"]
    if type_name in ("BINARY", "VARBINARY"):
        return [f"({nothing}(typeof({name}) = 'blob' AND length({name}) <= {sizes[0] if sizes else 1}))"]
    if type_name in _BLOBS:
        return [f"({nothing}typeof({name}) = 'blob')"]
    if type_name in ("TINYTEXT", "TEXT"):
        return [f"({nothing}length(CAST({name} AS BLOB)) <= {255 if type_name == 'TINYTEXT' else 65535})"]
    if type_name in ("CHAR", "VARCHAR") and sizes:
        return [f"({nothing}length({name}) <= {sizes[0]})"]
    if type_name == "DATE":
        return [f"({nothing}(typeof({name}) = 'text' AND {name} IS date({name})))"]
    if type_name in ("DATETIME", "TIMESTAMP"):
        return [f"({nothing}{moment_check(name)})"]
    if type_name == "TIME":
        return [f"({nothing}(typeof({name}) = 'text' AND {name} IS time({name})))"]
    if type_name == "JSON":
        return [f"({nothing}json_valid({name}))"]
    return []


def _constraint(flavour: MySQLFlavour, tree: Any, table: str, parts: list[str], after: list[str], own: Columns) -> None:
    """A constraint of a table: a key becomes an index, the others stay."""
    if isinstance(tree, exp.IndexColumnConstraint):
        if str(tree.args.get("kind") or "").upper() in ("FULLTEXT", "SPATIAL"):
            raise NotSaid(f"a {tree.args['kind']} index")
        columns = _columns(tree.expressions)
        name = tree.this.name if tree.this is not None else "_".join(columns)
        after.append(f"CREATE INDEX IF NOT EXISTS {quoted(f'{table}__{name}')} ON {quoted(table)} ({_list(columns)})")
        return
    if isinstance(tree, exp.UniqueColumnConstraint):
        inner = tree.this
        columns = _columns(inner.expressions)
        name = inner.this.name if isinstance(inner, exp.Schema) and inner.this is not None else "_".join(columns)
        name = name or "_".join(columns)
        after.append(
            f"CREATE UNIQUE INDEX IF NOT EXISTS {quoted(f'{table}__{name}')} ON {quoted(table)} ({_list(columns)})"
        )
        return
    parts.append(flavour.text(flavour.schema_expression(tree, own)))


def _columns(trees: list[Any]) -> list[str]:
    """Names of columns; a key on the beginning of a text is one on all of it."""
    names = []
    for each in trees:
        inner = each.this if isinstance(each, exp.Ordered | exp.ColumnPrefix) else each
        inner = inner.this if isinstance(inner, exp.ColumnPrefix) else inner
        names.append(inner.name)
    return names


def _list(columns: list[str]) -> str:
    return ", ".join(quoted(each) for each in columns)


# --- ALTER ------------------------------------------------------------------------------------------------------------
def alter_table(flavour: MySQLFlavour, tree: exp.Alter) -> Translation:
    """ALTER TABLE: columns added, dropped and renamed, indexes, a new name."""
    if str(tree.args.get("kind")).upper() != "TABLE":
        raise NotSaid(f"ALTER {tree.args.get('kind')}")
    table = tree.this.name
    texts: list[str] = []
    for action in tree.args["actions"]:
        texts += _altered(flavour, table, action)
    if not texts:
        raise NotSaid(f"ALTER TABLE ... {', '.join(each.sql(dialect='mysql') for each in tree.args['actions'])}")
    return Translation(texts[-1], tuple(texts[:-1]))


def _altered(flavour: MySQLFlavour, table: str, action: Any) -> list[str]:
    head = f"ALTER TABLE {quoted(table)}"
    if isinstance(action, exp.ColumnDef):
        action = action.copy()
        if action.args.get("position") is not None:
            action.set("position", None)
        return [
            f"{head} ADD COLUMN {column(flavour, action, is_key=False, own=own_columns_of(table) | _kinds([action]))}"
        ]
    if isinstance(action, exp.Schema):
        return [text for each in action.expressions for text in _altered(flavour, table, each)]
    if isinstance(action, exp.Drop) and str(action.args["kind"]).upper() == "COLUMN":
        return [f"{head} DROP COLUMN {quoted(_dropped(action))}"]
    if isinstance(action, exp.Drop) and str(action.args["kind"]).upper() in ("INDEX", "KEY"):
        return [f"DROP INDEX {quoted(f'{table}__{_dropped(action)}')}"]
    if isinstance(action, exp.RenameColumn):
        return [f"{head} RENAME COLUMN {quoted(action.this.name)} TO {quoted(action.args['to'].name)}"]
    if isinstance(action, exp.AlterRename):
        return [f"{head} RENAME TO {quoted(action.this.name)}"]
    if isinstance(action, exp.AddConstraint):
        parts: list[str] = []
        after: list[str] = []
        for each in action.expressions:
            _constraint(flavour, each, table, parts, after, own_columns_of(table))
        if not parts:
            return after
    raise NotSaid(f"ALTER TABLE ... {action.sql(dialect='mysql')}")


def _dropped(action: exp.Drop) -> str:
    """The name of what is dropped."""
    return str((action.this or (action.args.get("tables") or action.expressions)[0]).name)


# --- SHOW -------------------------------------------------------------------------------------------------------------
_TYPE = "replace(lower(c.type), 'json text', 'json')"
COLUMNS = (
    "SELECT c.name AS \"Field\", CASE WHEN c.type = 'INTEGER' THEN 'int' ELSE " + _TYPE + ' END AS "Type", '
    "CASE WHEN c.\"notnull\" OR c.pk THEN 'NO' ELSE 'YES' END AS \"Null\", "
    "CASE WHEN c.pk THEN 'PRI' ELSE '' END AS \"Key\", c.dflt_value AS \"Default\", "
    "CASE WHEN c.pk AND c.type = 'INTEGER' THEN 'auto_increment' ELSE '' END AS \"Extra\" "
    "FROM pragma_table_info('{table}') AS c"
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
        return Translation(f'SELECT name AS "Tables_in_main"{kind} {_TABLES}{pattern} ORDER BY name')
    if what == "COLUMNS":
        return Translation(COLUMNS.format(table=tree.args["target"].name.replace("'", "''")))
    if what in ("INDEX", "INDEXES", "KEYS"):
        table = tree.args["target"].name
        return Translation(
            f'SELECT {text(table)} AS "Table", NOT l."unique" AS "Non_unique", l.name AS "Key_name", i.seqno + 1 AS '
            f'"Seq_in_index", i.name AS "Column_name" '
            f"FROM pragma_index_list({text(table)}) AS l, pragma_index_info(l.name) AS i"
        )
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
        "c.dflt_value AS column_default, CASE WHEN c.\"notnull\" OR c.pk THEN 'NO' ELSE "
        "'YES' END AS is_nullable, CASE WHEN instr(c.type, '(') THEN substr(lower(c.type), 1, instr(c.type, '(') - 1) "
        "WHEN c.type = 'INTEGER' THEN 'int' ELSE replace(lower(c.type), 'json text', 'json') END AS data_type "
        "FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type IN ('table', 'view')",
    }
    if what not in queries:
        raise NotSaid(f"information_schema.{what}")
    made = parse_one(queries[what], read="sqlite")
    assert isinstance(made, exp.Select)
    return made.subquery(node.alias or what)
