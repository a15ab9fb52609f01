"""Of what kind each expression of a statement is, as far as the schema and the engine's rules tell.

Pure: a tree and a schema go in, and every node of the tree gets a :class:`Kind`, which :func:`kind_of` answers.  Names
are resolved through scopes: FROM, aliases, subqueries, common table expressions, views.  What is not known is UNKNOWN:
parameters, variables, functions whose result depends on their values.  Rules of a flavour look at kinds where SQLite
would compare, calculate or show otherwise than the engine does.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sqlglot import exp

from clusterdb.flavours.schema import Column, Schema

__all__ = [
    "BOOLEAN",
    "BYTES",
    "Columns",
    "DATE",
    "DATETIME",
    "DOUBLE",
    "GIVEN",
    "INTEGER",
    "INTERVAL",
    "JSON",
    "LITERAL",
    "NULL",
    "NUMBERS",
    "Names",
    "Query",
    "TEXT",
    "TIME",
    "UNKNOWN",
    "Kind",
    "KindRule",
    "Typing",
    "annotate",
    "answers",
    "decimal",
    "declared_as",
    "kind_of",
    "kind_of_literal",
    "merged",
    "of_column",
    "set_kind",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A coarse type.

    ``scale``: of decimals the digits behind the point, None if they depend on the value, of MySQL's DOUBLE(m,d) too; of
    times the digits of the fraction of a second. ``size``: the bits of an integer, the length of a CHAR. ``collation``:
    of a text, where it is not the engine's usual one. ``members``: of MySQL's ENUM, and of its SET, whose ``size`` is
    1; of PostgreSQL's array the declaration of its elements' type. An integer with the collation "zerofill" is shown
    with as many digits as its ``scale``.
    """

    name: str
    scale: int | None = None
    size: int = 0
    collation: str = ""
    members: str = ""


UNKNOWN = Kind("unknown")
GIVEN = Kind("unknown", collation="given")
"""A column of VALUES that are parameters: its values are converted as parameters are."""
NULL = Kind("null")
INTEGER = Kind("integer", size=64)
DOUBLE = Kind("double")
TEXT = Kind("text")
DATE = Kind("date")
DATETIME = Kind("datetime")
TIME = Kind("time")
BOOLEAN = Kind("boolean")
JSON = Kind("json")
BYTES = Kind("bytes")
INTERVAL = Kind("interval")
LITERAL = Kind("literal")
"""A text in quotes that takes its type from what stands beside it, as PostgreSQL has them."""

NUMBERS = frozenset({"integer", "decimal", "double"})

_CATALOGS = ("information_schema", "pg_catalog")

Columns = dict[str, Kind]
Node = TypeVar("Node", bound=exp.Expr)
KindRule = Callable[[Any, list[Kind]], Kind]


def decimal(scale: int | None) -> Kind:
    """An exact number."""
    return Kind("decimal", scale=scale)


def kind_of(node: exp.Expr | None) -> Kind:
    """What :func:`annotate` found a node to be, or the rule that made it said."""
    while isinstance(node, exp.Paren | exp.Alias | exp.Ordered) and "kind" not in node.meta:
        node = node.this
    result = node.meta.get("kind", UNKNOWN) if isinstance(node, exp.Expression) else UNKNOWN
    assert isinstance(result, Kind)
    return result


def set_kind(node: Node, kind: Kind) -> Node:
    """A node of that kind; the node itself."""
    node.meta["kind"] = kind
    return node


# --- types as they are declared ---------------------------------------------------------------------------------------
_DECLARED: tuple[tuple[str, Kind], ...] = (
    (r"array of", Kind("array")),
    (r"tinyint\(1\)", Kind("integer", size=8)),
    (r"tinyint", Kind("integer", size=8)),
    (r"smallint", Kind("integer", size=16)),
    (r"mediumint", Kind("integer", size=24)),
    (r"bigint", INTEGER),
    (r"year", Kind("integer", size=16, collation="year")),
    (r"int|integer", Kind("integer", size=32)),
    (r"real numeric|decimal|numeric|dec|fixed", Kind("decimal")),
    (r"float|real", Kind("double", size=32)),
    (r"double", DOUBLE),
    (r"enum", Kind("enum")),
    (r"set_of", Kind("enum", size=1)),
    (r"char", Kind("text", size=1)),
    (r"character", Kind("char")),
    (r"varchar|(?:tiny|medium|long)?text|n(?:var)?char", TEXT),
    (r"timestamptz", Kind("datetime", collation="zone")),
    (r"datetime|timestamp", DATETIME),
    (r"date", DATE),
    (r"time", TIME),
    (r"boolean|bool", BOOLEAN),
    (r"jsonb text", Kind("jsonb")),
    (r"json text", JSON),
    (r"uuid text", Kind("uuid")),
    (r"span text", INTERVAL),
    (r"(?:bytea )?blob", BYTES),
)
_COMPILED = tuple((re.compile(rf"(?:{pattern})\b"), kind) for pattern, kind in _DECLARED)
_DIGITS = {8: 3, 16: 5, 24: 8, 32: 10, 64: 20}
_SIZES = re.compile(r"\((\d+)(?:\s*,\s*(\d+))?\)")


