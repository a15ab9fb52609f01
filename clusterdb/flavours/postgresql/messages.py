"""The texts of PostgreSQL's errors for what SQLite refuses, with the position in the statement and the detail.

Source: the messages of PostgreSQL 15.
"""

from __future__ import annotations

import re

import apsw

from clusterdb.errors import DatabaseError
from clusterdb.flavours.failures import Failure, Reference, Words, shown
from clusterdb.flavours.functions import SqlValue
from clusterdb.flavours.postgresql.clauses import Table
from clusterdb.flavours.rebuild import definition_of
from clusterdb.flavours.types import Kind

__all__ = ["VERBS", "syntax_error", "words"]

VERBS = frozenset(
    [
        *("ABORT", "ALTER", "ANALYZE", "BEGIN", "CALL", "CHECKPOINT", "CLOSE", "CLUSTER", "COMMENT", "COMMIT", "COPY"),
        *("CREATE", "DEALLOCATE", "DECLARE", "DELETE", "DISCARD", "DO", "DROP", "END", "EXECUTE", "EXPLAIN", "FETCH"),
        *("GRANT", "IMPORT", "INSERT", "LISTEN", "LOAD", "LOCK", "MERGE", "MOVE", "NOTIFY", "PREPARE", "REASSIGN"),
        *("REFRESH", "REINDEX", "RELEASE", "RESET", "REVOKE", "ROLLBACK", "SAVEPOINT", "SECURITY", "SELECT", "SET"),
        *("SHOW", "START", "TABLE", "TRUNCATE", "UNLISTEN", "UPDATE", "VACUUM", "VALUES", "WITH"),
        *("PRAGMA", "ATTACH", "DETACH"),
    ]
)
"""The words that statements begin with, those that are passed to SQLite included."""

_UNIQUE = re.compile(r"UNIQUE constraint failed: (?P<index>index '(?P<name>.*)')?(?P<columns>.*)", re.DOTALL)
_NULL = re.compile(r"NOT NULL constraint failed: (?P<table>.+)\.(?P<column>[^.]+)")
_CHECK = re.compile(r"CHECK constraint failed: (?P<check>.*)", re.DOTALL)
_TEXTS: tuple[tuple[str, str], ...] = (
    (r"no such table: (?:main\.|temp\.)?(?P<name>.+)", 'relation "{name}" does not exist'),
    (r"no such view: (?:main\.|temp\.)?(?P<name>.+)", 'view "{name}" does not exist'),
    (r"no such index: (?:main\.|temp\.)?(?P<name>.+)", 'index "{name}" does not exist'),
    (r"table (?P<table>\S+) has no column named (?P<name>.+)", 'column "{name}" of relation "{table}" does not exist'),
    (r"ambiguous column name: (?P<name>.+)", 'column reference "{name}" is ambiguous'),
    (r"(?:table|view|index) (?P<name>\S+) already exists", 'relation "{name}" already exists'),
    (
        r"there is already (?:a table|an index|another table or index) (?:named|with this name:) (?P<name>.+)",
        'relation "{name}" already exists',
    ),
    (r"duplicate column name: (?P<name>.+)", 'column "{name}" specified more than once'),
    (r"FOREIGN KEY constraint failed", "foreign key constraint is violated"),
    (
        r"SELECTs to the left and right of (?P<name>\w+)(?: ALL)? do not have the same number of result columns",
        "each {name} query must have the same number of columns",
    ),
)
_PATTERNS = tuple((re.compile(pattern), text) for pattern, text in _TEXTS)
_INPUT = re.compile(r"invalid input syntax for type (?P<type>\w+): '(?P<value>.*)'", re.DOTALL)
_LABEL = re.compile(r"date/time field value out of range: '(?P<value>.*)'", re.DOTALL)
_COUNTS = re.compile(
    r"table \S+ has (?P<columns>\d+) columns but (?P<values>\d+) values were supplied|"
    r"(?P<few>\d+) values for (?P<many>\d+) columns"
)
_TYPE_NAMES = {"decimal": "numeric", "double": "double precision", "datetime": "timestamp"}
_BUSY = {
    apsw.SQLITE_BUSY_SNAPSHOT: "could not serialize access due to concurrent update",
    apsw.SQLITE_BUSY: "canceling statement due to lock timeout",
    apsw.SQLITE_LOCKED: "canceling statement due to lock timeout",
    apsw.SQLITE_INTERRUPT: "canceling statement due to user request",
}


