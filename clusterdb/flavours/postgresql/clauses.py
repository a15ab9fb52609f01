"""The parts of a table's stored definition: columns with their clauses, and constraints, as ALTER TABLE changes them.

:class:`Table` is what :func:`clusterdb.flavours.rebuild.definition_of` has split, taken apart further; its ``sql``
creates the table again.  The comment that names the sequence of a column, see
:class:`clusterdb.flavours.schema.Numbering`, stands behind NOT NULL or the primary key, where it is read.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from clusterdb.flavours.postgresql.labels import check
from clusterdb.flavours.postgresql.tables import checks_of
from clusterdb.flavours.rebuild import TOKEN, Definition
from clusterdb.flavours.schema import Numbering
from clusterdb.flavours.tables import quoted

__all__ = ["Clause", "Column", "Table", "clause_of", "column_of", "names_in", "split", "unquoted"]

_NUMBERING = re.compile(r"/\* (serial|always|nextval|owned) (.+?) \*/", re.DOTALL)
_BEGINNINGS = frozenset(
    {"CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED"}
)
_TWO_WORDS = {"PRIMARY": "PRIMARY KEY", "NOT": "NOT NULL", "FOREIGN": "FOREIGN KEY"}


@dataclass(eq=False)
class Clause:
    """A constraint of a column or of a table: ``kind`` is its first words, ``text`` all of it without its name."""

    kind: str
    text: str
    name: str = ""

    def __str__(self) -> str:
        return f"CONSTRAINT {quoted(self.name)} {self.text}" if self.name else self.text

    @property
    def columns(self) -> list[str]:
        """The columns that a constraint of a table is of, in lower case: those of the key, or of the condition."""
        return names_in(self.text) if self.kind == "CHECK" else _listed(self.text)

    @property
    def target(self) -> tuple[str, list[str]]:
        """The table and the columns that a foreign key refers to, in lower case; none for the primary key."""
        tokens = _tokens(self.text)
        place = next(place for place, (token, _) in enumerate(tokens) if token.upper() == "REFERENCES")
        parent, after = tokens[place + 1][0], tokens[place + 2 : place + 3]
        columns = _listed(self.text[after[0][1] :]) if after and after[0][0] == "(" else []
        return unquoted(parent).lower(), columns


@dataclass
class Column:
    """A column: its type as declared, what it is numbered by, and its clauses in order."""

    name: str
    declared: str
    number: Numbering | None = None
    clauses: list[Clause] = field(default_factory=list)

    def of(self, kind: str) -> Clause | None:
        """Its clause of a kind."""
        return next((clause for clause in self.clauses if clause.kind == kind), None)

    def drop(self, *kinds: str) -> None:
        """Be without the clauses of these kinds."""
        self.clauses = [clause for clause in self.clauses if clause.kind not in kinds]

    @property
    def type_checks(self) -> list[Clause]:
        """The checks that its type makes, which have no names."""
        texts, labels = checks_of(self.name, self.declared), f"CHECK ({check(self.name, ())}".removesuffix(")")
        is_enum = self.declared.lower().startswith("enum ")
        return [
            clause
            for clause in self.clauses
            if not clause.name and (clause.text in texts or (is_enum and clause.text.startswith(labels)))
        ]

    def drop_type_checks(self) -> None:
        """Be without the checks of its type."""
        doomed = self.type_checks
        self.clauses = [clause for clause in self.clauses if clause not in doomed]

    def __str__(self) -> str:
        first = [str(clause) for clause in self.clauses if clause.kind in _FIRST]
        rest = [str(clause) for clause in self.clauses if clause.kind not in _FIRST]
        number = [str(self.number)] if self.number is not None else []
        return " ".join([quoted(self.name), self.declared, *first, *number, *rest])


_FIRST = ("PRIMARY KEY", "NOT NULL")


@dataclass
class Table:
    """A table: its columns, and the constraints that stand behind them."""

    definition: Definition
    columns: list[Column]
    constraints: list[Clause]

    @classmethod
    def of(cls, definition: Definition) -> Table:
        """The parts of a definition."""
        count = len(definition.columns)
        columns = [column_of(part) for part in definition.parts[:count]]
        return cls(definition, columns, [clause_of(part) for part in definition.parts[count:]])

    @property
    def name(self) -> str:
        """The table's name."""
        return self.definition.table

    @property
    def sql(self) -> str:
        """The statement that creates the table."""
        parts = [*map(str, self.columns), *map(str, self.constraints)]
        return Definition(self.definition.schema, self.name, parts, self.definition.tail).sql

    def column(self, name: str) -> Column | None:
        """A column by its name."""
        return next((column for column in self.columns if column.name.lower() == name.lower()), None)

    @property
    def key(self) -> list[str]:
        """The columns of the primary key, in lower case."""
        for column in self.columns:
            if column.of("PRIMARY KEY") is not None:
                return [column.name.lower()]
        result = next((clause for clause in self.constraints if clause.kind == "PRIMARY KEY"), None)
        return [] if result is None else result.columns

    def named(self) -> Iterator[tuple[str, Clause, Column | None]]:
        """The constraints, each with its name, which is PostgreSQL's if it was given none, and its column."""
        given: set[str] = set()
        for clause, columns, column in self._constraints():
            wanted = clause.name or self._default_name(clause, columns)
            names = (f"{wanted}{at or ''}" for at in itertools.count())
            name = clause.name or next(item for item in names if item not in given)
            given.add(name)
            yield name, clause, column

    def _constraints(self) -> Iterator[tuple[Clause, list[str], Column | None]]:
        """The constraints, each with the columns that it is of, and with the one that it stands at."""
        for column in self.columns:
            type_checks = column.type_checks
            for clause in column.clauses:
                if clause.kind in _SUFFIXES and clause not in type_checks:
                    yield clause, [column.name], column
        for clause in self.constraints:
            yield clause, clause.columns, None

    def without(self, doomed: list[Clause]) -> None:
        """Be without some constraints."""
        self.constraints = [clause for clause in self.constraints if clause not in doomed]
        for column in self.columns:
            column.clauses = [clause for clause in column.clauses if clause not in doomed]

    def _default_name(self, clause: Clause, columns: list[str]) -> str:
        """The name that PostgreSQL gives: a condition of several columns is called after none of them."""
        is_general = clause.kind == "PRIMARY KEY" or (clause.kind == "CHECK" and len(columns) != 1)
        return "_".join([self.name, *([] if is_general else columns), _SUFFIXES[clause.kind]])