def of_column(column: Column) -> Kind:
    """The kind of what is declared so."""
    kind = next((kind for pattern, kind in _COMPILED if pattern.match(column.declared)), UNKNOWN)
    sizes = _SIZES.search(column.declared)
    if kind.name == "array":
        members = column.declared.removeprefix("array of ")
        usual = declared_as(of_column(Column(members)))
        kind = replace(kind, members=members if members.startswith("varchar") else usual)
    elif kind.name == "decimal":
        unbounded = column.declared.startswith("real numeric")
        kind = decimal(int(sizes[2] or 0) if sizes is not None else None if unbounded else 0)
    elif kind.name in ("datetime", "time"):
        kind = replace(kind, scale=int(sizes[1]) if sizes is not None else None)
    elif kind.name == "double" and sizes is not None and sizes[2]:
        kind = replace(kind, scale=int(sizes[2]))
    elif kind.name == "char":
        kind = replace(kind, size=int(sizes[1]) if sizes is not None else 1)
    elif kind.name == "bytes" and sizes is not None and "binary" in column.declared:
        kind = replace(kind, size=0 if "varbinary" in column.declared else int(sizes[1]))
    elif kind.name == "integer" and "zerofill" in column.declared:
        kind = replace(kind, scale=int(sizes[1]) if sizes is not None else _DIGITS[kind.size], collation="zerofill")
    elif kind.name == "enum":
        kind = replace(kind, members=column.members, size=int(sizes[1]) if sizes is not None else kind.size)
    if kind.name in ("text", "enum") and column.collation:
        kind = replace(kind, collation=column.collation)
    return kind


def declared_as(kind: Kind) -> str:
    """A declaration that :func:`of_column` reads as this kind; empty if there is none."""
    names = {"integer": "bigint", "double": "double", "text": "text", "date": "date", "datetime": "datetime"}
    names |= {"time": "time", "boolean": "boolean", "json": "json text", "jsonb": "jsonb text", "bytes": "blob"}
    names |= {"char": f"character({kind.size})", "interval": "span text", "uuid": "uuid text", "literal": "text"}
    names |= {"enum": f"enum text({kind.size})" if kind.size else "text"}
    if kind.name == "array":
        return f"array of {kind.members}"
    if kind.name == "enum" and kind.members:
        declared = f"{'set_of' if kind.size else 'enum'} text members {kind.members.encode().hex()}"
        return f"{declared} collate {kind.collation}" if kind.collation else declared
    if kind.name == "integer" and kind.collation == "zerofill":
        return f"bigint unsigned zerofill({kind.scale})"
    if kind.name == "double" and kind.scale is not None:
        return f"double(65,{kind.scale})"
    if kind.name == "integer" and 0 < kind.size < 64:
        return {8: "tinyint", 16: "smallint", 24: "mediumint"}.get(kind.size, "int")
    if kind.name == "decimal":
        return "real numeric" if kind.scale is None else f"decimal(65,{kind.scale})"
    if kind.name == "double" and kind.size == 32:
        return "real"
    if kind.name == "datetime" and kind.collation:
        return "timestamptz" if kind.scale is None else f"timestamptz({kind.scale})"
    result = names.get(kind.name, "")
    if kind.name in ("datetime", "time") and kind.scale is not None:
        result += f"({kind.scale})"
    return f"{result} collate {kind.collation}" if kind.collation and kind.name == "text" else result


