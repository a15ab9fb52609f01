"""What is known of a statement that SQLite has refused, so that the error can have the text that the server's has.

SQLite names the columns of a violated constraint, not the constraint and not the values.  A :class:`Failure` looks the
rest up when the statement is over: the constraint in the table's definition, and the values in the rows that the
statement would have written, which are evaluated once more.  Functions with effects are not called for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import apsw
from sqlglot import exp
from sqlglot.errors import SqlglotError

from clusterdb.flavours.functions import SqlValue, text_of
from clusterdb.flavours.parameters import parsed
from clusterdb.flavours.schema import Column, Schema
from clusterdb.flavours.tables import quoted
from clusterdb.flavours.types import Kind, of_column

__all__ = ["Failure", "Reference", "Words", "shown"]

_TARGET = re.compile(
    r"""(?:\s++|--[^\n]*+\n|/\*(?:[^*]++|\*(?!/))*+\*/)*+(?P<verb>INSERT|REPLACE|UPDATE|DELETE)\b
    (?:\s++(?:IGNORE|LOW_PRIORITY|ONLY|INTO|FROM)\b)*+
    \s++(?:(?:\w++|"[^"]++"|`[^`]++`)\s*+\.\s*+)?+(?P<table>\w++|"(?:[^"]|"")++"|`[^`]++`)""",
    re.IGNORECASE | re.VERBOSE,
)
_ROWS_MAX = 10_000
"""No more rows are evaluated to find the one that violates a constraint."""
_HAS_EFFECTS = frozenset({"pg_nextval", "pg_setval", "my_set", "my_assign"})
_TOKENS = re.compile(
    r"""'(?:[^']|'')*+'|--[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/
    |(?P<name>(?:\w++|"[^"]++")(?:\s*+\.\s*+(?:\w++|"[^"]++"))*+)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Words:
    """The text of an error, and PostgreSQL's position in the statement (from 1) and detail."""

    text: str
    position: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: the columns of ``table`` that refer to those of ``parent``, and what follows a change there."""

    table: str
    columns: tuple[str, ...]
    parent: str
    targets: tuple[str, ...]
    on_update: str
    on_delete: str


@dataclass(frozen=True)
class Failure:
    """A statement that has failed.

    ``message`` and ``code``: SQLite's text and extended result code, 0 if the error is not SQLite's.  ``source``: the
    statement in the engine's SQL; ``sql``: what SQLite ran; ``values``: its parameters by name or number.
    """

    db: apsw.Connection
    schema: Schema
    message: str
    code: int
    source: str
    sql: str
    values: Mapping[str, SqlValue]

    @cached_property
    def _target(self) -> tuple[str, str]:
        match = _TARGET.match(self.source)
        return ("", "") if match is None else (match["verb"].upper(), match["table"].strip('"`'))

    @property
    def verb(self) -> str:
        """INSERT, REPLACE, UPDATE or DELETE; empty for other statements."""
        return self._target[0]

    @property
    def table(self) -> str:
        """The table that the statement writes, as it is written there; empty for other statements."""
        return self._target[1]

    def column(self, table: str, name: str) -> Column | None:
        """A column of a table."""
        return self.schema.tables.get(table.lower(), {}).get(name.lower())

    def kind(self, table: str, name: str) -> Kind:
        """The kind of a column."""
        return of_column(self.column(table, name) or Column(""))

    def position(self, name: str) -> int | None:
        """Where a name, perhaps with that of its table, stands first in the statement, from 1."""
        for token in _TOKENS.finditer(self.source):
            if token["name"] is None:
                continue
            plain = re.sub(r'\s*\.\s*|"', lambda match: "." if "." in match[0] else "", token["name"]).lower()
            if plain == name.lower() or plain.endswith(f".{name.lower()}"):
                return token.start() + 1
        return None

    def definition(self, table: str) -> str:
        """The statement that created a table; empty if it does not exist."""
        for schema in ("temp", "main"):
            query = f"SELECT sql FROM {schema}.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE"
            for (sql,) in self.db.execute(query, (table,)).fetchall():
                return str(sql)
        return ""

    def index(self, table: str, columns: list[str]) -> tuple[str, str] | None:
        """The unique index of some columns: its name, and ``pk``, ``u`` (a constraint) or ``c`` (an index)."""
        wanted = [name.lower() for name in columns]
        query = 'SELECT name, origin FROM pragma_index_list(?) WHERE "unique"'
        for name, origin in self.db.execute(query, (table,)).fetchall():
            parts = self.db.execute("SELECT name FROM pragma_index_info(?)", (name,)).fetchall()
            if [str(part).lower() for (part,) in parts] == wanted:
                return str(name), str(origin)
        return None

    def references(self, table: str) -> list[Reference]:
        """The foreign keys of a table, in the order of their declaration."""
        keys: dict[int, list[tuple[SqlValue, ...]]] = {}
        query = 'SELECT id, seq, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?)'
        for row in self.db.execute(query, (table,)).fetchall():
            keys.setdefault(int(str(row[0])), []).append(row)
        result = []
        for _, rows in sorted(keys.items(), reverse=True):
            parent, on_update, on_delete = (str(rows[0][at]) for at in (2, 5, 6))
            primary = [name for name in self.schema.tables.get(parent.lower(), {}) if self._is_primary(parent, name)]
            targets = tuple(str(row[4]) if row[4] is not None else primary[at] for at, row in enumerate(rows))
            columns = tuple(str(row[3]) for row in rows)
            result.append(Reference(table, columns, parent, targets, on_update, on_delete))
        return result

    def _is_primary(self, table: str, column: str) -> bool:
        return column in self.schema.primary.get(table.lower(), ())

    def references_to(self, parent: str) -> list[Reference]:
        """The foreign keys that refer to a table."""
        names = [str(name) for (name,) in self.db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        keys = [key for name in names for key in self.references(name)]
        return [key for key in keys if key.parent.lower() == parent.lower()]

    # --- rows -------------------------------------------------------------------------------------------------------
    def rows(self, columns: list[str], *, old: bool = False) -> Iterator[tuple[int | None, tuple[SqlValue, ...]]]:
        """The values of some columns in the rows that the statement would have written, or would have replaced.

        Each with the id of the row, None for a new one.  Raises what SQLite and sqlglot raise.
        """
        tree = parsed(self.sql)
        _number_placeholders(tree)
        if isinstance(tree, exp.Insert) and not old:
            query = self._inserted(tree, columns)
        elif isinstance(tree, exp.Update | exp.Delete):
            query = _updated(tree, columns, old=old)
        else:
            return
        text = query.sql(dialect="sqlite", normalize_functions=False)
        for _, row in zip(range(_ROWS_MAX), self.db.execute(text, dict(self.values)), strict=False):
            yield (None if row[0] is None else int(str(row[0]))), tuple(row[1:])

    def _inserted(self, tree: exp.Insert, columns: list[str]) -> exp.Expression:
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        own = self.schema.tables.get(target.name.lower(), {})
        names = list(own)
        if isinstance(tree.this, exp.Schema):
            names = [column.name.lower() for column in tree.this.expressions]
        source = tree.expression
        if isinstance(source, exp.Values):
            rows = [[_harmless(value) for value in row.expressions] for row in source.expressions]
            selects = [exp.select(*row) for row in rows]
            query: exp.Expression = selects[0]
            for select in selects[1:]:
                query = exp.Union(this=query, expression=select, distinct=False)
        else:
            query = _harmless(source)
        inner = exp.TableAlias(
            this=exp.to_identifier("clusterdb_new"),
            columns=[exp.to_identifier(f"c{at}") for at in range(len(names))],
        )
        values = [
            exp.column(f"c{names.index(name.lower())}")
            if name.lower() in names
            else exp.var(f"({own[name.lower()].default or 'NULL'})" if name.lower() in own else "NULL")
            for name in columns
        ]
        select = exp.select(exp.null(), *values).from_("clusterdb_new")
        select.set("with_", exp.With(expressions=[exp.CTE(this=query, alias=inner)]))
        return select

    def violating(self, table: str, columns: list[str]) -> tuple[SqlValue, ...] | None:
        """The values of a unique key that the statement would have stored twice; None if they cannot be determined."""
        test = " AND ".join(f"{quoted(name)} = ?" for name in columns)
        query = f"SELECT 1 FROM {quoted(table)} WHERE {test} AND (? IS NULL OR _rowid_ <> ?)"
        seen: set[tuple[SqlValue, ...]] = set()
        for row_id, values in self._evaluated(columns):
            if None in values:
                continue
            if values in seen or self.db.execute(query, (*values, row_id, row_id)).fetchall():
                return values
            seen.add(values)
        return None

    def misfit(self) -> tuple[int, str, SqlValue] | None:
        """The first value of an INSERT that its column's type does not have: its row from 1, its column, the value."""
        try:
            tree = parsed(self.sql)
        except SqlglotError:
            return None
        _number_placeholders(tree)
        if not isinstance(tree, exp.Insert) or not isinstance(tree.expression, exp.Values):
            return None
        names = list(self.schema.tables.get(self.table.lower(), {}))
        if isinstance(tree.this, exp.Schema):
            names = [column.name for column in tree.this.expressions]
        for number, row in enumerate(tree.expression.expressions, 1):
            for name, value in zip(names, row.expressions, strict=False):
                if isinstance(value, exp.Anonymous) and value.expressions and self._evaluated_alone(value) is None:
                    given = self._evaluated_alone(value.expressions[0])
                    return (number, name, given[0]) if given is not None else None
        return None

    def _evaluated_alone(self, tree: exp.Expression) -> tuple[SqlValue, ...] | None:
        """The value of an expression without columns; None if it cannot be evaluated."""
        text = exp.select(_harmless(tree)).sql(dialect="sqlite", normalize_functions=False)
        try:
            return tuple(self.db.execute(text, dict(self.values)).fetchall()[0])
        except Exception:  # of SQLite, or of a function of the statement
            return None

    def orphan(self) -> tuple[Reference, tuple[SqlValue, ...] | None] | None:
        """The foreign key of which a row that the statement would have written has no parent, and its values."""
        keys = self.references(self.table)
        for key in keys:
            test = " AND ".join(f"{quoted(name)} = ?" for name in key.targets)
            query = f"SELECT 1 FROM {quoted(key.parent)} WHERE {test}"
            for _, values in self._evaluated(list(key.columns)):
                if None not in values and not self.db.execute(query, values).fetchall():
                    return key, values
        return (keys[0], None) if len(keys) == 1 and self.verb in ("INSERT", "REPLACE") else None

    def referred(self) -> tuple[Reference, tuple[SqlValue, ...] | None] | None:
        """The foreign key that refers to a row that the statement would have changed or deleted, and its values."""
        keys = self.references_to(self.table)
        for key in keys:
            if (key.on_delete if self.verb == "DELETE" else key.on_update) not in ("NO ACTION", "RESTRICT"):
                continue
            test = " AND ".join(f"{quoted(name)} = ?" for name in key.columns)
            query = f"SELECT 1 FROM {quoted(key.table)} WHERE {test}"
            for _, values in self._evaluated(list(key.targets), old=True):
                if None not in values and self.db.execute(query, values).fetchall():
                    return key, values
        return (keys[0], None) if len(keys) == 1 else None

    def _evaluated(self, columns: list[str], *, old: bool = False) -> Iterator[tuple[int | None, tuple[SqlValue, ...]]]:
        """The same as :meth:`rows`, none if they cannot be evaluated."""
        try:
            yield from self.rows(columns, old=old)
        except Exception:  # of SQLite, of sqlglot, of a function of the statement: the error itself is known anyway
            return


def shown(value: SqlValue, kind: Kind, *, null: str = "null") -> str:
    """A value as messages show it: a decimal with its scale."""
    if value is None:
        return null
    if kind.name == "decimal" and kind.scale is not None and isinstance(value, int | float):
        return f"{Decimal(repr(value)):.{kind.scale}f}"
    return text_of(value)


def _number_placeholders(tree: exp.Expr) -> None:
    """Number the parameters without a name in the order in which they are written."""
    number = 0
    for node in list(tree.walk(bfs=False)):
        if isinstance(node, exp.Placeholder) and node.this is None:
            number += 1
            node.set("this", str(number))
            node.replace(exp.var(f"?{number}"))


def _harmless(tree: exp.Expression) -> exp.Expression:
    """An expression without calls that have effects: a number that is to be assigned becomes NULL."""

    def change(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Anonymous):
            return node
        name = node.name.lower()
        if name == "my_numbered":
            return node.expressions[1] if len(node.expressions) > 1 else exp.null()
        return exp.null() if name in _HAS_EFFECTS else node

    return tree.copy().transform(change)


def _updated(tree: exp.Update | exp.Delete, columns: list[str], *, old: bool) -> exp.Expression:
    """The query of the rows that UPDATE or DELETE changes."""
    values: dict[str, exp.Expression] = {}
    if isinstance(tree, exp.Update) and not old:
        for change in tree.expressions:
            if isinstance(change, exp.EQ) and isinstance(change.this, exp.Column):
                values[change.this.name.lower()] = _harmless(change.expression)
    table = tree.this.copy()
    name = table.alias_or_name
    own = [values.get(column.lower(), exp.column(column, table=name, quoted=True)) for column in columns]
    query = exp.select(exp.column("_rowid_", table=name), *own).from_(table)
    source = tree.args.get("from_") or tree.args.get("from")
    if source is not None:
        query.join(source.this.copy(), copy=False)
    for part in ("where", "with_"):
        if tree.args.get(part) is not None:
            query.set(part, tree.args[part].copy())
    return query
