"""Statements of an engine, made at random: expressions of a wanted type over one table, with literals and parameters.

What they mean does not matter; that clusterdb answers what the engine's own server answers, or refuses, does.  Now and
then an expression is of another type than the wanted one, as people write them by mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

__all__ = ["Statement", "setup", "statement"]

TYPES = ("int", "dec", "dbl", "text", "date", "time", "bool")
_COLUMNS = {
    "int": ("id", "i", "big"),
    "dec": ("d", "price"),
    "dbl": ("f",),
    "text": ("s", "note", "code"),
    "date": ("born",),
    "time": ("seen",),
    "bool": ("ok",),
}
_WRITABLE = {column: kind for kind, columns in _COLUMNS.items() for column in columns if column != "id"}
_LITERALS = {
    "int": ("0", "1", "2", "-3", "7", "10", "100"),
    "dec": ("0.5", "1.50", "-2.25", "10.0", "99.99", "0.1"),
    "text": ("''", "'a'", "'A'", "'abc'", "'10'", "'9'", "'1.5'", "'a '", "'%b_'", "'2024-01-31'", "'true'", "'é'"),
}
_VALUES: dict[str, tuple[Any, ...]] = {
    "int": (0, 1, -3, 10, 100),
    "dbl": (0.5, 1.5, -2.25, 100.0),
    "text": ("", "a", "A", "abc", "10", "9", "1.5", "2024-01-31", "é"),
    "date": ("2024-01-31", "2024-02-29", "1999-12-31"),
    "time": ("2024-01-31 10:20:30", "2024-02-29 00:00:00"),
    "bool": (True, False),
}


def setup(engine: str) -> list[str]:
    """The table that the statements are about."""
    mysql = engine == "aurora-mysql"
    moment, double, json = ("DATETIME", "DOUBLE", "JSON") if mysql else ("TIMESTAMP", "DOUBLE PRECISION", "JSONB")
    return [
        f"CREATE TABLE t (id INT PRIMARY KEY, i INT, big BIGINT, d DECIMAL(10,2), price DECIMAL(8,3), f {double}, "
        f"s VARCHAR(30), note TEXT, code CHAR(4), born DATE, seen {moment}, ok BOOLEAN, doc {json}"
        f"{'' if mysql else ', span INTERVAL'})",
        "INSERT INTO t (id, i, big, d, price, f, s, note, code, born, seen, ok) VALUES "
        "(1, 7, 100, 1.50, 0.125, 0.5, 'Ada', 'a%c', 'ab', '1990-01-31', '2024-01-31 10:20:30', TRUE), "
        "(2, -3, 9000000000, -2.25, 10.000, 2.5, 'bob', NULL, 'AB', '2024-02-29', '2024-02-29 00:00:00', FALSE), "
        "(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), "
        "(4, 0, 0, 0.00, 0.000, 0, '', '', '', '2000-01-01', '1999-12-31 23:59:59', TRUE), "
        "(5, 10, -1, 99.99, 99.990, -1.5, '10', '2024-01-31', '10', '2024-01-31', '2024-01-31 00:00:00', FALSE), "
        "(6, 7, 100, 1.50, 1.500, 100, 'ada', '12abc', 'é', '1990-01-31', '2024-12-31 08:00:00', TRUE)",
        """UPDATE t SET doc = '{"n": 5, "name": "Ada", "ok": true, "list": [1, 2.5, null]}' WHERE id IN (1, 4)""",
        """UPDATE t SET doc = '{"name": "bob", "n": -1.5, "deep": {"a": "x"}}' WHERE id = 2""",
        *(
            ()
            if mysql
            else ("UPDATE t SET span = '1 month 2 days' WHERE id < 3", "UPDATE t SET span = '90 minutes' WHERE id > 3")
        ),
    ]


@dataclass(frozen=True)
class Statement:
    """``sql`` with its parameters; ``then``, if there is one, asks what it did."""

    sql: str
    parameters: tuple[Any, ...] = ()
    then: str = ""


@dataclass
class _Maker:
    """One statement being made: its parameters are in the order of the text."""

    rng: Random
    mysql: bool
    parameters: list[Any] = field(default_factory=list)

    def one(self, *choices: Any) -> Any:
        return choices[self.rng.randrange(len(choices))]

    def chance(self, percent: int) -> bool:
        return self.rng.randrange(100) < percent

    # --- expressions ------------------------------------------------------------------------------------------------
    def expr(self, kind: str, depth: int) -> str:
        """An expression of a type, or by mistake of another."""
        if self.chance(8 if self.mysql else 3):
            kind = self.one(*TYPES)
        if depth <= 0 or self.chance(25):
            return self.leaf(kind)
        makers: dict[str, Callable[[int], str]] = {
            "int": self.integer,
            "dec": self.decimal,
            "dbl": self.double,
            "text": self.text,
            "date": self.date,
            "time": self.time,
            "bool": self.truth,
        }
        if self.chance(15):
            return self.choice(kind, depth - 1)
        return makers[kind](depth - 1)

    def leaf(self, kind: str) -> str:
        if self.chance(4):
            return "NULL"
        if self.chance(10) and kind in _VALUES:
            self.parameters.append(self.one(*_VALUES[kind]))
            return "%s"
        if self.chance(55):
            return str(self.one(*_COLUMNS[kind]))
        if kind in _LITERALS:
            return str(self.one(*_LITERALS[kind]))
        if kind == "dbl":
            return "f"
        if kind == "bool":
            return str(self.one("TRUE", "FALSE", "ok"))
        value = f"'{self.one(*_VALUES[kind])}'"
        word = {"date": "DATE", "time": "TIMESTAMP"}[kind]
        return value if self.chance(0 if self.mysql else 40) else f"{word} {value}"

    def choice(self, kind: str, depth: int) -> str:
        def part() -> str:
            return self.expr(kind, depth)

        return str(
            self.one(
                lambda: f"COALESCE({part()}, {part()})",
                lambda: f"NULLIF({part()}, {part()})",
                lambda: f"CASE WHEN {self.expr('bool', depth)} THEN {part()} ELSE {part()} END",
                lambda: f"CASE {part()} WHEN {part()} THEN {part()} END",
                lambda: f"GREATEST({part()}, {part()})",
                lambda: f"LEAST({part()}, {part()})",
                lambda: f"({part()})",
            )()
        )

    def number(self, depth: int) -> str:
        return self.expr(self.one("int", "int", "dec", "dbl"), depth)

    def integer(self, depth: int) -> str:
        part = self.expr
        return str(
            self.one(
                lambda: f"{part('int', depth)} {self.one('+', '-', '*')} {part('int', depth)}",
                lambda: f"({part('int', depth)} + {part('int', depth)})",
                lambda: f"{part('int', depth)} {'DIV' if self.mysql else '/'} {part('int', depth)}",
                lambda: f"MOD({part('int', depth)}, {part('int', depth)})",
                lambda: f"ABS({part('int', depth)})",
                lambda: f"-({part('int', depth)})",
                lambda: f"LENGTH({part('text', depth)})",
                lambda: f"CHAR_LENGTH({part('text', depth)})",
                lambda: f"POSITION({part('text', depth)} IN {part('text', depth)})",
                lambda: f"EXTRACT({self.one('YEAR', 'MONTH', 'DAY')} FROM {part(self.one('date', 'time'), depth)})",
                lambda: f"CAST({self.number(depth)} AS {'SIGNED' if self.mysql else 'INT'})",
                lambda: (
                    f"{part('date', depth)} - {part('date', depth)}"
                    if not self.mysql
                    else f"DATEDIFF({part('date', depth)}, {part('time', depth)})"
                ),
            )()
        )

    def decimal(self, depth: int) -> str:
        part = self.expr
        return str(
            self.one(
                lambda: f"{part('dec', depth)} {self.one('+', '-', '*', '/')} {part(self.one('dec', 'int'), depth)}",
                lambda: f"ROUND({part('dec', depth)}, {self.one(0, 1, 2)})",
                lambda: f"ROUND({part('dec', depth)})",
                lambda: f"{self.one('FLOOR', 'CEIL', 'ABS')}({part('dec', depth)})",
                lambda: f"CAST({self.number(depth)} AS DECIMAL(12,{self.one(0, 1, 3)}))",
            )()
        )

    def double(self, depth: int) -> str:
        part = self.expr
        return str(
            self.one(
                lambda: f"{part('dbl', depth)} {self.one('+', '-', '*')} {self.number(depth)}",
                lambda: f"ROUND({part('dbl', depth)})",
                lambda: f"ABS({part('dbl', depth)})",
                lambda: f"CAST({self.number(depth)} AS {'DOUBLE' if self.mysql else 'DOUBLE PRECISION'})",
            )()
        )

    def text(self, depth: int) -> str:
        part = self.expr
        anything = self.one("text", "text", "int", "dec", "date", "time", "bool")
        return str(
            self.one(
                lambda: f"CONCAT({part('text', depth)}, {part(anything, depth)})",
                lambda: f"{self.one('UPPER', 'LOWER', 'TRIM', 'REVERSE')}({part('text', depth)})",
                lambda: f"{self.one('LEFT', 'RIGHT')}({part('text', depth)}, {self.one(0, 1, 2)})",
                lambda: f"SUBSTRING({part('text', depth)}, {self.one(1, 2)}, {self.one(0, 1, 3)})",
                lambda: f"REPLACE({part('text', depth)}, 'a', 'bc')",
                lambda: f"LPAD({part('text', depth)}, {self.one(2, 5)}, {self.one(*_LITERALS['text'])})",
                lambda: f"CAST({part(anything, depth)} AS {'CHAR' if self.mysql else 'TEXT'})",
                self.member,
                lambda: self.member() if self.mysql else f"CAST({self.span(depth)} AS TEXT)",
                lambda: (
                    f"{part('text', depth)} || {part(anything, depth)}"
                    if not self.mysql
                    else f"CONCAT_WS('-', {part('text', depth)}, {part(anything, depth)})"
                ),
            )()
        )

    def _interval(self) -> str:
        count, unit = self.one(1, 2, -1, 30), self.one("DAY", "MONTH", "HOUR", "YEAR")
        return f"INTERVAL {count} {unit}" if self.mysql else f"INTERVAL '{count} {unit}'"

    def moment(self, depth: int) -> str:
        """What is cast to a date: nothing that MariaDB would make a date of zeros of, where MySQL has NULL."""
        kind = self.one("time", "date", "text")
        if self.mysql:
            return str(self.one("born", "seen", "DATE '2024-02-29'", "TIMESTAMP '2024-01-31 10:20:30'"))
        return self.expr(kind, depth)

    def member(self) -> str:
        """A text out of JSON; of MySQL another one, since MariaDB compares these as it compares other texts."""
        if self.mysql:
            return "code"
        key = self.one("name", "n", "ok", "list", "missing")
        return f"doc->>'{key}'"

    def span(self, depth: int) -> str:
        """An interval of PostgreSQL's."""
        if depth <= 0 or self.chance(30):
            return str(self.one("span", self._interval(), "INTERVAL '1 year -3 days 01:00:00'", "'2 days'::interval"))
        return str(
            self.one(
                lambda: f"{self.expr('time', depth - 1)} - {self.expr('time', depth - 1)}",
                lambda: f"{self.span(depth - 1)} {self.one('+', '-')} {self.span(depth - 1)}",
                lambda: f"{self.span(depth - 1)} * {self.one(2, '0.5', '1.5', -1)}",
                lambda: f"{self.span(depth - 1)} / {self.one(2, 3)}",
                lambda: f"AGE({self.expr('time', 0)}, {self.expr('time', 0)})",
                lambda: f"COALESCE({self.span(depth - 1)}, {self.span(depth - 1)})",
            )()
        )

    def date(self, depth: int) -> str:
        part = self.expr
        return str(
            self.one(
                lambda: f"CAST({self.moment(depth)} AS DATE)",
                lambda: (
                    f"{part('date', depth)} + {self.one(1, 30)}" if not self.mysql else f"DATE({part('time', depth)})"
                ),
                lambda: (
                    f"{part('date', depth)} - {self.one(1, 30)}"
                    if not self.mysql
                    else f"LAST_DAY({part('date', depth)})"
                ),
            )()
        )

    def time(self, depth: int) -> str:
        part = self.expr
        return str(
            self.one(
                lambda: f"{part(self.one('time', 'date'), depth)} {self.one('+', '-')} {self._interval()}",
                lambda: f"CAST({self.moment(depth)} AS {'DATETIME' if self.mysql else 'TIMESTAMP'})",
                lambda: (
                    f"DATE_TRUNC('{self.one('day', 'month')}', {part('time', depth)})"
                    if not self.mysql
                    else f"DATE_ADD({part('time', depth)}, {self._interval()})"
                ),
            )()
        )

    def truth(self, depth: int) -> str:
        part = self.expr
        kind = self.one(*TYPES)
        test = self.one("=", "<>", "<", "<=", ">", ">=")
        near = {"int": "dec", "dec": "dbl", "dbl": "int", "date": "time", "time": "date"}.get(kind, kind)
        return str(
            self.one(
                lambda: f"{part(kind, depth)} {test} {part(kind, depth)}",
                lambda: f"{part(kind, depth)} {test} {part(near, depth)}",
                lambda: f"{part(kind, depth)} {test} {part('text', depth)}",
                lambda: f"{part(kind, depth)} IN ({part(kind, depth)}, {part(near, depth)})",
                lambda: f"{part(kind, depth)} NOT IN ({part(kind, depth)}, {part(kind, depth)})",
                lambda: f"{part(kind, depth)} BETWEEN {part(kind, depth)} AND {part(near, depth)}",
                lambda: f"{part(kind, depth)} IS {self.one('', 'NOT ')}NULL",
                lambda: f"{part('text', depth)} LIKE {part('text', 0)}",
                lambda: f"NOT ({part('bool', depth)})",
                lambda: (
                    f"{self.member()} {test} {part(self.one('text', 'int'), depth)}"
                    if self.mysql
                    else f"{self.span(depth)} {test} {self.span(depth)}"
                ),
                lambda: (
                    "JSON_CONTAINS(doc, '5', '$.n')" if self.mysql else f"doc {self.one('@>', '=', '>')} '{{\"n\": 5}}'"
                ),
                lambda: f"({part('bool', depth)} {self.one('AND', 'OR')} {part('bool', depth)})",
                lambda: f"{part(kind, depth)} IN (SELECT {part(kind, 0)} FROM t)",
                lambda: f"EXISTS (SELECT 1 FROM t AS u WHERE u.i {test} {part('int', 0)})",
                lambda: f"{part(kind, depth)} {test} (SELECT {self.one('MIN', 'MAX')}({part(kind, 0)}) FROM t)",
            )()
        )

    # --- statements -------------------------------------------------------------------------------------------------
    def query(self) -> Statement:
        kind = self.one(*TYPES)
        where = f" WHERE {self.expr('bool', 2)}" if self.chance(30) else ""
        return self.made(f"SELECT id, {self.expr(kind, 3)} FROM t", where, " ORDER BY id")

    def made(self, *parts: str, then: str = "") -> Statement:
        sql = "".join(parts)
        return Statement(sql, tuple(self.parameters), then)

    def filtered(self) -> Statement:
        return self.made("SELECT id FROM t WHERE ", self.expr("bool", 3), " ORDER BY id")

    def sorted(self) -> Statement:
        kind = self.one(*TYPES)
        return self.made("SELECT id FROM t ORDER BY ", self.expr(kind, 2), self.one("", " DESC"), ", id")

    def grouped(self) -> Statement:
        kind = self.one(*TYPES)
        return self.made("SELECT x, COUNT(*) FROM (SELECT ", self.expr(kind, 2), " AS x FROM t) AS u GROUP BY x")

    def aggregated(self) -> Statement:
        kind = self.one("int", "dec", "dbl")
        parts = [f"{self.one('SUM', 'AVG', 'MIN', 'MAX', 'COUNT')}({self.expr(kind, 2)})"]
        if self.chance(40):
            parts.append(f"{self.one('MIN', 'MAX', 'COUNT')}({self.expr(self.one(*TYPES), 1)})")
        if self.chance(30):
            parts.append(f"COUNT(DISTINCT {self.expr(self.one(*TYPES), 1)})")
        return self.made("SELECT ", ", ".join(parts), " FROM t")

    def united(self) -> Statement:
        kind = self.one(*TYPES)
        other = kind if self.chance(70) else self.one(*TYPES)
        first, second = self.expr(kind, 1), self.expr(other, 1)
        return self.made(f"SELECT {first} FROM t {self.one('UNION', 'UNION ALL')} SELECT {second} FROM t")

    def joined(self) -> Statement:
        kind = self.one(*TYPES)
        near = {"int": "dec", "dec": "dbl", "dbl": "int", "date": "time", "time": "date"}.get(kind, kind)
        left, right = self.one(*_COLUMNS[kind]), self.one(*_COLUMNS[self.one(kind, near)])
        return self.made(
            f"SELECT a.id, b.id FROM t AS a {self.one('JOIN', 'LEFT JOIN')} t AS b "
            f"ON a.{left} {self.one('=', '<')} b.{right} ORDER BY a.id, b.id"
        )

    def windowed(self) -> Statement:
        kind, other = self.one("int", "dec", "dbl"), self.one(*TYPES)
        first, second = self.expr(kind, 1), self.expr(other, 1)
        return self.made(
            f"SELECT id, SUM({first}) OVER (ORDER BY id), LAG({second}) OVER (ORDER BY id), "
            f"MAX({self.one(*_COLUMNS[kind])}) OVER (PARTITION BY {self.one('s', 'i', 'ok')}) FROM t ORDER BY id"
        )

    def gathered(self) -> Statement:
        value = self.expr("text", 1)
        if self.mysql:
            return self.made(f"SELECT i, GROUP_CONCAT({value} ORDER BY id) FROM t GROUP BY i ORDER BY i")
        return self.made(f"SELECT i, string_agg({value}, ',' ORDER BY id) FROM t GROUP BY i ORDER BY i")

    def upserted(self) -> Statement:
        column = self.one(*_WRITABLE)
        value = self.value(_WRITABLE[column])
        rest = f"ON CONFLICT (id) DO UPDATE SET {column} = EXCLUDED.{column}"
        if self.mysql:
            rest = f"ON DUPLICATE KEY UPDATE {column} = VALUES({column})"
        sql = f"INSERT INTO t (id, {column}) VALUES (1, {value}) {rest}"
        return self.made(sql, then="SELECT * FROM t ORDER BY id")

    def updated(self) -> Statement:
        column = self.one(*_WRITABLE)
        value = self.expr(_WRITABLE[column], 2)
        where = f" WHERE {self.expr('bool', 1)}" if self.chance(50) else ""
        return self.made(f"UPDATE t SET {column} = {value}", where, then="SELECT * FROM t ORDER BY id")

    def inserted(self) -> Statement:
        column = self.one(*_WRITABLE)
        kind = _WRITABLE[column]
        source = f"VALUES (100, {self.value(kind)})"
        if self.chance(40):
            source = f"SELECT id + 100, {self.expr(kind, 2)} FROM t"
        return self.made(f"INSERT INTO t (id, {column}) {source}", then="SELECT * FROM t ORDER BY id")

    def value(self, kind: str) -> str:
        """A value that no row is needed for."""
        kind = kind if self.chance(75) else self.one(*TYPES)
        if kind in _LITERALS and self.chance(70):
            return str(self.one(*_LITERALS[kind]))
        if kind == "dec":
            return "12.345"
        self.parameters.append(self.one(*_VALUES[kind]))
        return "%s"


def statement(engine: str, rng: Random) -> Statement:
    """One statement."""
    maker = _Maker(rng, engine == "aurora-mysql")
    kinds = (maker.query, maker.query, maker.filtered, maker.filtered, maker.sorted, maker.grouped, maker.aggregated)
    chosen: Statement = maker.one(
        *kinds,
        maker.united,
        maker.updated,
        maker.inserted,
        maker.joined,
        maker.windowed,
        maker.gathered,
        maker.upserted,
    )()
    return chosen