def merged(kinds: list[Kind]) -> Kind:
    """What a value is that comes from one of several expressions."""
    known = [kind for kind in kinds if kind.name not in ("null", "literal")] or [
        kind for kind in kinds if kind.name != "null"
    ]
    if not known:
        return NULL
    first = known[0]
    if all(kind == first for kind in known):
        return first
    names = {kind.name for kind in known}
    if len(names) == 1:
        if first.name == "decimal":
            scales = [kind.scale for kind in known]
            return decimal(None if None in scales else max(scale for scale in scales if scale is not None))
        return replace(first, size=max(kind.size for kind in known), collation="".join(k.collation for k in known[:1]))
    if "unknown" in names:
        return UNKNOWN
    if names <= NUMBERS | {"boolean"}:
        if "double" in names:
            return DOUBLE
        scales = [kind.scale if kind.name == "decimal" else 0 for kind in known]
        if "decimal" in names:
            return decimal(None if None in scales else max(scale for scale in scales if scale is not None))
        return INTEGER
    if names <= {"text", "char", "enum"}:
        return TEXT
    return DATETIME if names == {"date", "datetime"} else Kind("mixed")


# --- a statement ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Typing:
    """What an engine's own rules say: by the kind of node, and by the name of a function."""

    nodes: Mapping[type[exp.Expression], KindRule]
    functions: Mapping[str, KindRule | Kind]


@dataclass(frozen=True)
class Query:
    """A SELECT: its sources in FROM by their names, with their columns, None where they are not known.

    ``tables`` names those that are tables or views of the schema, and of what name.
    """

    number: int
    sources: dict[str, Columns | None]
    tables: dict[str, str]


@dataclass(frozen=True)
class Names:
    """What names in a statement mean, by the identity of its nodes.

    ``columns`` has for each column that was found the number of the query whose source it is of, and the source's name.
    """

    columns: dict[int, tuple[int, str]] = field(default_factory=dict)
    aliased: dict[int, int] = field(default_factory=dict)
    """For each column that does not belong to a source the number of the query that gives an expression its name."""
    queries: dict[int, Query] = field(default_factory=dict)


def annotate(tree: exp.Expression, schema: Schema, typing: Typing, own: Columns | None = None) -> Names:
    """Give every node of a statement its kind, and answer what its names mean.

    What defines a table knows the table's ``own`` columns.
    """
    scope = _Scope(schema, typing)
    if own:
        scope.add("", own)
    scope.visit(tree)
    return scope.names


def answers(tree: exp.Expression, schema: Schema, typing: Typing) -> dict[str, Kind]:
    """The names and kinds of a query's columns."""
    return _Scope(schema, typing).query(tree.copy())


def kind_of_literal(node: exp.Literal) -> Kind:
    """Numbers: 1 is an integer, 1.50 a decimal with two digits, 1e3 a floating point number."""
    text = node.name.lower()
    if node.is_string:
        return TEXT
    if "e" in text:
        return DOUBLE
    if "." in text:
        return decimal(len(text.partition(".")[2]))
    return Kind("integer", size=32) if int(text) < 2**31 else INTEGER if int(text) < 2**63 else decimal(0)


def _columns(schema: Schema, table: str) -> Columns | None:
    result = schema.tables.get(table.lower())
    if result is None:
        return None
    converted = {name: of_column(column) for name, column in result.items()}
    return {"_rowid_": INTEGER, **converted}