def words(failure: Failure) -> Words | None:
    """PostgreSQL's words for a failure; None if it has SQLite's or the flavour's own."""
    message = failure.message
    for code in (failure.code, failure.code & 0xFF):
        if code in _BUSY:
            return Words(_BUSY[code])
    if failure.code & 0xFF == apsw.SQLITE_READONLY:
        verb = failure.verb or failure.source.split(None, 1)[0].upper()
        return Words(f"cannot execute {verb} in a read-only transaction")
    for pattern, worded in (
        (_UNIQUE, _not_unique),
        (_NULL, _null),
        (_CHECK, _not_checked),
        (_COUNTS, _not_counted),
    ):
        match = pattern.fullmatch(message)
        if match is not None:
            return worded(failure, match)
    if failure.code == apsw.SQLITE_CONSTRAINT_FOREIGNKEY and failure.table:
        return _without_parent(failure)
    match = re.fullmatch(r"no such column: (?P<name>.+)", message)
    if match is not None:
        return _unknown_column(failure, match["name"])
    for pattern, text in _PATTERNS:
        match = pattern.fullmatch(message)
        if match is not None:
            names = {key: value.strip('"') for key, value in match.groupdict().items()}
            is_placed = text.startswith(("relation", "column")) and text.endswith(("exist", "ambiguous"))
            return Words(text.format(**names), failure.position(names["name"]) if is_placed else None)
    match = _INPUT.fullmatch(message)
    if match is not None:
        return Words(f'invalid input syntax for type {_TYPE_NAMES.get(match[1], match[1])}: "{match["value"]}"')
    match = _LABEL.fullmatch(message)
    if match is not None:
        return Words(f'date/time field value out of range: "{match["value"]}"')
    if message.startswith("numeric field overflow"):
        return Words("numeric field overflow")
    return Words(message, failure.position(match[1])) if (match := _named(message)) is not None else None


def syntax_error(sql: str, at: int | None) -> Words:
    """The words for a statement that is wrong from a character on."""
    if at is None:
        return Words("syntax error")
    token = re.compile(r"\w+|'(?:[^']|'')*'|\"[^\"]*\"|\S").match(sql, at)
    if token is None:
        return Words("syntax error at end of input", len(sql) + 1)
    return Words(f'syntax error at or near "{token[0]}"', at + 1)


def _named(message: str) -> re.Match[str] | None:
    """The message of a rule about a name in the statement."""
    return re.match(r'(?:relation|column|type) "([^"]+)" (?:of relation "[^"]+" )?does not exist', message)


def _unknown_column(failure: Failure, name: str) -> Words:
    table, _, column = name.rpartition(".")
    place = failure.position(name)
    if failure.verb == "UPDATE" and not table and _is_assigned(failure, column):
        return Words(f'column "{column}" of relation "{failure.table}" does not exist', place)
    if not table:
        return Words(f'column "{name}" does not exist', place)
    is_source = re.search(
        rf'(?:FROM|JOIN|UPDATE|INTO|AS|,|\w)\s+"?{re.escape(table)}"?(?!\s*\.)\b', failure.source, re.I
    )
    if is_source is None:
        return Words(f'missing FROM-clause entry for table "{table}"', place)
    return Words(f"column {name} does not exist", place)


def _is_assigned(failure: Failure, column: str) -> bool:
    return bool(re.search(rf'(?:\bSET|,)\s+"?{re.escape(column)}"?\s*=', failure.source, re.IGNORECASE))


# --- constraints ------------------------------------------------------------------------------------------------------
def _table(failure: Failure, name: str) -> Table | None:
    try:
        return Table.of(definition_of(failure.db, name))
    except (DatabaseError, apsw.Error):
        return None


def _columns(match: re.Match[str]) -> tuple[str, list[str]]:
    """The table and the columns that SQLite names."""
    parts = [part.rpartition(".") for part in match["columns"].split(", ")]
    return parts[0][0], [part[2] for part in parts]


def _not_unique(failure: Failure, match: re.Match[str]) -> Words:
    if match["index"]:
        return Words(f'duplicate key value violates unique constraint "{match["name"]}"')
    table, columns = _columns(match)
    name = _unique_name(failure, table, columns)
    text = f'duplicate key value violates unique constraint "{name}"'
    values = failure.violating(table, columns)
    if values is None:
        return Words(text)
    return Words(text, detail=f"Key {_key(failure, table, columns, values)} already exists.")


