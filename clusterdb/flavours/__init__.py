"""Flavours: the SQL of other engines, translated to SQLite's statement by statement.

A statement is parsed with sqlglot in the grammar of the engine, and rules rewrite its tree for SQLite.  Functions that
SQLite lacks, or that mean something else there, are rows of the engine's registry.  The rules depend on the types of
the operands, by the schema of the connection; where a type is unknown, such as that of a parameter, the value decides
at run time, or the statement is refused.  Every function and every kind of statement must be supported: others raise
NotSupportedError, which quotes the statement, so no statement silently means something else.  Statements that the
grammar of the engine does not have (PRAGMA, ATTACH, ...) are passed to SQLite unchanged.

SUPPORT.md lists the supported features; it is generated from the test cases.  Only connections to clusters of another
engine import this package, and sqlglot is imported with the first statement.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from clusterdb.errors import NotSupportedError
from clusterdb.flavours.session import EngineSession

if TYPE_CHECKING:
    import apsw

    from clusterdb.flavours.flavour import Flavour, Translation

__all__ = ["EngineSession", "Flavour", "Translation", "flavour_of", "session_of"]


@lru_cache(maxsize=8)
def flavour_of(engine: str) -> Flavour:
    """The flavour of an engine.  Raises NotSupportedError."""
    if engine == "aurora-mysql":
        from clusterdb.flavours.mysql.flavour import MySQLFlavour

        return MySQLFlavour()
    if engine == "aurora-postgresql":
        from clusterdb.flavours.postgresql.flavour import PostgreSQLFlavour

        return PostgreSQLFlavour()
    raise NotSupportedError(f"the SQL of engine '{engine}' is not supported")


def session_of(engine: str, db: apsw.Connection) -> EngineSession:
    """A session of a connection to a cluster of an engine, which gets the engine's functions.

    Raises NotSupportedError.
    """
    flavour = flavour_of(engine)
    if engine == "aurora-mysql":
        from clusterdb.flavours.mysql.session import MySQLSession

        return MySQLSession(flavour, db)
    from clusterdb.flavours.postgresql.session import PostgreSQLSession

    return PostgreSQLSession(flavour, db)
