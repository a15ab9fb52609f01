"""PostgreSQL's tables in SQLite: columns with their types enforced, serial numbers, and what the catalog tells."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlglot import exp, parse_one

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import NotSaid, Translation, literal
from clusterdb.flavours.postgresql import labels, sequences
from clusterdb.flavours.postgresql.assign import assigned
from clusterdb.flavours.rules import columns_first, key_of
from clusterdb.flavours.schema import NOTHING, TYPES, Column, Numbering, Schema
from clusterdb.flavours.tables import decimal_check, moment_check, quoted, text
from clusterdb.flavours.types import Columns, Kind, annotate, of_column

if TYPE_CHECKING:
    from clusterdb.flavours.postgresql.flavour import PostgreSQLFlavour

__all__ = [
    "as_kept",
    "checks_of",
    "column",
    "constraint",
    "create_table",
    "declaration",
    "information_schema",
    "is_nextval",
    "kinds_of",
    "numbering_of",
    "sequence_of",
]

_SERIAL = {"SERIAL": "INT", "BIGSERIAL": "BIGINT", "SMALLSERIAL": "SMALLINT"}
_DECLARED = {
    "SMALLINT": ("smallint", 15),
    "INT": ("integer", 31),
    "BIGINT": ("bigint", 63),
    "TEXT": ("text", 0),
    "VARCHAR": ("varchar", 0),
    "CHAR": ("character", 0),
    "BPCHAR": ("character", 0),
    "DECIMAL": ("real numeric", 0),
    "DOUBLE": ("double precision", 0),
    "FLOAT": ("real", 0),
    "BOOLEAN": ("boolean", 0),
    "DATE": ("date", 0),
    "TIMESTAMP": ("timestamp", 0),
    "TIMESTAMPTZ": ("timestamptz", 0),
    "TIME": ("time", 0),
    "JSON": ("json text", 0),
    "JSONB": ("jsonb text", 0),
    "UUID": ("uuid text", 0),
    "VARBINARY": ("bytea blob", 0),
    "INTERVAL": ("span text", 0),
}


def create_table(flavour: PostgreSQLFlavour, tree: exp.Create, context: Context) -> Translation:
    """CREATE TABLE, also AS SELECT."""
    properties = tree.args.get("properties")
    kinds = [type(each) for each in (properties.expressions if properties is not None else [])]
    for kind in kinds:
        if kind not in (exp.TemporaryProperty, exp.OnCommitProperty, exp.UnloggedProperty, exp.Property):
            raise NotSaid(f"{kind.__name__.removesuffix('Property')} of a table")
    head = "CREATE TEMP TABLE" if exp.TemporaryProperty in kinds else "CREATE TABLE"
    exists = " IF NOT EXISTS" if tree.args.get("exists") else ""
    schema = tree.this
    if not isinstance(schema, exp.Schema):
        return flavour.table_of_query(head, tree, context)
    key, key_name, own = key_of(schema), _key_name(schema), kinds_of(schema.expressions)
    table, parts = schema.this.name, []
    for each in columns_first(schema.expressions):
        if isinstance(each, exp.ColumnDef):
            numbering = numbering_of(each, schema.this.this, context, is_temporary="TEMP" in head)
            parts.append(column(flavour, each, key, own, context, numbering, key_name))
        elif (isinstance(each, exp.PrimaryKey) and len(key) == 1 and _is_serial(schema, key[0])) or (
            isinstance(each, exp.Constraint) and _key_in(each) and len(key) == 1 and _is_serial(schema, key[0])
        ):
            continue
        elif isinstance(each, exp.LikeProperty):
            raise NotSaid("CREATE TABLE (LIKE ...)")
        elif not isinstance(each, _CONSTRAINTS):
            raise NotSaid(f"{each.sql(dialect='postgres')}")
        else:
            parts.append(constraint(flavour, each, own, context))
    made = f"{head}{exists} {quoted(table)} ({', '.join(parts)})"
    is_new = not exists or table.lower() not in context.schema.tables
    return Translation(made, tuple(context.before), tuple(context.after)) if is_new else Translation(made)


def constraint(flavour: PostgreSQLFlavour, tree: Any, own: Columns, context: Context) -> str:
    """A constraint of a table or a column.  Raises NotSaid for what SQLite would pass over."""
    tree = tree.copy()
    for each in tree.find_all(exp.UniqueColumnConstraint, exp.PrimaryKey, exp.PrimaryKeyColumnConstraint):
        if each.args.get("nulls"):
            raise NotSaid("NULLS NOT DISTINCT")
        if each.args.get("options"):
            raise NotSaid(f"a key that is {' '.join(map(str, each.args['options']))}")
        each.set("include", None)
    for each in tree.find_all(exp.Reference):
        options = [_referential(str(option)) for option in each.args.get("options") or []]
        deferred = "INITIALLY DEFERRED" in options and "DEFERRABLE" not in options
        each.set("options", [*(["DEFERRABLE"] if deferred else []), *options])
    return flavour.text(flavour.schema_expression(tree, context, own))


def _referential(option: str) -> str:
    """What a foreign key does.  Raises NotSaid for what SQLite does not have."""
    option = " ".join(option.upper().split())
    if not _REFERENTIAL.fullmatch(option):
        raise NotSaid(f"a foreign key with {option}")
    return option


_REFERENTIAL = re.compile(
    r"ON (?:DELETE|UPDATE) (?:NO ACTION|RESTRICT|CASCADE|SET NULL|SET DEFAULT)|(?:NOT )?DEFERRABLE|"
    r"INITIALLY (?:DEFERRED|IMMEDIATE)|MATCH SIMPLE"
)
_CONSTRAINTS = (exp.PrimaryKey, exp.ForeignKey, exp.UniqueColumnConstraint, exp.CheckColumnConstraint, exp.Constraint)


def _key_in(constraint: exp.Constraint) -> Any:
    return next((each for each in constraint.expressions if isinstance(each, exp.PrimaryKey)), None)


def _key_name(schema: exp.Schema) -> str:
    """The name of the primary key; empty if it has none."""
    names = [each.name for each in schema.expressions if isinstance(each, exp.Constraint) and _key_in(each)]
    for each in schema.find_all(exp.ColumnConstraint):
        if isinstance(each.kind, exp.PrimaryKeyColumnConstraint) and each.args.get("this") is not None:
            names.append(each.name)
    return names[0] if names else ""


def _type_of(kind: Any) -> str:
    return str(kind.this.value if isinstance(kind.this, exp.DataType.Type) else kind.this)


def _is_numbered(column: exp.ColumnDef) -> bool:
    identity = any(isinstance(each.kind, exp.GeneratedAsIdentityColumnConstraint) for each in column.constraints)
    return identity or _type_of(column.args["kind"]) in _SERIAL


def numbering_of(
    tree: exp.ColumnDef, table: exp.Identifier, context: Context, *, is_temporary: bool
) -> Numbering | None:
    """What a column is numbered by; its sequence is made before the table.  Raises NotSaid."""
    for constraint in tree.constraints:
        kind = constraint.kind
        if isinstance(kind, exp.GeneratedAsIdentityColumnConstraint) and not kind.expression:
            numbering = sequences.numbering(
                table, tree.this, context, is_always=bool(kind.this), is_temporary=is_temporary
            )
            sequences.make(context, numbering.sequence, sequences.start_of(kind))
            return numbering
        if isinstance(kind, exp.DefaultColumnConstraint) and is_nextval(kind.this):
            numbering = Numbering(sequence_of(kind.this), "nextval")
            context.before.append(f"SELECT pg_known({text(sequences.reference(numbering.sequence))})")
            return numbering
    if _type_of(tree.args["kind"]) not in _SERIAL:
        return None
    numbering = sequences.numbering(table, tree.this, context, is_always=False, is_temporary=is_temporary)
    sequences.make(context, numbering.sequence)
    return numbering


def is_nextval(value: Any) -> bool:
    """Whether a default is the next number of a sequence that is named."""
    if not isinstance(value, exp.Anonymous) or value.name.lower() != "nextval" or len(value.expressions) != 1:
        return False
    return isinstance(_inner(value.expressions[0]), exp.Literal)


def sequence_of(value: Any) -> str:
    """The sequence of which a default is the next number."""
    return sequences.named(_inner(value.expressions[0]).name)


def _inner(value: Any) -> Any:
    """A value without casts, as those to text and regclass."""
    while isinstance(value, exp.Cast | exp.Paren):
        value = value.this
    return value


def _is_serial(schema: exp.Schema, name: str) -> bool:
    return any(
        isinstance(each, exp.ColumnDef) and each.name == name and _is_numbered(each) for each in schema.expressions
    )


def kinds_of(parts: list[Any]) -> Columns:
    """The kinds of the columns that are being made."""
    columns = [each for each in parts if isinstance(each, exp.ColumnDef) and each.args.get("kind") is not None]
    return {each.name.lower(): of_column(Column(declaration(each))) for each in columns}


def declaration(tree: exp.ColumnDef) -> str:
    """A column's type as it is kept.  Raises NotSaid."""
    kind = tree.args["kind"]
    type_name = _SERIAL.get(_type_of(kind), _type_of(kind))
    if type_name == "USER-DEFINED" and kind.expressions:
        return f"enum text({kind.expressions[0].name})"
    if type_name not in _DECLARED:
        raise NotSaid(f"a column of type {kind.sql(dialect='postgres')}")
    sizes = [each.name for each in kind.expressions if each.name.isdigit()]
    declared = _DECLARED[type_name][0]
    return f"{declared}({', '.join(sizes)})" if sizes else declared