def _key(failure: Failure, table: str, columns: list[str], values: tuple[SqlValue, ...]) -> str:
    texts = [_shown(value, failure.kind(table, name)) for name, value in zip(columns, values, strict=True)]
    return f"({', '.join(columns)})=({', '.join(texts)})"


def _shown(value: SqlValue, kind: Kind) -> str:
    if kind.name == "boolean" and value is not None:
        return "t" if value else "f"
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return shown(value, kind)


def _unique_name(failure: Failure, table: str, columns: list[str]) -> str:
    index = failure.index(table, columns)
    if index is not None and index[1] == "c":
        return index[0]
    is_key = index is None or index[1] == "pk"
    wanted = [name.lower() for name in columns]
    definition = _table(failure, table)
    for name, clause, column in definition.named() if definition is not None else ():
        own = [column.name.lower()] if column is not None else clause.columns
        if clause.kind == ("PRIMARY KEY" if is_key else "UNIQUE") and own == wanted:
            return name
    return f"{table}_pkey" if is_key else "_".join([table, *columns, "key"])


def _null(failure: Failure, match: re.Match[str]) -> Words:
    return Words(
        f'null value in column "{match["column"]}" of relation "{match["table"]}" violates not-null constraint'
    )


def _not_checked(failure: Failure, match: re.Match[str]) -> Words | None:
    """A condition of the table, or one that the type of a column makes."""
    definition = _table(failure, failure.table) if failure.table else None
    if definition is None:
        return None
    text = match["check"]
    for column in definition.columns:
        is_own = text == column.name or any(clause.text == f"CHECK ({text})" for clause in column.type_checks)
        if is_own and column.type_checks:
            return Words(_misfit(failure.kind(failure.table, column.name), column.declared))
    for name, clause, _ in definition.named():
        if clause.kind == "CHECK" and (name == text or _bare(clause.text) == _bare(f"CHECK ({text})")):
            return Words(f'new row for relation "{definition.name}" violates check constraint "{name}"')
    return None


def _bare(text: str) -> str:
    return re.sub(r'[\s"()]', "", text).lower()


def _misfit(kind: Kind, declared: str) -> str:
    """The message for a value that does not fit a column's type."""
    sizes = declared.partition("(")[2].rstrip(")")
    if kind.name == "integer":
        return f"{ {16: 'smallint', 32: 'integer'}.get(kind.size, 'bigint') } out of range"
    if kind.name == "decimal":
        return "numeric field overflow"
    if kind.name in ("text", "char"):
        return f"value too long for type character{' varying' if kind.name == 'text' else ''}({sizes})"
    return f"invalid input syntax for type {_TYPE_NAMES.get(kind.name, kind.name)}"


def _without_parent(failure: Failure) -> Words | None:
    if failure.verb != "DELETE":
        key_and_values = failure.orphan()
        if key_and_values is not None:
            key, values = key_and_values
            name = _reference_name(failure, key)
            text = f'insert or update on table "{key.table}" violates foreign key constraint "{name}"'
            detail = None
            if values is not None:
                own = _key(failure, key.table, list(key.columns), values)
                detail = f'Key {own} is not present in table "{key.parent}".'
            return Words(text, detail=detail)
    key_and_values = failure.referred()
    if key_and_values is None:
        return None
    key, values = key_and_values
    text = (
        f'update or delete on table "{key.parent}" violates foreign key constraint "{_reference_name(failure, key)}" '
        f'on table "{key.table}"'
    )
    if values is None:
        return Words(text)
    own = _key(failure, key.parent, list(key.targets), values)
    return Words(text, detail=f'Key {own} is still referenced from table "{key.table}".')


def _reference_name(failure: Failure, key: Reference) -> str:
    definition = _table(failure, key.table)
    wanted = [name.lower() for name in key.columns]
    for name, clause, column in definition.named() if definition is not None else ():
        own = [column.name.lower()] if column is not None else clause.columns
        if clause.kind in ("REFERENCES", "FOREIGN KEY") and own == wanted:
            return name
    return "_".join([key.table, *key.columns, "fkey"])


def _not_counted(failure: Failure, match: re.Match[str]) -> Words:
    values, columns = (int(match["values"] or match["few"]), int(match["columns"] or match["many"]))
    if values > columns:
        return Words("INSERT has more expressions than target columns")
    return Words("INSERT has more target columns than expressions")