_SUFFIXES = {"PRIMARY KEY": "pkey", "UNIQUE": "key", "CHECK": "check", "REFERENCES": "fkey", "FOREIGN KEY": "fkey"}


def unquoted(token: str) -> str:
    """The name that an identifier means."""
    if token[0] in '"`':
        return token[1:-1].replace(token[0] * 2, token[0])
    return token[1:-1] if token[0] == "[" else token


def _listed(text: str) -> list[str]:
    """The names in the first brackets of a text."""
    names, is_inside = [], False
    for match in TOKEN.finditer(text):
        token = match[0]
        if is_inside and token == ")":
            break
        if is_inside and re.match(r"[\w\"`\[]", token):
            names.append(unquoted(token).lower())
        is_inside = is_inside or token == "("
    return names


def names_in(text: str) -> list[str]:
    """The names of an expression, in lower case, without those of functions and without keywords."""
    tokens = [match[0] for match in TOKEN.finditer(text) if match[0].strip()]
    following = [*tokens[1:], ""]
    result: list[str] = []
    for token, after in zip(tokens, following, strict=True):
        is_name = token[0] in '"`[' or (re.fullmatch(r"[^\W\d]\w*", token) and token.upper() not in _KEYWORDS)
        if is_name and after != "(" and unquoted(token).lower() not in result:
            result.append(unquoted(token).lower())
    return result


_KEYWORDS = frozenset(
    [
        *("CHECK", "NOT", "NULL", "IS", "IN", "AND", "OR", "LIKE", "GLOB", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE"),
        *("END", "CAST", "AS", "ESCAPE", "COLLATE", "TRUE", "FALSE", "ASC", "DESC", "BINARY", "WHERE", "EXISTS"),
    ]
)


def split(text: str) -> list[str]:
    """What stands between the commas of a text that are in no brackets."""
    places = [at for token, at in _tokens(text) if token == ","]
    begins, ends = [0, *(at + 1 for at in places)], [*places, len(text)]
    return [text[begin:end].strip() for begin, end in zip(begins, ends, strict=True)]


# --- reading ----------------------------------------------------------------------------------------------------------
def _tokens(text: str) -> list[tuple[str, int]]:
    """The tokens that stand in no brackets, with their places, without spaces."""
    depth, result = 0, []
    for match in TOKEN.finditer(text):
        token = match[0]
        if not depth and token.strip():
            result.append((token, match.start()))
        depth += (token == "(") - (token == ")")
    return result


def column_of(part: str) -> Column:
    """A column's definition taken apart."""
    notes = [(token, at) for token, at in _tokens(part) if token[:2] in ("/*", "--")]
    number = None
    for token, at in reversed(notes):
        match = _NUMBERING.fullmatch(token)
        if match is not None:
            number = Numbering(match[2], match[1])
            part = part[:at] + part[at + len(token) :]
    tokens = _tokens(part)
    begins = [at for place, (_, at) in enumerate(tokens) if place and _begins(tokens, place)]
    ends = [*begins[1:], len(part)]
    first = begins[0] if begins else len(part)
    name = tokens[0][0]
    declared = part[tokens[0][1] + len(name) : first].strip()
    clauses = [clause_of(part[begin:end].strip()) for begin, end in zip(begins, ends, strict=False)]
    return Column(unquoted(name), declared, number, clauses)


def _begins(tokens: list[tuple[str, int]], place: int) -> bool:
    """Whether a clause begins with a token."""
    words = [token.upper() for token, _ in tokens]
    word, before = words[place], words[place - 1]
    if word not in _BEGINNINGS or before in ("SET", "CONSTRAINT"):
        return False
    if word == "NOT":
        return words[place + 1 : place + 2] == ["NULL"]
    if word == "NULL":
        return before not in ("NOT", "DEFAULT")
    return place < 2 or words[place - 2] != "CONSTRAINT"


def clause_of(text: str) -> Clause:
    """A clause taken apart from its name."""
    tokens = _tokens(text)
    name = ""
    if tokens[0][0].upper() == "CONSTRAINT":
        name = unquoted(tokens[1][0])
        text = text[tokens[2][1] :]
        tokens = tokens[2:]
    word = tokens[0][0].upper()
    return Clause(_TWO_WORDS.get(word, word), text, name)
