"""SQLSTATE and MySQL's error numbers, for errors on connections to clusters of other engines.

One place, three tables an engine, of which the first that has a row decides:

1. the text of the message: the flavours raise the engine's own texts, SQLite has texts for its SQLITE_ERROR;
2. SQLite's extended result code, then its primary one;
3. the class of the error.

An error that is in none of them keeps None; so does the number of SQLITE_CONSTRAINT_FOREIGNKEY in MySQL, which depends
on whether the parent or the child is missing.  A value that does not fit its column's type violates a CHECK constraint,
so it has those codes.  Sources: PostgreSQL's "Appendix A. PostgreSQL Error Codes"
(https://www.postgresql.org/docs/16/errcodes-appendix.html), MySQL's "Server Error Message Reference"
(https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import apsw

from clusterdb import errors

__all__ = ["TABLES", "Codes", "Table", "with_codes"]


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes of an error: five characters of SQLSTATE, and MySQL's number (None in PostgreSQL, which has none)."""

    sqlstate: str
    errno: int | None = None


@dataclass(frozen=True)
class Table:
    """The codes of one engine: by a pattern that the message begins with, by SQLite's result code, by class."""

    texts: Mapping[str, Codes]
    results: Mapping[int, Codes]
    classes: Mapping[type[errors.Error], Codes]

    def all(self) -> Iterator[Codes]:
        """The codes of every row."""
        yield from (*self.texts.values(), *self.results.values(), *self.classes.values())

    def codes(self, error: errors.Error) -> Codes | None:
        """The codes of an error; None if no table has it."""
        message = str(error)
        for pattern, codes in self.texts.items():
            if re.match(pattern, message):
                return codes
        result = getattr(error, "sqlite_errorcode", apsw.SQLITE_OK)
        for code in (result, result & 0xFF):
            if code in self.results:
                return self.results[code]
        return next((self.classes[kind] for kind in type(error).__mro__ if kind in self.classes), None)


_NAME = r'"[^"]*"'

