"""The texts of MySQL's errors for what SQLite refuses.

Source: "Server Error Message Reference" of MySQL 8.0.  MariaDB names a key without its table, a database before a
column, and the part of a statement by its keyword.
"""

from __future__ import annotations

import re

import apsw

from clusterdb.flavours.failures import Failure, Reference, Words, shown

__all__ = ["DATABASE", "VERBS", "syntax_error", "words"]

VERBS = frozenset(
    [
        *("ALTER", "ANALYZE", "BEGIN", "BINLOG", "CACHE", "CALL", "CHANGE", "CHECK", "CHECKSUM", "CLONE", "COMMIT"),
        *("CREATE", "DEALLOCATE", "DELETE", "DESC", "DESCRIBE", "DO", "DROP", "EXECUTE", "EXPLAIN", "FLUSH", "GET"),
        *("GRANT", "HANDLER", "HELP", "IMPORT", "INSERT", "INSTALL", "KILL", "LOAD", "LOCK", "OPTIMIZE", "PREPARE"),
        *("PURGE", "RELEASE", "RENAME", "REPAIR", "REPLACE", "RESET", "RESIGNAL", "RESTART", "REVOKE", "ROLLBACK"),
        *("SAVEPOINT", "SELECT", "SET", "SHOW", "SHUTDOWN", "SIGNAL", "START", "STOP", "TABLE", "TRUNCATE"),
        *("UNINSTALL", "UNLOCK", "UPDATE", "USE", "VALUES", "WITH", "XA", "DELIMITER", "END"),
        *("PRAGMA", "ATTACH", "DETACH"),
    ]
)
"""The words that statements begin with, those that are passed to SQLite included."""

DATABASE = "main"
"""The name of the database in messages, which is that of DATABASE()."""

_UNIQUE = re.compile(r"UNIQUE constraint failed: (?P<index>index '(?P<name>.*)')?(?P<columns>.*)", re.DOTALL)
_NO_DATE = re.compile(r"is no (?:date|time|moment)|is out of range|must be in|not written as")
_NULL = re.compile(r"NOT NULL constraint failed: (?P<table>.+)\.(?P<column>[^.]+)")
_LISTED = re.compile(r"[^()]*+\((?P<names>[^()]*+)\)\s*+(?:VALUES?|SELECT)\b", re.IGNORECASE | re.DOTALL)
_CHECK = re.compile(r"CHECK constraint failed: (?P<check>.*)", re.DOTALL)
_TEXTS: tuple[tuple[str, str], ...] = (
    (r"no such table: (?:main\.|temp\.)?(?P<name>.+)", "Table '{database}.{name}' doesn't exist"),
    (r"no such view: (?:main\.|temp\.)?(?P<name>.+)", "Table '{database}.{name}' doesn't exist"),
    (r"table \S+ has no column named (?P<name>.+)", "Unknown column '{name}' in 'field list'"),
    (r"(?:table|view) (?P<name>\S+) already exists", "Table '{name}' already exists"),
    (
        r"there is already (?:a table|another table or index) (?:named|with this name:) (?P<name>.+)",
        "Table '{name}' already exists",
    ),
    (r"index (?P<key>\S++) already exists", "Duplicate key name '{key}'"),
    (r"duplicate column name: (?P<name>.+)", "Duplicate column name '{name}'"),
    (
        r"table \S+ has \d+ columns but \d+ values were supplied|\d+ values for \d+ columns",
        "Column count doesn't match value count at row 1",
    ),
    (
        r"SELECTs to the left and right of \w+(?: ALL)? do not have the same number of result columns",
        "The used SELECT statements have a different number of columns",
    ),
)
_PATTERNS = tuple((re.compile(pattern), text) for pattern, text in _TEXTS)
_BUSY = {
    apsw.SQLITE_BUSY_SNAPSHOT: "Deadlock found when trying to get lock; try restarting transaction",
    apsw.SQLITE_BUSY: "Lock wait timeout exceeded; try restarting transaction",
    apsw.SQLITE_LOCKED: "Lock wait timeout exceeded; try restarting transaction",
    apsw.SQLITE_INTERRUPT: "Query execution was interrupted",
    apsw.SQLITE_READONLY: (
        "The MySQL server is running with the --read-only option so it cannot execute this statement"
    ),
}
_PARTS = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|[()]|\b(SELECT|FROM|WHERE|GROUP|HAVING|ORDER|ON|SET|LIMIT)\b", re.I | re.S
)
_PART_NAMES = {
    "WHERE": "where clause",
    "GROUP": "group statement",
    "HAVING": "having clause",
    "ORDER": "order clause",
    "ON": "on clause",
}


def words(failure: Failure) -> Words | None:
    """MySQL's words for a failure; None if it has SQLite's or the flavour's own."""
    message = failure.message
    for code in (failure.code, failure.code & 0xFF):
        if code in _BUSY:
            return Words(_BUSY[code])
    for pattern, worded in ((_UNIQUE, _not_unique), (_NULL, _null), (_CHECK, _not_checked)):
        match = pattern.fullmatch(message)
        if match is not None:
            return worded(failure, match)
    if failure.code == apsw.SQLITE_CONSTRAINT_FOREIGNKEY and failure.table:
        return _without_parent(failure)
    match = re.fullmatch(r"no such column: (?P<name>.+)", message)
    if match is not None:
        return Words(f"Unknown column '{match['name']}' in '{_part(failure, match['name'])}'")
    match = re.fullmatch(r"ambiguous column name: (?P<name>.+)", message)
    if match is not None:
        return Words(f"Column '{match['name']}' in {_part(failure, match['name'])} is ambiguous")
    for pattern, text in _PATTERNS:
        match = pattern.fullmatch(message)
        if match is not None:
            names = {key: value.strip('"') for key, value in match.groupdict().items()}
            names["key"] = names.get("key", "").rpartition("__")[2]
            text = text.replace("{database}.", "") if "." in names.get("name", "") else text
            return Words(text.format(database=DATABASE, **names))
    if message.startswith("Incorrect number") or _NO_DATE.search(message):
        return _misfit(failure)
    return None


