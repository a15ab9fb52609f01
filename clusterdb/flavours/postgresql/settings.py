"""SET and what stands before a statement: settings are obeyed, or make no difference here, or are refused.

Source: "Client Connection Defaults" and SET CONSTRAINTS in the documentation of PostgreSQL 15.
"""

from __future__ import annotations

import re

import apsw

from clusterdb.errors import IntegrityError, ProgrammingError
from clusterdb.flavours.flavour import IDLE, Translation
from clusterdb.flavours.postgresql.clauses import Table, unquoted
from clusterdb.flavours.postgresql.variables import SETTINGS, require_supported
from clusterdb.flavours.rebuild import definition_of
from clusterdb.flavours.session import EngineSession

__all__ = ["OWNER", "bare", "set_constraints", "set_variable", "spaced"]

_SET = re.compile(
    r"SET\s+(?:SESSION\s+|LOCAL\s+)?(?:(?P<zone>TIME\s+ZONE|NAMES)\s+|(?P<name>\w+)\s*(?:=|\bTO\b)\s*)(?P<value>.*)",
    re.IGNORECASE | re.DOTALL,
)
_NAME = r'(?:"(?:[^"]|"")++"|\w++)'
OWNER = re.compile(
    rf"ALTER\s+(?:TABLE|VIEW|SEQUENCE|SCHEMA|TYPE)\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?{_NAME}(?:\.{_NAME})?\s+"
    rf"OWNER\s+TO\s+{_NAME}",
    re.IGNORECASE,
)
"""A statement that does nothing where nothing has an owner."""
_RESET = re.compile(r"RESET\s+(?P<name>\w+)", re.IGNORECASE)
_TRANSACTION = re.compile(
    r"SET\s+(?:SESSION\s+|LOCAL\s+)?(?:CHARACTERISTICS\s+AS\s+)?TRANSACTION\s.*",
    re.IGNORECASE | re.DOTALL,
)


def set_variable(sql: str) -> Translation | None:
    """SET and RESET; None for another statement.  Raises Unsupported for what would have to be obeyed."""
    if _TRANSACTION.fullmatch(sql):
        return Translation(IDLE)
    match = _SET.fullmatch(sql)
    if match is not None:
        require_supported("".join((match["zone"] or match["name"]).split()), match["value"])
        return Translation(IDLE)
    match = _RESET.fullmatch(sql)
    return Translation(IDLE) if match is not None and match["name"].lower() in ("all", *SETTINGS) else None


# --- constraints ------------------------------------------------------------------------------------------------------
_CONSTRAINTS = re.compile(
    r"SET\s++CONSTRAINTS\s++(?P<names>\S.*)\s(?P<when>IMMEDIATE|DEFERRED)", re.IGNORECASE | re.DOTALL
)


def set_constraints(sql: str) -> Translation | None:
    """SET CONSTRAINTS; None for another statement.

    IMMEDIATE checks what is deferred so far; later violations are found at COMMIT.  DEFERRED defers every foreign key
    of the transaction.
    """
    match = _CONSTRAINTS.fullmatch(sql)
    if match is None:
        return None
    names = [unquoted(token) for token in re.findall(r'"(?:[^"]|"")+"|\w+', match["names"])]
    wanted = {name.lower() for name in names if name.lower() not in ("all", "public")}
    is_immediate = match["when"].upper() == "IMMEDIATE"

    def run(session: EngineSession) -> None:
        db = session.db
        missing = wanted - _constraints(db) if wanted else set()
        if missing:
            raise ProgrammingError(f'constraint "{min(missing)}" does not exist')
        if is_immediate:
            _check(db)
        elif db.in_transaction:
            db.execute("PRAGMA defer_foreign_keys = ON")

    return Translation(IDLE, (run,))


def _constraints(db: apsw.Connection) -> set[str]:
    """The names of all foreign keys, in lower case."""
    tables = [str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()]
    keys = [
        name.lower()
        for table in tables
        if db.execute("SELECT count(*) FROM pragma_foreign_key_list(?)", (table,)).get
        for name, clause, _ in Table.of(definition_of(db, table)).named()
        if clause.kind in ("REFERENCES", "FOREIGN KEY")
    ]
    return set(keys)


def _check(db: apsw.Connection) -> None:
    """Raises IntegrityError if a foreign key leads nowhere."""
    for child, _, parent, _ in db.execute("PRAGMA foreign_key_check"):
        raise IntegrityError(f"FOREIGN KEY constraint failed: rows of '{child}' refer to no row of '{parent}'")


# --- texts ------------------------------------------------------------------------------------------------------------
_PARAMETER = re.compile(
    r"""[eE]'(?:[^'\\]|''|\\.)*+' | '(?:[^']|'')*+' | "(?:[^"]|"")*+" | --[^\n]*+ | /\*.*?\*/ |
    \$(?!\d)(?P<tag>\w*+)\$.*?\$(?P=tag)\$ | (?P<parameter>\$\d++)""",
    re.VERBOSE | re.DOTALL,
)
_BLANK = re.compile(r"\s+|--[^\n]*")
_EDGE = re.compile(r"/\*|\*/")


def spaced(sql: str) -> str:
    """A statement with a blank after each parameter: the grammar would take ``$1,$`` for a quote."""
    if "$" not in sql:
        return sql
    return _PARAMETER.sub(lambda match: f"{match[0]} " if match["parameter"] else match[0], sql)


def bare(sql: str) -> str:
    """A statement without the blanks and the comments before it; comments may stand in one another."""
    at = 0
    while at < len(sql):
        blank = _BLANK.match(sql, at)
        if blank is not None:
            at = blank.end()
        elif sql.startswith("/*", at):
            at = _end_of_comment(sql, at)
        else:
            break
    return sql[at:]


def _end_of_comment(sql: str, at: int) -> int:
    depth = 0
    for edge in _EDGE.finditer(sql, at):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(sql)