@dataclass
class _Scope:
    """The names that an expression may use; ``sources`` have None where no columns are known of a table."""

    schema: Schema
    typing: Typing
    parent: _Scope | None = None
    sources: dict[str, Columns | None] = field(default_factory=dict)
    tables: dict[str, Columns] = field(default_factory=dict)
    aliases: Columns = field(default_factory=dict)
    bases: dict[str, str] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    number: int = field(default_factory=itertools.count().__next__)

    def add(self, name: str, columns: Columns | None) -> None:
        self.sources[name.lower()] = columns

    def column(self, node: exp.Column) -> Kind:
        """The kind of the column that a name means."""
        name, scope = node.name.lower(), self
        table = node.table.lower()
        while scope is not None:
            for source, columns in scope.sources.items():
                if table and source not in (table, ""):
                    continue
                if columns is not None and name in columns:
                    self.names.columns[id(node)] = scope.number, source
                    return TEXT if columns[name] == LITERAL else columns[name]
                if table and columns is not None:
                    return UNKNOWN
            if not table and name in scope.aliases:
                self.names.aliased[id(node)] = scope.number
                return scope.aliases[name]
            if scope.parent is None:
                break
            scope = scope.parent
        return UNKNOWN

    def table_of(self, name: str) -> Columns | None:
        """The columns of a table, or of a common table expression of that name."""
        result = self.common_table(name)
        return _columns(self.schema, name) if result is None else result

    def common_table(self, name: str) -> Columns | None:
        """The columns of a common table expression; None if there is none of that name."""
        scope: _Scope | None = self
        while scope is not None:
            if name.lower() in scope.tables:
                return scope.tables[name.lower()]
            scope = scope.parent
        return None

    def inner(self) -> _Scope:
        return _Scope(self.schema, self.typing, self, names=self.names)

    # --- nodes ------------------------------------------------------------------------------------------------------
    def visit(self, node: exp.Expression) -> Kind:
        """A node and all below it."""
        if isinstance(node, exp.Select | exp.SetOperation | exp.Values):
            columns = list(self.inner().query(node).values())
            return self.annotated(node, columns[0] if columns else UNKNOWN)
        if isinstance(node, exp.Subquery):
            return self.annotated(node, self.visit(node.this))
        if isinstance(node, exp.Insert | exp.Update | exp.Delete):
            self.inner().change(node)
            return UNKNOWN
        if isinstance(node, exp.Column):
            return self.annotated(node, self.column(node))
        if isinstance(node, exp.Literal):
            rule = self.typing.nodes.get(exp.Literal)
            return self.annotated(node, kind_of_literal(node) if rule is None else rule(node, []))
        kinds = [self.visit(expression) for expression in node.iter_expressions()]
        return self.annotated(node, self.kind(node, kinds))

    def annotated(self, node: exp.Expression, kind: Kind) -> Kind:
        if "kind" not in node.meta:
            node.meta["kind"] = kind
        return kind_of(node)

    def kind(self, node: exp.Expression, kinds: list[Kind]) -> Kind:
        """The kind of a node whose parts are known."""
        if isinstance(node, exp.Anonymous):
            rule = self.typing.functions.get(node.name.lower(), UNKNOWN)
            return rule if isinstance(rule, Kind) else rule(node, kinds)
        for kind in type(node).__mro__:
            result = self.typing.nodes.get(kind)
            if result is not None:
                return result(node, kinds)
        if type(node) in _KINDS:
            return _KINDS[type(node)](node, kinds)
        if isinstance(node, exp.Func):
            rule = self.typing.functions.get(node.sql_name().lower(), UNKNOWN)
            return rule if isinstance(rule, Kind) else rule(node, kinds)
        return UNKNOWN

    # --- queries ----------------------------------------------------------------------------------------------------
    def query(self, node: exp.Expr) -> Columns:
        """A query, and the kinds of its columns in order."""
        self.common(node)
        if isinstance(node, exp.SetOperation):
            return self.set_operation(node)
        if isinstance(node, exp.Subquery):
            return self.inner().query(node.this)
        if isinstance(node, exp.Values):
            return self.values(node)
        if not isinstance(node, exp.Select):
            return {}
        self.names.queries[id(node)] = Query(self.number, self.sources, self.bases)
        source = node.args.get("from_")
        for join in [source.this if source is not None else None, *(node.args.get("joins") or [])]:
            if join is not None:
                self.source(join)
        columns: Columns = {}
        for at, expression in enumerate(node.expressions):
            if isinstance(expression, exp.Star) or (
                isinstance(expression, exp.Column) and isinstance(expression.this, exp.Star)
            ):
                columns |= self.star(expression)
                continue
            kind = self.visit(expression)
            columns[expression.alias_or_name.lower() or f"column {at}"] = kind_of(expression.unalias()) or kind
        self.aliases |= columns
        for name in ("where", "group", "having", "order", "windows", "qualify", "limit", "offset", "distinct"):
            part = node.args.get(name)
            for expression in part if isinstance(part, list) else [part]:
                if isinstance(expression, exp.Expression):
                    self.visit(expression)
        return columns

    def common(self, node: exp.Expr) -> None:
        """Common table expressions; what a recursive one is made of, its first part says."""
        clause = node.args.get("with_") or node.args.get("with")
        if clause is None:
            return
        for expression in clause.expressions:
            query = expression.this
            if isinstance(query, exp.SetOperation) and clause.args.get("recursive"):
                first = self.inner().query(query.this)
                self.tables[expression.alias.lower()] = _renamed(first, expression)
            if isinstance(query, exp.Query):
                self.tables[expression.alias.lower()] = _renamed(self.inner().query(query), expression)
            else:
                self.visit(query)

    def set_operation(self, node: exp.SetOperation) -> Columns:
        left, right = self.inner().query(node.this), self.inner().query(node.expression)
        pairs = zip(left.items(), right.values(), strict=False)
        columns = {name: merged([first, second]) for (name, first), second in pairs}
        self.aliases |= columns
        for name in ("order", "limit", "offset"):
            if node.args.get(name) is not None:
                self.visit(node.args[name])
        return columns

    def values(self, node: exp.Values) -> Columns:
        rows = [[_of_parameter(part) or self.visit(part) for part in row.expressions] for row in node.expressions]
        return {f"column{at}": merged(list(kinds)) for at, kinds in enumerate(zip(*rows, strict=False), 1)}

    def star(self, node: exp.Expression) -> Columns:
        wanted = node.table.lower() if isinstance(node, exp.Column) else ""
        result: Columns = {}
        for name, columns in self.sources.items():
            for column, kind in (columns or {}).items() if wanted in ("", name) else ():
                if column != "_rowid_":
                    result.setdefault(column, kind)
        return result

    def source(self, node: exp.Expression) -> None:
        """A table, a subquery, or a join, in FROM."""
        conditions = []
        if isinstance(node, exp.Join):
            conditions = [node.args.get("on")]
            node = node.this
        if isinstance(node, exp.From):
            node = node.this
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            columns = None if node.db.lower() in _CATALOGS else self.table_of(node.name)
            self.add(node.alias_or_name, _renamed_source(columns, node))
            if columns is not None and self.common_table(node.name) is None:
                self.bases[node.alias_or_name.lower()] = node.name.lower()
        elif isinstance(node, exp.Table):
            self.visit(node.this)
            self.add(node.alias_or_name, None)
        elif isinstance(node, exp.Subquery | exp.Values):
            inner = self.parent.inner() if self.parent is not None else self.inner()
            inner.tables |= self.tables
            columns = inner.query(node.this if isinstance(node, exp.Subquery) else node)
            node.meta.setdefault("kind", UNKNOWN)
            self.add(node.alias_or_name, _renamed_source(columns, node))
        for join in node.args.get("joins") or []:
            self.source(join)
        for expression in conditions:
            if expression is not None:
                self.visit(expression)

    # --- statements that change rows --------------------------------------------------------------------------------
    def change(self, node: exp.Expression) -> None:
        """INSERT, UPDATE, DELETE: their table's columns are known everywhere in them."""
        self.common(node)
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        if isinstance(target, exp.Table):
            columns = self.table_of(target.name)
            self.source(target)
            self.add(target.alias_or_name, columns)
            self.add("excluded", columns)
        for part in ("from_", "using", "joins"):
            value = node.args.get(part)
            for expression in value if isinstance(value, list) else [value]:
                if isinstance(expression, exp.Expression):
                    self.source(expression)
        for name, value in node.args.items():
            if name in ("this", "from_", "using", "joins", "with_", "tables"):
                continue
            for expression in value if isinstance(value, list) else [value]:
                if isinstance(expression, exp.Expression):
                    self.visit(expression)