def column(
    flavour: PostgreSQLFlavour,
    tree: exp.ColumnDef,
    key: list[str],
    own: Columns,
    context: Context,
    numbering: Numbering | None = None,
    key_name: str = "",
) -> str:
    """A column: its type, and checks that SQLite's affinities do not make."""
    kind = tree.args.get("kind")
    if kind is None:
        raise NotSaid(f"a column without a type: {tree.name}")
    name, type_name = quoted(tree.name), _type_of(kind)
    if _is_numbered(tree) and numbering is None:
        raise NotSaid("a serial column of a table that is there already")
    type_name = _SERIAL.get(type_name, type_name)
    if numbering is not None and type_name not in ("SMALLINT", "INT", "BIGINT"):
        raise NotSaid(f"numbers in a column of type {kind.sql(dialect='postgres')}")
    is_row_number = numbering is not None and _is_numbered(tree) and key == [tree.name]
    shown = declaration(tree)
    if is_row_number:
        named = f"CONSTRAINT {quoted(key_name)} " if key_name else ""
        shown = f"INTEGER {named}PRIMARY KEY AUTOINCREMENT {numbering}"
    elif numbering is not None:
        shown = f"{shown}{' NOT NULL' if numbering.kind != 'nextval' else ''} {numbering}"
    sizes = [int(each.name) for each in kind.expressions if each.name.isdigit()]
    bits = 0 if type_name == "USER-DEFINED" else _DECLARED[type_name][1]
    rest: list[str] = []
    for clause in tree.constraints:
        made = clause.kind
        if numbering is not None and _says_numbers(made):
            continue
        if is_row_number and isinstance(made, exp.PrimaryKeyColumnConstraint | exp.NotNullColumnConstraint):
            continue
        if isinstance(made, exp.DefaultColumnConstraint):
            rest.append(f"DEFAULT ({as_kept(flavour, made.this, own[tree.name.lower()], context)})")
        elif isinstance(made, exp.CollateColumnConstraint):
            raise NotSaid("COLLATE of a column")
        elif isinstance(made, exp.ComputedColumnConstraint):
            value = flavour.text(flavour.schema_expression(made.this, context, own))
            rest.append(f"GENERATED ALWAYS AS ({value}) STORED")
        else:
            rest.append(constraint(flavour, clause, own, context))
    if is_row_number:
        return " ".join([name, shown, *rest])
    if tree.name in key and "NOT NULL" not in rest and (numbering is None or numbering.kind == "nextval"):
        rest.insert(0, "NOT NULL")
    if type_name == "USER-DEFINED":
        return " ".join(
            [name, shown, *rest, f"CHECK ({labels.check(tree.name, context.schema.labels[sizes[0]].labels)})"]
        )
    rest += [f"CHECK ({check})" for check in _checks(name, type_name, sizes, bits)]
    return " ".join([name, shown, *rest])


