"""PostgreSQL's tables in SQLite: CREATE TABLE, columns with CHECK conditions that enforce their types, defaults, and
``information_schema``."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Translation, Unsupported, literal
from clusterdb.flavours.postgresql import labels, sequences
from clusterdb.flavours.postgresql.assign import assigned
from clusterdb.flavours.rules import columns_first, key_of
from clusterdb.flavours.schema import NOTHING, TYPES, Column, Numbering, Schema
from clusterdb.flavours.tables import (
    decimal_check,
    integer_check,
    length_check,
    moment_check,
    number_check,
    quoted,
    text,
)
from clusterdb.flavours.trees import (
    CATALOG_COLUMNS,
    CATALOG_TABLES,
    FROM_COLUMNS,
    IS_NULLABLE,
    catalog_table,
    data_type,
    has_constraint,
    property_of,
    sizes_of,
    type_name,
)
from clusterdb.flavours.types import Columns, Kind, annotate, of_column

if TYPE_CHECKING:
    from clusterdb.flavours.flavour import Flavour

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
    "SMALLINT": "smallint",
    "INT": "integer",
    "BIGINT": "bigint",
    "TEXT": "text",
    "VARCHAR": "varchar",
    "CHAR": "character",
    "BPCHAR": "character",
    "DECIMAL": "real numeric",
    "DOUBLE": "double precision",
    "FLOAT": "real",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
    "TIME": "time",
    "JSON": "json text",
    "JSONB": "jsonb text",
    "UUID": "uuid text",
    "VARBINARY": "bytea blob",
    "INTERVAL": "span text",
}
"""Declarations with the affinity that a type's values need, by sqlglot's name of the type."""
_ENUM = "enum text"
_PROPERTIES = (exp.TemporaryProperty, exp.OnCommitProperty, exp.UnloggedProperty, exp.Property)
_CONSTRAINTS = (exp.PrimaryKey, exp.ForeignKey, exp.UniqueColumnConstraint, exp.CheckColumnConstraint, exp.Constraint)
_REFERENTIAL = re.compile(
    r"ON (?:DELETE|UPDATE) (?:NO ACTION|RESTRICT|CASCADE|SET NULL|SET DEFAULT)|(?:NOT )?DEFERRABLE|"
    r"INITIALLY (?:DEFERRED|IMMEDIATE)|MATCH SIMPLE"
)


# --- CREATE TABLE -----------------------------------------------------------------------------------------------------
def create_table(flavour: Flavour, tree: exp.Create, context: Context) -> Translation:
    """CREATE TABLE, also AS SELECT.  Raises Unsupported or Refused."""
    properties = tree.args.get("properties")
    for option in properties.expressions if properties is not None else []:
        if type(option) not in _PROPERTIES:
            raise Unsupported(f"CREATE TABLE with {type(option).__name__.removesuffix('Property')}")
    is_temporary = property_of(tree, exp.TemporaryProperty) is not None
    head = "CREATE TEMP TABLE" if is_temporary else "CREATE TABLE"
    exists = " IF NOT EXISTS" if tree.args.get("exists") else ""
    schema = tree.this
    if not isinstance(schema, exp.Schema):
        return flavour.table_of_query(head, tree, context)
    key, key_name, own = key_of(schema), _key_name(schema), kinds_of(schema.expressions)
    is_row_id = len(key) == 1 and _is_serial(schema, key[0])
    table, parts = schema.this.name, []
    for part in columns_first(schema.expressions):
        if isinstance(part, exp.ColumnDef):
            numbering = numbering_of(part, schema.this.this, context, is_temporary=is_temporary)
            parts.append(column(flavour, part, key, own, context, numbering, key_name))
        elif is_row_id and _primary_key_in(part) is not None:
            continue  # the column declares it
        elif isinstance(part, exp.LikeProperty):
            raise Unsupported("CREATE TABLE (LIKE ...)")
        elif not isinstance(part, _CONSTRAINTS):
            raise Unsupported(f"{part.sql(dialect='postgres')} in a table definition")
        else:
            parts.append(constraint(flavour, part, own, context))
    sql = f"{head}{exists} {quoted(table)} ({', '.join(parts)})"
    is_new = not exists or table.lower() not in context.schema.tables
    return Translation(sql, tuple(context.before), tuple(context.after)) if is_new else Translation(sql)


def constraint(flavour: Flavour, tree: exp.Expression, own: Columns, context: Context) -> str:
    """A constraint of a table or a column, in SQLite's SQL.  Raises Unsupported for options that SQLite lacks."""
    tree = tree.copy()
    for key in tree.find_all(exp.UniqueColumnConstraint, exp.PrimaryKey, exp.PrimaryKeyColumnConstraint):
        if key.args.get("nulls"):
            raise Unsupported("NULLS NOT DISTINCT")
        if key.args.get("options"):
            raise Unsupported(f"a key with {' '.join(map(str, key.args['options']))}")
        key.set("include", None)
    for reference in tree.find_all(exp.Reference):
        options = [_referential(str(option)) for option in reference.args.get("options") or []]
        deferred = "INITIALLY DEFERRED" in options and "DEFERRABLE" not in options
        reference.set("options", [*(["DEFERRABLE"] if deferred else []), *options])
    return flavour.text(flavour.schema_expression(tree, context, own))


