"""INSERT ... VALUES of literals alone, as dumps have millions: translated without a grammar for every row.

The text is the one that the grammar and the rules would write, since it is learned from them: what an INSERT does to
its values depends on the table, the columns and the kind of each literal, but not on its value.  So the first row that
has a kind of literal in a column goes through the rules, and what surrounds the literal then, surrounds it in all rows.
What PostgreSQL's rules read while they translate, a text as a date, is read here by the same function.  What is no
plain literal, or is refused, goes the usual way, which says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sqlglot import exp
from sqlglot.errors import SqlglotError

from clusterdb.errors import DatabaseError
from clusterdb.flavours.functions import SqlValue
from clusterdb.flavours.tables import text
from clusterdb.flavours.types import of_column

if TYPE_CHECKING:
    from clusterdb.flavours.registry import Functions
    from clusterdb.flavours.schema import Schema

__all__ = ["SAMPLE", "READ_BY", "Grammar", "Literal", "Rows", "Unfit"]

SAMPLE = "sample"
"""The mark of a literal in a tree that stands for all of its kind."""
READ_BY = "read_by"
"""The mark of a value that was read from a literal: the function that read it, and its other arguments."""
_HERE = "\x01"
_RAW = "raw"
_SURROGATE = re.compile("[\ud800-\udfff]")
"""What stands for a byte of a text that is not UTF-8."""
_CONSTANTS = frozenset({"NULL", "TRUE", "FALSE"})


class Literal(NamedTuple):
    """A literal: its kind, what it stands for (a number as it is written), and how it is written."""

    kind: str
    value: str
    source: str


class Grammar(NamedTuple):
    """How an engine writes an INSERT of literals.

    ``head`` matches up to the first row.  ``value`` matches a value and the comma or parenthesis behind it; its groups
    are text, number, word, hex.  ``unescaped`` makes of the inside of a text what it stands for.
    """

    head: re.Pattern[str]
    value: re.Pattern[str]
    unescaped: Callable[[str], str]


class Translator(Protocol):
    """What makes SQLite's tree of an INSERT's."""

    functions: Functions

    def parsed_insert(self, sql: str) -> exp.Expression | None:
        """The tree of an INSERT.  Raises SqlglotError."""

    def translated_insert(self, tree: exp.Expression, schema: Schema, *, is_overriding: bool) -> object:
        """SQLite's tree for it.  Raises Unfit for what takes more than one statement, or is refused."""

    def text(self, tree: exp.Expression) -> str:
        """A tree as SQLite's text."""


class _Cell(NamedTuple):
    """What surrounds a value, and what reads it before."""

    before: str
    after: str
    reader: tuple[str, list[int | str]] | None

    def of(self, value: Literal, translator: Translator) -> str:
        if value.kind in _CONSTANTS:
            return self.before
        if self.reader is not None:
            name, more = self.reader
            literal = _written(translator, translator.functions.implementations[name](value.value, *more))
        elif value.kind == "text":
            literal = text(value.value) if "\0" not in value.value else _with_nul(value.value)
        else:
            literal = f"x'{value.value}'" if value.kind in ("hex", _RAW) else value.value
        return f"{self.before}{literal}{self.after}"


def _raw(text: str) -> Literal:
    """Bytes that stand in quotes as they are, as dumps of MySQL have them."""
    value = text.encode("utf-8", "surrogateescape").hex()
    return Literal(_RAW, value, f"x'{value}'")


def _with_nul(value: str) -> str:
    """A text that SQLite's own quotes cannot hold."""
    return f"CAST(x'{value.encode().hex()}' AS TEXT)"


def _written(translator: Translator, value: SqlValue) -> str:
    """A value as rules write it."""
    if type(value) is str:
        return text(value) if "\0" not in value else _with_nul(value)
    if type(value) is int:
        return str(value)
    if type(value) is bytes:
        return f"x'{value.hex()}'"
    return translator.text(exp.convert(value))  # type: ignore[arg-type]