def _says_numbers(constraint: Any) -> bool:
    """Whether it says what a column is numbered by."""
    is_identity = isinstance(constraint, exp.GeneratedAsIdentityColumnConstraint)
    return is_identity or (isinstance(constraint, exp.DefaultColumnConstraint) and is_nextval(constraint.this))


def as_kept(flavour: PostgreSQLFlavour, value: Any, kind: Kind, context: Context) -> str:
    """A default: a literal as the column keeps it."""
    inner = value
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.Cast) and isinstance(inner.this, exp.Literal) and not inner.to.expressions:
        inner = inner.this  # read as the column's type
    if isinstance(inner, exp.Literal | exp.Boolean):
        return flavour.text(
            flavour.schema_expression(
                _folded(flavour, assigned(_annotated(flavour, inner, context), kind, context)), context
            )
        )
    return flavour.text(flavour.schema_expression(value, context))


def _folded(flavour: PostgreSQLFlavour, value: Any) -> Any:
    """What a function of ours makes of literals, so that others can write the table."""
    if not isinstance(value, exp.Anonymous) or not all(isinstance(each, exp.Literal) for each in value.expressions):
        return value
    known_values = [each.to_py() for each in value.expressions]
    arguments = [float(each) if isinstance(each, Decimal) else each for each in known_values]
    return literal(flavour.functions.implementations[value.name.removeprefix("pg_")](*arguments))