def _referential(option: str) -> str:
    """An option of a foreign key.  Raises Unsupported if SQLite lacks it."""
    option = " ".join(option.upper().split())
    if not _REFERENTIAL.fullmatch(option):
        raise Unsupported(f"a foreign key with {option}")
    return option


def _primary_key_in(part: exp.Expression) -> exp.PrimaryKey | None:
    """The primary key that a constraint of a table is, if it is one."""
    parts = part.expressions if isinstance(part, exp.Constraint) else [part]
    return next((inner for inner in parts if isinstance(inner, exp.PrimaryKey)), None)


def _key_name(schema: exp.Schema) -> str:
    """The name of the primary key; empty if it has none."""
    parts = [part for part in schema.expressions if isinstance(part, exp.Constraint)]
    names = [part.name for part in parts if _primary_key_in(part) is not None]
    for column_constraint in schema.find_all(exp.ColumnConstraint):
        is_key = isinstance(column_constraint.kind, exp.PrimaryKeyColumnConstraint)
        if is_key and column_constraint.args.get("this") is not None:
            names.append(column_constraint.name)
    return names[0] if names else ""


# --- numbered columns -------------------------------------------------------------------------------------------------
def _is_numbered(column: exp.ColumnDef) -> bool:
    """Whether a column is an identity column or of a serial type."""
    return has_constraint(column, exp.GeneratedAsIdentityColumnConstraint) or type_name(data_type(column)) in _SERIAL


def numbering_of(
    tree: exp.ColumnDef, table: exp.Identifier, context: Context, *, is_temporary: bool
) -> Numbering | None:
    """The numbering of a column, whose sequence the statement then creates; None if it has none.

    Raises Unsupported.
    """
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
            context.before.append(f"SELECT pg_require_sequence({text(sequences.reference(numbering.sequence))})")
            return numbering
    if type_name(data_type(tree)) not in _SERIAL:
        return None
    numbering = sequences.numbering(table, tree.this, context, is_always=False, is_temporary=is_temporary)
    sequences.make(context, numbering.sequence)
    return numbering


def is_nextval(value: exp.Expression) -> bool:
    """Whether a default is nextval() of a literal."""
    if not isinstance(value, exp.Anonymous) or value.name.lower() != "nextval" or len(value.expressions) != 1:
        return False
    return isinstance(_inner(value.expressions[0]), exp.Literal)


def sequence_of(value: exp.Expression) -> str:
    """The sequence of a default that is nextval()."""
    return sequences.named(_inner(value.expressions[0]).name)


def _inner(value: exp.Expression) -> exp.Expression:
    """A value without casts, such as those to text and regclass."""
    while isinstance(value, exp.Cast | exp.Paren):
        value = value.this
    return value


def _is_serial(schema: exp.Schema, name: str) -> bool:
    """Whether a column of a new table is numbered."""
    columns = (part for part in schema.expressions if isinstance(part, exp.ColumnDef))
    return any(column.name == name and _is_numbered(column) for column in columns)


# --- columns ----------------------------------------------------------------------------------------------------------
def kinds_of(parts: list[exp.Expression]) -> Columns:
    """The kinds of the columns among the parts of a definition.  Raises Unsupported."""
    columns = [part for part in parts if isinstance(part, exp.ColumnDef) and part.args.get("kind") is not None]
    return {column.name.lower(): of_column(Column(declaration(column))) for column in columns}