def _renamed(columns: Columns, node: exp.Expression) -> Columns:
    """Columns under the names that an alias gives them."""
    alias = node.args.get("alias")
    names = (
        [column.name.lower() for column in (alias.args.get("columns") or [])]
        if isinstance(alias, exp.TableAlias)
        else []
    )
    if not names:
        return columns
    return dict(zip([*names, *list(columns)[len(names) :]], columns.values(), strict=False))


def _renamed_source(columns: Columns | None, node: exp.Expression) -> Columns | None:
    return None if columns is None else _renamed(columns, node)


def _of_parameter(node: exp.Expr) -> Kind | None:
    return GIVEN if isinstance(node, exp.Placeholder | exp.Parameter) else None


def _first(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return kinds[0] if kinds else UNKNOWN


def _of_case(node: exp.Expression, _: list[Kind]) -> Kind:
    values = [expression.args["true"] for expression in node.args["ifs"]]
    default = node.args.get("default")
    return merged([kind_of(value) for value in [*values, *([default] if default is not None else [])]])


def _of_if(node: exp.Expression, _: list[Kind]) -> Kind:
    parts = [node.args.get("true"), node.args.get("false")]
    return merged([kind_of(part) for part in parts if part is not None])


def _truth(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return BOOLEAN


_KINDS: dict[type[exp.Expression], KindRule] = {
    **dict.fromkeys((exp.Paren, exp.Alias, exp.Ordered, exp.Window, exp.Distinct, exp.Order, exp.Filter), _first),
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ), _truth),
    **dict.fromkeys(
        (exp.And, exp.Or, exp.Xor, exp.Not, exp.Is, exp.Like, exp.ILike, exp.Escape, exp.SimilarTo), _truth
    ),
    **dict.fromkeys((exp.Between, exp.In, exp.Exists, exp.RegexpLike, exp.RegexpILike, exp.Boolean), _truth),
    exp.Null: lambda node, kinds: NULL,
    exp.Case: _of_case,
    exp.If: _of_if,
    exp.Collate: lambda node, kinds: replace(TEXT, collation=node.expression.name.lower()),
}