def _misfit(failure: Failure) -> Words | None:
    """A value that no column of its type can have."""
    misfit = failure.misfit()
    if misfit is None:
        return None
    row, name, value = misfit
    kind = failure.kind(failure.table, name)
    return Words(f"Incorrect {kind.name} value: '{shown(value, kind)}' for column '{name}' at row {row}")


def syntax_error(sql: str, at: int | None) -> Words:
    """The words for a statement that is wrong from a character on."""
    text = "You have an error in your SQL syntax"
    if at is None:
        return Words(text)
    manual = "check the manual that corresponds to your MySQL server version for the right syntax to use"
    return Words(f"{text}; {manual} near '{sql[at : at + 80].rstrip(' ;')}' at line {sql.count(chr(10), 0, at) + 1}")


def _part(failure: Failure, name: str) -> str:
    """The part of the statement that a column stands in, as messages call it."""
    place = failure.position(name)
    if place is None:
        return "field list"
    open_parts: list[str] = [""]
    for token in _PARTS.finditer(failure.source, 0, place - 1):
        if token[0] == "(":
            open_parts.append(open_parts[-1])
        elif token[0] == ")" and len(open_parts) > 1:
            open_parts.pop()
        elif token[1]:
            open_parts[-1] = token[1].upper()
    return _PART_NAMES.get(open_parts[-1], "field list")


def _not_unique(failure: Failure, match: re.Match[str]) -> Words | None:
    if match["index"]:
        table, _, key = match["name"].partition("__")
        return Words(f"Duplicate entry for key '{table}.{key}'")
    parts = [part.rpartition(".") for part in match["columns"].split(", ")]
    table, columns = parts[0][0], [part[2] for part in parts]
    index = failure.index(table, columns)
    key = index[0].removeprefix(f"{table}__") if index is not None and index[1] == "c" else "PRIMARY"
    values = failure.violating(table, columns)
    if values is None:
        return Words(f"Duplicate entry for key '{table}.{key}'")
    shown_values = (shown(value, failure.kind(table, name)) for name, value in zip(columns, values, strict=True))
    return Words(f"Duplicate entry '{'-'.join(shown_values)}' for key '{table}.{key}'")


def _null(failure: Failure, match: re.Match[str]) -> Words:
    name = match["column"]
    if failure.verb in ("INSERT", "REPLACE") and failure.table.lower() == match["table"].lower():
        column = failure.column(match["table"], name)
        is_listed = _LISTED.match(failure.source)
        names = re.split(r"[\s,`]+", is_listed["names"].lower()) if is_listed is not None else []
        if is_listed is not None and name.lower() not in names and column is not None and not column.default:
            return Words(f"Field '{name}' doesn't have a default value")
    return Words(f"Column '{name}' cannot be null")


def _not_checked(failure: Failure, match: re.Match[str]) -> Words | None:
    """A condition of the table, or one that the type of a column makes, whose name is the column's."""
    text = match["check"]
    if f'CONSTRAINT "{text}" CHECK' in failure.definition(failure.table):
        return Words(f"Check constraint '{text}' is violated.")
    columns = failure.schema.tables.get(failure.table.lower(), {})
    name = next((name for name in columns if text.lower() == name or text.startswith(f'"{name}"')), None)
    if name is None:
        return Words(f"Check constraint '{text}' is violated.")
    kind = failure.kind(failure.table, name)
    if kind.name in ("text", "bytes"):
        return Words(f"Data too long for column '{name}' at row 1")
    if kind.name == "enum":
        return Words(f"Data truncated for column '{name}' at row 1")
    return Words(f"Out of range value for column '{name}' at row 1")


def _without_parent(failure: Failure) -> Words | None:
    if failure.verb != "DELETE":
        key_and_values = failure.orphan()
        if key_and_values is not None:
            return Words(f"Cannot add or update a child row: {_reference(failure, key_and_values[0])}")
    key_and_values = failure.referred()
    return (
        None
        if key_and_values is None
        else Words(f"Cannot delete or update a parent row: {_reference(failure, key_and_values[0])}")
    )


def _reference(failure: Failure, key: Reference) -> str:
    columns, targets = (", ".join(f"`{name}`" for name in names) for names in (key.columns, key.targets))
    listed = r",\s*".join(f'"{re.escape(name)}"' for name in key.columns)
    named = re.search(rf'CONSTRAINT "([^"]+)" FOREIGN KEY \({listed}\)', failure.definition(key.table), re.IGNORECASE)
    name = f"CONSTRAINT `{named[1]}` " if named is not None else ""
    actions = "".join(
        f" ON {event} {action}"
        for event, action in (("DELETE", key.on_delete), ("UPDATE", key.on_update))
        if action not in ("NO ACTION", "RESTRICT")
    )
    return (
        f"a foreign key constraint fails (`{DATABASE}`.`{key.table}`, {name}FOREIGN KEY ({columns}) "
        f"REFERENCES `{key.parent}` ({targets}){actions})"
    )