def declaration(tree: exp.ColumnDef) -> str:
    """The declared type of a column in SQLite.  Raises Unsupported."""
    kind = data_type(tree)
    name = _SERIAL.get(type_name(kind), type_name(kind))
    if name == "USER-DEFINED" and kind.expressions:
        return f"{_ENUM}({kind.expressions[0].name})"
    if name == "ARRAY" and kind.expressions:
        inner = kind.expressions[0]
        while type_name(inner) == "ARRAY" and inner.expressions:
            inner = inner.expressions[0]
        return f"array of {declaration(exp.ColumnDef(this=tree.this.copy(), kind=inner.copy()))}"
    if name not in _DECLARED:
        raise Unsupported(f"a column of type {kind.sql(dialect='postgres')}")
    sizes = ", ".join(map(str, sizes_of(kind)))
    return f"{_DECLARED[name]}({sizes})" if sizes else _DECLARED[name]


def column(
    flavour: Flavour,
    tree: exp.ColumnDef,
    key: list[str],
    own: Columns,
    context: Context,
    numbering: Numbering | None = None,
    key_name: str = "",
) -> str:
    """A column's definition in SQLite's SQL.

    ``key``, ``key_name``: the columns and the name of the table's primary key.  ``own``: the kinds of the table's
    columns.  A numbered column that is the primary key becomes SQLite's row id.  Raises Unsupported or Refused.
    """
    declared = declaration(tree)
    if _is_numbered(tree) and numbering is None:
        raise Unsupported("a serial column added to an existing table")
    if numbering is not None and declared not in ("smallint", "integer", "bigint"):
        raise Unsupported(f"numbering of a column of type {data_type(tree).sql(dialect='postgres')}")
    is_row_id = numbering is not None and _is_numbered(tree) and key == [tree.name]
    clauses = _clauses(flavour, tree, own, context, is_numbered=numbering is not None, is_row_id=is_row_id)
    if is_row_id:
        constraint_name = f"CONSTRAINT {quoted(key_name)} " if key_name else ""
        head = f"INTEGER {constraint_name}PRIMARY KEY AUTOINCREMENT {numbering}"
        return " ".join([quoted(tree.name), head, *clauses])
    owns_sequence = numbering is not None and numbering.kind != "nextval"
    if tree.name in key and "NOT NULL" not in clauses and not owns_sequence:
        clauses.insert(0, "NOT NULL")
    head = declared
    if numbering is not None:
        head += f"{' NOT NULL' if owns_sequence else ''} {numbering}"
    return " ".join([quoted(tree.name), head, *clauses, *checks_of(tree.name, declared, context.schema)])


def _clauses(
    flavour: Flavour,
    tree: exp.ColumnDef,
    own: Columns,
    context: Context,
    *,
    is_numbered: bool,
    is_row_id: bool,
) -> list[str]:
    """The constraints of a column, except for those that its numbering or the row id implies.  Raises Unsupported."""
    clauses: list[str] = []
    for clause in tree.constraints:
        kind = clause.kind
        if is_numbered and _is_numbering(kind):
            continue
        if is_row_id and isinstance(kind, exp.PrimaryKeyColumnConstraint | exp.NotNullColumnConstraint):
            continue
        if isinstance(kind, exp.DefaultColumnConstraint):
            clauses.append(f"DEFAULT ({as_kept(flavour, kind.this, own[tree.name.lower()], context)})")
        elif isinstance(kind, exp.CollateColumnConstraint):
            raise Unsupported("COLLATE of a column")
        elif isinstance(kind, exp.ComputedColumnConstraint):
            value = flavour.text(flavour.schema_expression(kind.this, context, own))
            clauses.append(f"GENERATED ALWAYS AS ({value}) STORED")
        else:
            clauses.append(constraint(flavour, clause, own, context))
    return clauses


def _is_numbering(kind: exp.Expr) -> bool:
    """Whether a constraint of a column declares its sequence."""
    is_identity = isinstance(kind, exp.GeneratedAsIdentityColumnConstraint)
    return is_identity or (isinstance(kind, exp.DefaultColumnConstraint) and is_nextval(kind.this))


def as_kept(flavour: Flavour, value: exp.Expression, kind: Kind, context: Context) -> str:
    """The default of a column of a kind, in SQLite's SQL; a literal is converted to the kind.  Raises Unsupported."""
    inner = value
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.Cast) and isinstance(inner.this, exp.Literal) and not inner.to.expressions:
        inner = inner.this  # the column's type is the one that counts
    if isinstance(inner, exp.Literal | exp.Boolean):
        literal_value = inner.copy()
        annotate(literal_value, context.schema, flavour.typing)
        value = _folded(flavour, assigned(literal_value, kind, context))
    return flavour.text(flavour.schema_expression(value, context))