@dataclass
class _Shape:
    """What is known of the INSERTs into some columns of a table, of one row or of several."""

    into: str
    schema: Schema
    is_single: bool
    is_overriding: bool
    head: str = ""
    tail: str = ""
    more: tuple[str, str] = ("", "")
    """What is behind the given values in the first row, and in the others."""
    cells: tuple[dict[tuple[int, str], _Cell], dict[tuple[int, str], _Cell]] = field(default_factory=lambda: ({}, {}))
    """By a value's place and kind what becomes of it, in the first row, and in the others."""


class Unfit(Exception):
    """Rows of this kind go the usual way."""


class Rows:
    """Translates INSERTs of literals for one flavour."""

    def __init__(self, translator: Translator, grammar: Grammar) -> None:
        self._translator = translator
        self._grammar = grammar
        self._shape = lru_cache(maxsize=256)(_Shape)

    def translated(
        self, sql: str, schema: Schema, omitted: Callable[[str], Collection[str]] | None = None
    ) -> str | None:
        """SQLite's text for an INSERT of literals; None if it is something else, or refused.

        ``omitted`` tells of a table which columns are left out, with what they are given.
        """
        head = self._grammar.head.match(sql)
        if head is None:
            return None
        parts = head.groupdict(default="")
        table, columns, is_overriding = parts["table"], parts["columns"], bool(parts.get("overriding"))
        rows: Iterable[Sequence[Literal]] = self._rows(sql, head.end())
        left_out = omitted(_plain(table)) if omitted is not None else ()
        if left_out:
            names = _NAMES.findall(columns) or list(schema.tables.get(_plain(table).lower(), {}))
            kept = [at for at, name in enumerate(names) if _plain(name).lower() not in left_out]
            columns, rows = f"({', '.join(names[at] for at in kept)})", ([row[at] for at in kept] for row in rows)
        return self.inserted(table, columns, rows, schema, is_overriding=is_overriding)

    def inserted(
        self, table: str, columns: str, rows: Iterable[Sequence[Literal]], schema: Schema, *, is_overriding: bool
    ) -> str | None:
        """SQLite's text for an INSERT of these rows; None if the rules refuse it."""
        try:
            source = iter(rows)
            start = list(islice(source, 2))
            shape = self._shape(f"INSERT INTO {table} {columns} ", schema, len(start) == 1, is_overriding)
            texts = [self._row(shape, int(at > 0), row) for at, row in enumerate(chain(start, source))]
        except (Unfit, SqlglotError, DatabaseError, ValueError, TypeError, OverflowError, IndexError):
            return None  # the rules say what is wrong
        return f"{shape.head}{', '.join(texts)}{shape.tail}"

    def _row(self, shape: _Shape, place: int, row: Sequence[Literal]) -> str:
        cells, translator = shape.cells[place], self._translator
        try:
            values = [cells[at, value.kind].of(value, translator) for at, value in enumerate(row)]
        except KeyError:
            self._learn(shape, row)
            values = [cells[at, value.kind].of(value, translator) for at, value in enumerate(row)]
        return f"({', '.join(values)}{shape.more[place]})"

    # --- reading ----------------------------------------------------------------------------------------------------
    def _rows(self, sql: str, at: int) -> Iterator[list[Literal]]:
        """The rows of VALUES.  Raises Unfit if something else than literals is there."""
        match = self._grammar.value.match
        width = 0
        while True:
            opened = _OPEN.match(sql, at)
            if opened is None:
                raise Unfit
            at = opened.end()
            row: list[Literal] = []
            while True:
                token = match(sql, at)
                if token is None:
                    raise Unfit
                at = token.end()
                row.append(self._literal(token))
                if sql[at - 1] == ")":
                    break
            if width not in (0, len(row)):
                raise Unfit
            width = len(row)
            yield row
            following = _NEXT.match(sql, at)
            if following is None:
                raise Unfit
            at = following.end()
            if not following[1]:
                return

    def _literal(self, token: re.Match[str]) -> Literal:
        """A value that the grammar has matched, with what is behind it."""
        kind, source = str(token.lastgroup), token[0][:-1]
        value = token[kind]
        if kind == "text":
            value = self._grammar.unescaped(value)
            return Literal(kind, value, source) if value.isascii() or not _SURROGATE.search(value) else _raw(value)
        if kind == "number":
            return Literal(_kind_of_number(value), value.lstrip("-"), source)
        return Literal(value.upper(), value, source) if kind == "word" else Literal(kind, value, source)

    # --- learning ---------------------------------------------------------------------------------------------------
    def _learn(self, shape: _Shape, row: Sequence[Literal]) -> None:
        """Let the rules translate a row, and keep what they make of each kind of literal in each column."""
        values = f"({', '.join(value.source for value in row)})"
        tree = self._translator.parsed_insert(f"{shape.into}VALUES {values}{'' if shape.is_single else f', {values}'}")
        if tree is None or not isinstance(tree.expression, exp.Values):
            raise Unfit
        self._require_bytes(shape, tree.this, row)
        for given in tree.expression.expressions:
            for at, node in enumerate(given.expressions):
                node = node.this if isinstance(node, exp.Neg) else node
                if isinstance(node, exp.Literal | exp.HexString):
                    node.meta[SAMPLE] = at
        insert = self._translator.translated_insert(tree, shape.schema, is_overriding=shape.is_overriding)
        if not isinstance(insert, exp.Insert) or not isinstance(insert.expression, exp.Values):
            raise Unfit
        rows = [list(given.expressions) for given in insert.expression.expressions]
        if len(rows) != 2 - shape.is_single:
            raise Unfit
        more = []
        for place, expressions in enumerate(rows):
            if len(expressions) < len(row):
                raise Unfit
            for at, value in enumerate(row):
                shape.cells[place][at, value.kind] = self._cell(expressions[at], value)
            more.append("".join(f", {self._translator.text(extra)}" for extra in expressions[len(row) :]))
        insert.expression.set("expressions", [exp.Tuple(expressions=[exp.Var(this=_HERE)])])
        shape.head, _, shape.tail = self._translator.text(insert).partition(f"({_HERE})")
        shape.more = more[0], more[-1]

    def _require_bytes(self, shape: _Shape, target: exp.Expression, row: Sequence[Literal]) -> None:
        """Raises Unfit for bytes in columns of something else."""
        if all(value.kind != _RAW for value in row):
            return
        is_named = isinstance(target, exp.Schema)
        columns = shape.schema.tables.get((target.this if is_named else target).name.lower(), {})
        names = [column.name.lower() for column in target.expressions] if is_named else list(columns)
        for name, value in zip(names, row, strict=False):
            if value.kind == _RAW and (name not in columns or of_column(columns[name]).name != "bytes"):
                raise Unfit

    def _cell(self, expression: exp.Expression, value: Literal) -> _Cell:
        if value.kind in _CONSTANTS:
            return _Cell(self._translator.text(expression), "", None)
        wrapper = exp.Tuple(expressions=[expression.copy()])
        marked = [node for node in wrapper.walk() if SAMPLE in node.meta or READ_BY in node.meta]
        if len(marked) != 1:
            raise Unfit
        (node,) = marked
        reader = node.meta.get(READ_BY)
        node.replace(exp.Var(this=_HERE))
        before, here, after = self._translator.text(wrapper.expressions[0]).partition(_HERE)
        if not here:
            raise Unfit
        return _Cell(before, after, reader)


def _plain(name: str) -> str:
    """An identifier without its quotes."""
    return name.strip("`") if name.startswith("`") else name.strip('"')


_NAMES = re.compile(r'`[^`]++`|"(?:[^"]|"")++"|\w++')
_OPEN = re.compile(r"\s*+\(")
_NEXT = re.compile(r"\s*+(?:(,)|;?\s*+\Z)")


def _kind_of_number(number: str) -> str:
    """What of a number's text makes a difference to the rules.  Raises Unfit for one that is too great."""
    sign = "-" if number.startswith("-") else ""
    digits = number.lstrip("-")
    if "e" in digits or "E" in digits:
        return f"{sign}double"
    point = digits.find(".")
    if point >= 0:
        return f"{sign}decimal {len(digits) - point - 1}"
    if len(digits) < 10 or int(digits) < 2**31:
        return f"{sign}int"
    if int(digits) >= 2**63:
        if int(digits) > 2**63 or not sign:
            raise Unfit
        return "least"
    return f"{sign}bigint"