_POSTGRESQL = Table(
    texts={
        f"no such table|(?:table|relation|view|index) {_NAME} does not exist": Codes("42P01"),
        rf"no such column|column (?:{_NAME}|\S+) (?:of relation {_NAME} )?does not exist": Codes("42703"),
        "missing FROM-clause entry for table": Codes("42P01"),
        "cursor .* does not exist": Codes("34000"),
        "DECLARE CURSOR can only be used in transaction blocks": Codes("25P01"),
        "cursor can only scan forward": Codes("55000"),
        "cursor .* already exists": Codes("42P03"),
        "no such function": Codes("42883"),
        f"(?:type|constraint) {_NAME} (?:of relation {_NAME} )?does not exist": Codes("42704"),
        f"(?:table|index|view) .* already exists|there is already|relation {_NAME} already exists": Codes("42P07"),
        f"column {_NAME} of relation {_NAME} already exists|duplicate column name": Codes("42701"),
        f"column {_NAME} specified more than once": Codes("42701"),
        f"(?:type|constraint|enum label) {_NAME} (?:for relation {_NAME} )?already exists": Codes("42710"),
        f"multiple primary keys for table|column {_NAME} is in a primary key": Codes("42P16"),
        "ambiguous column name|column reference .* is ambiguous": Codes("42702"),
        "INSERT has more|syntax error|each .* query must have the same number": Codes("42601"),
        'near "|incomplete input|unrecognized token': Codes("42601"),
        "table .* has .* values were supplied|.* values for .* columns": Codes("42601"),
        f"column {_NAME} of relation {_NAME} is an identity column": Codes("42601"),
        f"column {_NAME} of relation {_NAME} (?:is (?:not|already) an|already has|must be declared)": Codes("55000"),
        f"(?:default for )?column {_NAME} cannot be cast automatically": Codes("42804"),
        r"column \S+ must appear in the GROUP BY clause|subquery uses ungrouped column": Codes("42803"),
        "cannot insert a non-DEFAULT value|column .* can only be updated to DEFAULT": Codes("428C9"),
        "cannot drop .* depends on it": Codes("2BP01"),
        "cannot truncate a table referenced|cannot alter type of a column used by": Codes("0A000"),
        "(?:currval|lastval) .*is not yet defined in this session": Codes("55000"),
        "(?:START|RESTART) value|identity column type must be|.* is not an existing enum label": Codes("22023"),
        "field position must not be zero|too few arguments for format|cannot cast jsonb": Codes("22023"),
        "division by zero": Codes("22012"),
        "(?:smallint|integer|bigint|value) out of range|.* is out of range for type": Codes("22003"),
        "numeric field overflow|setval: value .* is out of bounds": Codes("22003"),
        "date/time field value out of range": Codes("22008"),
        "value too long for type": Codes("22001"),
        "invalid input syntax for type (?:date|time|interval)": Codes("22007"),
        "invalid input (?:syntax for type|value for enum)|malformed array literal": Codes("22P02"),
        "invalid regular expression": Codes("2201B"),
        "LIKE pattern must not end with escape character": Codes("22025"),
        "negative substring length not allowed": Codes("22011"),
        "null values cannot be formatted as an SQL identifier": Codes("22004"),
        "COPY .*: (?:missing data for column|extra data after)|unterminated CSV quoted field": Codes("22P04"),
        "more than one row returned by a subquery|ON CONFLICT DO UPDATE command cannot affect": Codes("21000"),
        "null value in .* violates": Codes("23502"),
        "FOREIGN KEY constraint failed": Codes("23503"),
        "string or blob too big|query string is too large|null character not permitted": Codes("54000"),
        "the statement is nested too deep": Codes("54001"),
        "out of memory": Codes("53200"),
    },
    results={
        apsw.SQLITE_CONSTRAINT_UNIQUE: Codes("23505"),
        apsw.SQLITE_CONSTRAINT_PRIMARYKEY: Codes("23505"),
        apsw.SQLITE_CONSTRAINT_ROWID: Codes("23505"),
        apsw.SQLITE_CONSTRAINT_NOTNULL: Codes("23502"),
        apsw.SQLITE_CONSTRAINT_FOREIGNKEY: Codes("23503"),
        apsw.SQLITE_CONSTRAINT_CHECK: Codes("23514"),
        apsw.SQLITE_CONSTRAINT: Codes("23000"),
        apsw.SQLITE_BUSY_SNAPSHOT: Codes("40001"),
        apsw.SQLITE_BUSY: Codes("55P03"),
        apsw.SQLITE_LOCKED: Codes("55P03"),
        apsw.SQLITE_READONLY: Codes("25006"),
        apsw.SQLITE_INTERRUPT: Codes("57014"),
        apsw.SQLITE_FULL: Codes("53100"),
        apsw.SQLITE_IOERR: Codes("58030"),
        apsw.SQLITE_CORRUPT: Codes("XX001"),
        apsw.SQLITE_AUTH: Codes("42501"),
        apsw.SQLITE_TOOBIG: Codes("54000"),
        apsw.SQLITE_NOMEM: Codes("53200"),
    },
    classes={
        errors.NotSupportedError: Codes("0A000"),
        errors.NotAuthorizedError: Codes("42501"),
        errors.LimitExceededError: Codes("57014"),
        errors.InstanceRestartedError: Codes("57P01"),
        errors.TooManyConnectionsError: Codes("53300"),
        errors.StoreFullError: Codes("53100"),
        errors.StoreReadOnlyError: Codes("25006"),
        errors.CorruptStoreError: Codes("XX001"),
        errors.ClusterNotFoundError: Codes("3D000"),
    },
)

