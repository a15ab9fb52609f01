"""What can follow the cursor in SQL: tables after FROM, columns of the tables in scope, keywords after an operand.

A pure function of the text and the names in the database.  The text is split into tokens, and the tokens into *blocks*:
a query, and each query in parentheses within it.  A block sees the tables of its own FROM, in either direction of the
cursor, then those of the blocks around it.  This is no parser: text that it does not understand gets all names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Names", "completions"]


@dataclass(frozen=True, slots=True)
class Names:
    """The names in a database.  ``quote`` is the character around names that need it; keywords end in a blank or (."""

    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Tables and views with their columns."""
    schemas: Sequence[str] = ()
    functions: Sequence[str] = ()
    keywords: Sequence[str] = ()
    others: Sequence[str] = ()
    """Collations, modules, types."""
    quote: str = '"'


class _Token(NamedTuple):
    kind: str
    """``word``, ``name`` (quoted), ``string``, ``number``, ``comment`` or ``mark``."""
    text: str
    begin: int
    end: int

    @property
    def upper(self) -> str:
        return self.text.upper() if self.kind == "word" else self.text if self.kind == "mark" else ""

    @property
    def name(self) -> str:
        return self.text.strip('"`[]') if self.kind == "name" else self.text


_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*\n?|/\*(?:[^*]|\*(?!/))*(?:\*/)?)
    |(?P<string>'(?:[^']|'')*(?:'|\Z))
    |(?P<name>"(?:[^"]|"")*(?:"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z))
    |(?P<number>\d[\w.]*)
    |(?P<word>[^\W\d][\w$]*)
    |(?P<mark>\S)""",
    re.VERBOSE,
)
_WORD = re.compile(r"[\w$]*\Z")
_PLAIN_NAME = re.compile(r"[^\W\d][\w$]*")

_TABLES_FOLLOW = frozenset(("FROM", "JOIN", "INTO", "UPDATE", "TABLE", "DESCRIBE", "TRUNCATE", "VIEW", "ANALYZE"))
_BEFORE_TABLE = frozenset(("IF", "EXISTS", "NOT", "ONLY", "OR", "REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK"))
_CLAUSES = _TABLES_FOLLOW | frozenset(
    ("SELECT", "ON", "USING", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "SET", "VALUES", "RETURNING")
)
_ENDS_FROM = _CLAUSES - {"FROM", "JOIN", "TABLE"} | {"UNION", "EXCEPT", "INTERSECT", "WINDOW"}
_JOINS = frozenset(("JOIN", "LEFT", "RIGHT", "FULL", "INNER", "OUTER", "CROSS", "NATURAL", "STRAIGHT_JOIN"))
_NO_ALIAS = _ENDS_FROM | _JOINS | {"AS", "INDEXED", "NOT", "DEFAULT", "SELECT"}
_WORDS = """
    ADD ALL ALTER AND AS AUTOINCREMENT BETWEEN BY CASE CHECK COLLATE COMMIT CONSTRAINT CREATE DEFAULT DEFERRABLE
    DELETE DISTINCT DROP ELSE ESCAPE EXCEPT EXISTS FOREIGN FROM GROUP HAVING IN INDEX INSERT INTERSECT INTO IS ISNULL
    JOIN LIKE LIMIT NOT NOTNULL NULL ON OR ORDER PRIMARY REFERENCES SELECT SET TABLE THEN TO TRANSACTION UNION UNIQUE
    UPDATE USING VALUES WHEN WHERE WITH
"""
_RESERVED = frozenset(_WORDS.split())
_OPERATORS = (_RESERVED | {"GLOB", "REGEXP", "MATCH"}) - {"NULL"}
"""Words that an operand or a name does not end with."""


def completions(text: str, begin: int, end: int, names: Names) -> list[str]:
    """What can replace ``text[begin:end]``, which ends at the cursor, the likeliest first."""
    match = _WORD.search(text, 0, end)
    assert match is not None
    word, at = match[0], match.start()
    tokens = list(_tokens(text))
    if any(token.begin < end and _is_within(token, end) for token in tokens):
        return []  # in a string or a comment
    block = _block_at(_Block(_statement(tokens, at), end), at)
    before = [token for token in block.all_tokens if token.end <= at]
    candidates = list(_candidates(before, block, names))
    words = list(_matching(word, candidates))
    if not words and not (before and before[-1].upper == "."):
        words = list(_matching(word, _everything(names)))
    prefix = text[begin:at]
    return [f"{prefix}{item}" for item in words]


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        yield _Token(match.lastgroup or "", match[0], match.start(), match.end())


def _is_within(token: _Token, cursor: int) -> bool:
    """Whether the cursor is inside of a string, a quoted name or a comment."""
    if token.kind == "comment":
        is_closed = token.text.endswith(("*/", "\n"))
    elif token.kind in ("string", "name"):
        is_closed = len(token.text) > 1 and token.text[-1] == {"[": "]"}.get(token.text[0], token.text[0])
    else:
        return False
    return cursor < token.end or not is_closed


def _statement(tokens: Iterable[_Token], at: int) -> list[_Token]:
    """The tokens of the statement around a position, without comments."""
    statement: list[_Token] = []
    for token in tokens:
        if token.kind == "comment":
            continue
        if token.text == ";":
            if token.begin >= at:
                break
            statement = []
        else:
            statement.append(token)
    return statement


class _Block:
    """A query: its tokens, where a query in parentheses is one item, and the queries in it."""

    def __init__(self, tokens: Sequence[_Token], end: int, parent: _Block | None = None) -> None:
        self.all_tokens = tokens
        self.parent = parent
        self.items: list[_Token | _Block] = []
        self.begin = tokens[0].begin if tokens else end
        self.end = end
        index = 0
        while index < len(tokens):
            token = tokens[index]
            self.items.append(token)
            index += 1
            if token.text == "(" and index < len(tokens) and tokens[index].upper in ("SELECT", "WITH", "VALUES"):
                close = _closing(tokens, index)
                inner_end = tokens[close].begin if close < len(tokens) else max(end, tokens[-1].end)
                self.items.append(_Block(tokens[index:close], inner_end, self))
                index = close

    @property
    def blocks(self) -> list[_Block]:
        return [item for item in self.items if isinstance(item, _Block)]

    def own_tokens(self, until: int) -> list[_Token]:
        """The tokens before a position that are not in a query within."""
        return [item for item in self.items if isinstance(item, _Token) and item.end <= until]

    def sources(self, names: Names) -> dict[str, Sequence[str]]:
        """The tables in scope by the names under which they are known, with their columns; own ones come first."""
        scope: dict[str, Sequence[str]] = {}
        known = {**_lowered(names.tables), **self.common_tables(names)}
        items, index, is_from = self.items, 0, False
        while index < len(items):
            item = items[index]
            index += 1
            if isinstance(item, _Block):
                continue
            if item.upper in _ENDS_FROM - _TABLES_FOLLOW:
                is_from = False
            starts = item.upper in _TABLES_FOLLOW or (is_from and item.text == ",")
            if not starts:
                continue
            is_from = is_from or item.upper in ("FROM", "JOIN")
            columns: Sequence[str] | None = None
            name = ""
            while index < len(items) and _upper(items[index]) in _BEFORE_TABLE:
                index += 1
            if index < len(items) and _upper(items[index]) == "(":
                inner = items[index + 1] if index + 1 < len(items) else None
                if isinstance(inner, _Block):
                    columns = inner.columns(names)
                    index += 3
            else:
                while index < len(items) and _is_name(items[index]):
                    name = _name(items[index])
                    index += 1
                    if index < len(items) and _upper(items[index]) == ".":
                        index += 1
                    else:
                        break
                columns = known.get(name.lower(), ())
            if index < len(items) and _upper(items[index]) == "AS":
                index += 1
            if index < len(items) and _is_name(items[index]) and _upper(items[index]) not in _NO_ALIAS:
                name = _name(items[index])
                index += 1
            if name and columns is not None:
                scope.setdefault(name, columns)
        if self.parent is not None:
            for name, outer in self.parent.sources(names).items() if self.parent.items else ():
                scope.setdefault(name, outer)
        return scope

    def common_tables(self, names: Names) -> dict[str, Sequence[str]]:
        """The tables that WITH defines here or around, in lower case."""
        common = self.parent.common_tables(names) if self.parent is not None else {}
        for index, item in enumerate(self.items):
            if isinstance(item, _Block) and index > 2 and _upper(self.items[index - 2]) == "AS":
                place = index - 3
                columns: list[str] | None = None
                if _upper(self.items[place]) == ")":
                    columns = []
                    while place >= 0 and _upper(self.items[place]) != "(":
                        if _is_name(self.items[place]):
                            columns.insert(0, _name(self.items[place]))
                        place -= 1
                    place -= 1
                if place >= 0 and _is_name(self.items[place]):
                    name = _name(self.items[place]).lower()
                    common[name] = columns if columns is not None else item.columns(names, without=name)
        return common

    def columns(self, names: Names, without: str = "") -> list[str]:
        """The names of the columns that this query returns, as far as they are names."""
        returned: list[str] = []
        last: _Token | None = None
        depth = 0
        is_list = False
        for item in [*self.items, None]:
            upper = _upper(item)
            if not is_list:
                is_list = upper == "SELECT"
                continue
            depth += (upper == "(") - (upper == ")")
            if item is None or (not depth and (upper == "," or upper in _ENDS_FROM | {"FROM"})):
                if last is not None and last.text == "*":
                    tables = self.parent_free_sources(names, without)
                    returned += [column for columns in tables.values() for column in columns]
                elif last is not None and _is_name(last):
                    returned.append(last.name)
                last = None
                if upper != ",":
                    break
            elif isinstance(item, _Token) and upper not in ("DISTINCT", "ALL"):
                last = item
        return returned

    def parent_free_sources(self, names: Names, without: str) -> dict[str, Sequence[str]]:
        """The tables of this query's own FROM; a recursive one does not see itself."""
        tables = {name: columns for name, columns in names.tables.items() if name.lower() != without}
        alone = _Block(self.all_tokens, self.end)
        return alone.sources(Names(tables=tables))


def _block_at(block: _Block, at: int) -> _Block:
    """The innermost query around a position."""
    for inner in block.blocks:
        if inner.begin <= at <= inner.end:
            return _block_at(inner, at)
    return block


def _closing(tokens: Sequence[_Token], index: int) -> int:
    """The index of the parenthesis that closes what begins at an index, else of the end."""
    depth = 1
    for place in range(index, len(tokens)):
        depth += (tokens[place].text == "(") - (tokens[place].text == ")")
        if not depth:
            return place
    return len(tokens)


def _upper(item: _Token | _Block | None) -> str:
    return item.upper if isinstance(item, _Token) else ""


def _is_name(item: _Token | _Block) -> bool:
    return isinstance(item, _Token) and (
        item.kind == "name" or (item.kind == "word" and item.text.upper() not in _OPERATORS)
    )


def _name(item: _Token | _Block) -> str:
    return item.name if isinstance(item, _Token) else ""


def _lowered(tables: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {name.lower(): columns for name, columns in tables.items()}


def _candidates(before: Sequence[_Token], block: _Block, names: Names) -> Iterator[str]:
    """What can follow the tokens of a query before the cursor."""
    own = block.own_tokens(before[-1].end) if before else []
    last = before[-1] if before else None
    sources = block.sources(names)
    if last is not None and last.text == "." and len(before) > 1:
        yield from _qualified(before[-2].name, sources, names)
        return
    clause = next((token for token in reversed(own) if token.upper in _CLAUSES), None)
    if clause is None or last is None:
        yield from _everything(names)
        return
    tables = [*block.common_tables(names), *names.tables, *names.schemas]
    if clause.upper in _TABLES_FOLLOW:
        since = [token for token in own if token.begin >= clause.end]
        if since and _open_parentheses(since) and clause.upper == "INTO":
            yield from _quoted(sources.get(_first_name(since), ()), names)  # INSERT INTO t (
            return
        if last.text in (",", "(") or all(token.upper in _BEFORE_TABLE for token in since):
            yield from _quoted(tables, names)
            if last.text == "(":
                yield from ("SELECT ", "WITH ", "VALUES")
            return
        yield from names.keywords
        return
    if _is_operand_end(last):
        yield from names.keywords
        return
    columns = [column for table in sources.values() for column in table]
    if not sources:
        columns = [column for table in names.tables.values() for column in table]
    yield from _quoted(columns, names)
    if clause.upper != "USING":
        yield from _quoted(sources or names.tables, names)
        yield from names.functions
        yield from names.keywords
        yield from names.others if clause.upper != "SET" else ()


def _qualified(qualifier: str, sources: Mapping[str, Sequence[str]], names: Names) -> Iterator[str]:
    lowered = qualifier.lower()
    for name, columns in [*sources.items(), *names.tables.items()]:
        if name.lower() == lowered:
            yield from _quoted(columns, names)
            return
    if lowered in (schema.lower() for schema in names.schemas):
        yield from _quoted(names.tables, names)


def _open_parentheses(tokens: Iterable[_Token]) -> bool:
    return sum((token.text == "(") - (token.text == ")") for token in tokens) > 0


def _first_name(tokens: Iterable[_Token]) -> str:
    return next((token.name for token in tokens if _is_name(token)), "")


def _is_operand_end(token: _Token) -> bool:
    return token.kind in ("string", "number", "name") or token.text == ")" or _is_name(token)


def _everything(names: Names) -> Iterator[str]:
    yield from _quoted(names.tables, names)
    yield from _quoted((column for columns in names.tables.values() for column in columns), names)
    yield from names.schemas
    yield from names.others
    yield from names.functions
    yield from names.keywords


def _quoted(words: Iterable[str], names: Names) -> Iterator[str]:
    quote = names.quote
    for word in words:
        if _PLAIN_NAME.fullmatch(word) and word.upper() not in _RESERVED:
            yield word
        else:
            yield f"{quote}{word.replace(quote, quote * 2)}{quote}"


def _matching(token: str, words: Iterable[str]) -> Iterator[str]:
    """The words that begin with a token in any case, once each, in the case of the token."""
    seen = set()
    upper = token.upper()
    for word in words:
        bare = word.lstrip('"`')
        if not bare.upper().startswith(upper):
            continue
        if bare.startswith(token):
            shown = word
        elif bare.lower().startswith(token):
            shown = word.lower()
        else:
            shown = token + word[len(token) :] if bare == word else word
        if shown not in seen:
            seen.add(shown)
            yield shown