def _folded(flavour: Flavour, value: exp.Expression) -> exp.Expression:
    """The literal that a call of the flavour's functions with literals returns: plain SQLite lacks the function."""
    if not isinstance(value, exp.Anonymous) or not all(
        isinstance(argument, exp.Literal) for argument in value.expressions
    ):
        return value
    values = [argument.to_py() for argument in value.expressions]
    arguments = [float(argument) if isinstance(argument, Decimal) else argument for argument in values]
    return literal(flavour.functions.implementations[value.name.removeprefix("pg_")](*arguments))


# --- checks -----------------------------------------------------------------------------------------------------------
def checks_of(name: str, declared: str, schema: Schema = NOTHING) -> list[str]:
    """The CHECK clauses of a column with a declared type; ``schema`` has the labels of enumerated types."""
    word, _, rest = declared.lower().partition("(")
    sizes = [int(digits) for digits in re.findall(r"\d+", rest)]
    if word == _ENUM:
        enum = schema.labels.get(sizes[0])
        return [] if enum is None else [f"CHECK ({labels.check(name, enum.labels)})"]
    write = _CHECKS.get(word.strip())
    condition = "" if write is None else write(quoted(name), sizes)
    return [f"CHECK ({quoted(name)} IS NULL OR {condition})"] if condition else []


def _length_check(name: str, sizes: list[int]) -> str:
    return length_check(name, sizes[0]) if sizes else ""


def _decimal_check(name: str, sizes: list[int]) -> str:
    return decimal_check(name, sizes) if sizes else number_check(name)


def _time_check(name: str, _: list[int]) -> str:
    whole = f"substr({name}, 1, 8)"
    return f"(typeof({name}) = 'text' AND {whole} IS time({whole}) AND length({name}) IN (8, 15))"


_CHECKS: dict[str, Callable[[str, list[int]], str]] = {
    "smallint": lambda name, _: integer_check(name, 15),
    "integer": lambda name, _: integer_check(name, 31),
    "bigint": lambda name, _: integer_check(name, 63),
    "varchar": _length_check,
    "character": _length_check,
    "real numeric": _decimal_check,
    "double precision": lambda name, _: number_check(name),
    "real": lambda name, _: number_check(name),
    "boolean": lambda name, _: f"{name} IN (0, 1)",
    "date": lambda name, _: f"(typeof({name}) = 'text' AND {name} IS date({name}))",
    "time": _time_check,
    "timestamp": lambda name, _: moment_check(name),
    "timestamptz": lambda name, _: moment_check(name),
    "json text": lambda name, _: f"json_valid({name})",
    "jsonb text": lambda name, _: f"json_valid({name})",
    "uuid text": lambda name, _: f"length({name}) = 36 AND {name} = lower({name})",
}
"""The condition on a quoted column, the sizes of its type given; by the type's declaration without sizes."""


# --- information_schema -----------------------------------------------------------------------------------------------
_VISIBLE = f"name NOT IN ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4', '{sequences.TABLE}', '{TYPES}')"


_SHOWN_TYPE = (
    "CASE WHEN c.type = 'INTEGER' THEN 'integer' WHEN c.type = 'span text' THEN 'interval' "
    "WHEN c.type LIKE 'array of %' THEN 'ARRAY' "
    "WHEN c.type LIKE 'enum text%' THEN 'USER-DEFINED' WHEN c.type LIKE 'varchar%' THEN 'character varying' "
    "WHEN c.type LIKE 'real numeric%' THEN 'numeric' WHEN c.type = 'timestamp' THEN 'timestamp without time zone' "
    "WHEN c.type = 'timestamptz' THEN 'timestamp with time zone' "
    "ELSE replace(replace(lower(c.type), ' text', ''), ' blob', '') END"
)


def information_schema(node: exp.Table) -> exp.Subquery:
    """The query that answers for a table of PostgreSQL's ``information_schema``.  Raises Unsupported."""
    own = "'main' AS table_catalog, 'public' AS table_schema"
    shown = f"c.dflt_value AS column_default, {IS_NULLABLE} AS is_nullable, {_SHOWN_TYPE} AS data_type"
    return catalog_table(
        node,
        {
            "tables": f"SELECT {own}, {CATALOG_TABLES} FROM sqlite_schema "
            f"WHERE type IN ('table', 'view') AND {_VISIBLE}",
            "columns": f"SELECT {own}, {CATALOG_COLUMNS}, {shown} {FROM_COLUMNS} AND m.{_VISIBLE}",
        },
    )