def _annotated(flavour: PostgreSQLFlavour, value: Any, context: Context) -> Any:
    """A value with its kind."""
    copied = value.copy()
    annotate(copied, context.schema, flavour.typing)
    return copied


def checks_of(name: str, declared: str, schema: Schema = NOTHING) -> list[str]:
    """The checks of a column that is declared so."""
    word, _, sizes = declared.lower().partition("(")
    if word == "enum text":
        number = int(sizes.removesuffix(")"))
        return [f"CHECK ({labels.check(name, found.labels)})" for found in [schema.labels.get(number)] if found]
    for type_name, (shown, bits) in _DECLARED.items():
        if shown == word.strip():
            return [
                f"CHECK ({check})"
                for check in _checks(quoted(name), type_name, [int(each) for each in re.findall(r"\d+", sizes)], bits)
            ]
    return []


def _checks(name: str, type_name: str, sizes: list[int], bits: int) -> list[str]:
    nothing = f"{name} IS NULL OR "
    if bits:
        bounds = f" AND {name} BETWEEN {-(2**bits)} AND {2**bits - 1}" if bits < 63 else ""
        return [f"{nothing}typeof({name}) = 'integer'{bounds}"]
    if type_name == "DECIMAL" and sizes:
        return [nothing + decimal_check(name, sizes)]
    if type_name in ("DECIMAL", "DOUBLE", "FLOAT"):
        return [f"{nothing}typeof({name}) IN ('integer', 'real')"]
    if type_name in ("VARCHAR", "CHAR", "BPCHAR") and sizes:
        return [f"{nothing}length({name}) <= {sizes[0]}"]
    if type_name == "BOOLEAN":
        return [f"{nothing}{name} IN (0, 1)"]
    if type_name == "DATE":
        return [f"{nothing}(typeof({name}) = 'text' AND {name} IS date({name}))"]
    if type_name == "TIME":
        whole = f"substr({name}, 1, 8)"
        return [f"{nothing}(typeof({name}) = 'text' AND {whole} IS time({whole}) AND length({name}) IN (8, 15))"]
    if type_name in ("TIMESTAMP", "TIMESTAMPTZ"):
        return [nothing + moment_check(name)]
    if type_name in ("JSON", "JSONB"):
        return [f"{nothing}json_valid({name})"]
    if type_name == "UUID":
        return [f"{nothing}length({name}) = 36 AND {name} = lower({name})"]
    return []


_VISIBLE = f"name NOT IN ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4', '{sequences.TABLE}', '{TYPES}')"


def information_schema(node: exp.Table) -> exp.Expression:
    """The tables and columns of the database, as PostgreSQL's catalog has them."""
    what = node.name.lower()
    shown = (
        "CASE WHEN c.type = 'INTEGER' THEN 'integer' WHEN c.type = 'span text' THEN 'interval' "
        "WHEN c.type LIKE 'enum text%' THEN 'USER-DEFINED' WHEN c.type LIKE 'varchar%' THEN 'character varying' "
        "WHEN c.type LIKE 'real numeric%' THEN 'numeric' WHEN c.type = 'timestamp' THEN 'timestamp without time zone' "
        "WHEN c.type = 'timestamptz' THEN 'timestamp with time zone' "
        "ELSE replace(replace(lower(c.type), ' text', ''), ' blob', '') END"
    )
    queries = {
        "tables": "SELECT 'main' AS table_catalog, 'public' AS table_schema, name AS table_name, "
        "CASE type WHEN 'view' THEN 'VIEW' ELSE 'BASE TABLE' END AS table_type "
        f"FROM sqlite_schema WHERE type IN ('table', 'view') AND {_VISIBLE}",
        "columns": "SELECT 'main' AS table_catalog, 'public' AS table_schema, m.name AS table_name, "
        "c.name AS column_name, c.cid + 1 AS ordinal_position, "
        "c.dflt_value AS column_default, CASE WHEN c.\"notnull\" OR c.pk THEN 'NO' ELSE "
        f"'YES' END AS is_nullable, {shown} AS data_type "
        f"FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type IN ('table', 'view') AND m.{_VISIBLE}",
    }
    if what not in queries:
        raise NotSaid(f"information_schema.{what}")
    made = parse_one(queries[what], read="sqlite")
    assert isinstance(made, exp.Select)
    return made.subquery(node.alias or what)