_MYSQL = Table(
    texts={
        "no such table|Table '.*' doesn't exist": Codes("42S02", 1146),
        "Unknown table": Codes("42S02", 1051),
        "no such column|Unknown column": Codes("42S22", 1054),
        "no such function": Codes("42000", 1305),
        "(?:table|view) .* already exists|there is already|Table '.*' already exists": Codes("42S01", 1050),
        "Duplicate column name|duplicate column name": Codes("42S21", 1060),
        "Duplicate key name|index .* already exists": Codes("42000", 1061),
        "Multiple primary key defined|table .* has more than one primary key": Codes("42000", 1068),
        "table .* has .* values were supplied|.* values for .* columns|Column count": Codes("21S01", 1136),
        "The used SELECT statements have a different number of columns": Codes("21000", 1222),
        "Duplicate entry": Codes("23000", 1062),
        "Column '.*' cannot be null": Codes("23000", 1048),
        "Field '.*' doesn't have a default value": Codes("HY000", 1364),
        "Cannot add or update a child row": Codes("23000", 1452),
        "Cannot delete or update a parent row": Codes("23000", 1451),
        "FOREIGN KEY constraint failed": Codes("23000"),
        "You have an error in your SQL syntax": Codes("42000", 1064),
        "Data too long for column": Codes("22001", 1406),
        "Data truncated for column": Codes("01000", 1265),
        "Incorrect (?:date|datetime|time) value": Codes("22007", 1292),
        "Incorrect number|Incorrect .* value": Codes("HY000", 1366),
        "there can be only one auto column": Codes("42000", 1075),
        "You can't delete all columns": Codes("42000", 1090),
        "Can't DROP": Codes("42000", 1091),
        "Key '.*' doesn't exist in table": Codes("42000", 1176),
        "Cannot drop column '.*': needed in a foreign key constraint": Codes("HY000", 1828),
        "Cannot drop table '.*' referenced by a foreign key constraint": Codes("HY000", 3730),
        "Invalid default value": Codes("42000", 1067),
        "Variable '.*' can't be set to the value": Codes("42000", 1231),
        "Subquery returns more than 1 row": Codes("21000", 1242),
        "Failed to read auto-increment value": Codes("HY000", 1467),
        "ambiguous column name|Column '.*' in .* is ambiguous": Codes("23000", 1052),
        'near "|incomplete input|unrecognized token': Codes("42000", 1064),
        "Division by 0": Codes("22012", 1365),
        "(?:BIGINT )?value is out of range": Codes("22003", 1690),
        "Out of range value": Codes("22003", 1264),
        "out of memory": Codes("HY001", 1037),
    },
    results={
        apsw.SQLITE_CONSTRAINT_UNIQUE: Codes("23000", 1062),
        apsw.SQLITE_CONSTRAINT_PRIMARYKEY: Codes("23000", 1062),
        apsw.SQLITE_CONSTRAINT_ROWID: Codes("23000", 1062),
        apsw.SQLITE_CONSTRAINT_NOTNULL: Codes("23000", 1048),
        apsw.SQLITE_CONSTRAINT_FOREIGNKEY: Codes("23000"),
        apsw.SQLITE_CONSTRAINT_CHECK: Codes("HY000", 3819),
        apsw.SQLITE_CONSTRAINT: Codes("23000"),
        apsw.SQLITE_BUSY_SNAPSHOT: Codes("40001", 1213),
        apsw.SQLITE_BUSY: Codes("HY000", 1205),
        apsw.SQLITE_LOCKED: Codes("HY000", 1205),
        apsw.SQLITE_READONLY: Codes("HY000", 1290),
        apsw.SQLITE_INTERRUPT: Codes("70100", 1317),
        apsw.SQLITE_FULL: Codes("HY000", 1114),
        apsw.SQLITE_AUTH: Codes("42000", 1142),
        apsw.SQLITE_NOMEM: Codes("HY001", 1037),
    },
    classes={
        errors.NotSupportedError: Codes("42000", 1235),
        errors.NotAuthorizedError: Codes("42000", 1142),
        errors.LimitExceededError: Codes("HY000", 3024),
        errors.InstanceRestartedError: Codes("08S01", 1053),
        errors.TooManyConnectionsError: Codes("08004", 1040),
        errors.StoreFullError: Codes("HY000", 1114),
        errors.StoreReadOnlyError: Codes("HY000", 1290),
        errors.ClusterNotFoundError: Codes("42000", 1049),
    },
)

TABLES: Mapping[str, Table] = {"aurora-mysql": _MYSQL, "aurora-postgresql": _POSTGRESQL}
"""The tables by engine; SQLite has neither code."""


def with_codes(error: Exception, engine: str) -> Exception:
    """The same error, with ``sqlstate`` and ``errno`` set if the engine has codes for it."""
    if engine in TABLES and isinstance(error, errors.Error) and error.sqlstate is None:
        codes = TABLES[engine].codes(error)
        if codes is not None:
            error.sqlstate, error.errno = codes.sqlstate, codes.errno
    return error
