"""Flavours: clusters that speak the SQL of another engine, translated for SQLite statement by statement.

A statement is parsed with sqlglot in the engine's own grammar and written again for SQLite by rules of ours;
functions that SQLite lacks, or means differently, are in a pack of Python functions.  The rules go by the types of the
operands, as the schema of the connection has them; what depends on a type that is not known, as that of a parameter, is
decided by its value or refused.  Every function and every kind
of statement must be known: what is not, raises NotSupportedError, which quotes the statement.  So nothing changes its
meaning without a word.  What the engine's grammar does not know at all (PRAGMA, ATTACH, ...) goes to SQLite as it is.

SUPPORT.md lists what is there, as the tests prove it.  This package is imported by connections to such clusters only;
of its modules sqlglot is imported when there is something to translate.
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
    raise NotSupportedError(f"there is no flavour of SQL for engine '{engine}'")


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
