"""A session with MySQL's SQL: its variables, its SQL mode, its numbers of rows.

A variable has its effect, or is kept without an effect because its subject does not exist here, or is refused; see
:mod:`clusterdb.flavours.mysql.variables`.  Source: "Server System Variables" in MySQL's Reference Manual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import apsw

from clusterdb.errors import NotSupportedError, OperationalError
from clusterdb.flavours.functions import SqlValue
from clusterdb.flavours.functions import text_of as written
from clusterdb.flavours.mysql.columns import shown_default, shown_type
from clusterdb.flavours.mysql.inserts import Inserts
from clusterdb.flavours.mysql.modes import modes_of, of_translation, text_of
from clusterdb.flavours.mysql.variables import BOOLEANS, CHOICES, CONSTANT, DEFAULTS, NO_EFFECT, UTC
from clusterdb.flavours.rebuild import foreign_keys, set_foreign_keys
from clusterdb.flavours.registry import guarded
from clusterdb.flavours.schema import members_of
from clusterdb.flavours.session import EngineSession

if TYPE_CHECKING:
    from clusterdb.flavours.flavour import Flavour

__all__ = ["MySQLSession"]


class MySQLSession(EngineSession):
    """The session of a connection: ``user`` variables, and those of the ``system`` that it has set."""

    def __init__(self, flavour: Flavour, db: apsw.Connection) -> None:
        self.user: dict[str, SqlValue] = {}
        self.system: dict[str, SqlValue] = {}
        self._inserts = Inserts(db)
        self._setters: dict[str, Callable[[SqlValue], SqlValue]] = {
            "sql_mode": self._set_mode,
            "foreign_key_checks": self._set_foreign_keys,
            "autocommit": self._set_autocommit,
            "time_zone": self._set_time_zone,
        }
        super().__init__(flavour, db)
        self._inserts.watch(db)

    def install(self, db: apsw.Connection) -> None:
        """The functions of the flavour and of the session."""
        super().install(db)
        self._inserts.install(db)

        def remember(name: str, value: SqlValue) -> SqlValue:
            self.user[name] = value
            return value

        db.create_scalar_function("my_get", self.user.get, 1, flags=apsw.SQLITE_INNOCUOUS)  # type: ignore[arg-type]
        db.create_scalar_function("my_set", remember, 2, flags=apsw.SQLITE_INNOCUOUS)  # type: ignore[arg-type]
        db.create_scalar_function("my_variable", guarded(self.variable), 1, flags=apsw.SQLITE_INNOCUOUS)
        db.create_scalar_function("my_shown_variable", guarded(self.shown), 1, flags=apsw.SQLITE_INNOCUOUS)
        db.create_scalar_function("my_assign", guarded(self.assign), flags=apsw.SQLITE_INNOCUOUS)
        db.create_scalar_function("my_shown_type", _shown_type, 3, flags=apsw.SQLITE_INNOCUOUS)  # type: ignore[arg-type]
        db.create_scalar_function("my_shown_default", shown_default, 1, flags=apsw.SQLITE_INNOCUOUS)  # type: ignore[arg-type]
        db.create_scalar_function("my_data_type", _data_type, 1, flags=apsw.SQLITE_INNOCUOUS)  # type: ignore[arg-type]

    # --- reading ----------------------------------------------------------------------------------------------------
    def variable(self, name: str) -> SqlValue:
        """The value of a system variable, named in lower case."""
        if name == "foreign_key_checks":
            return int(foreign_keys(self.db))
        if name == "autocommit":
            return int(self.autocommit)
        return self.system.get(name, DEFAULTS[name])

    def shown(self, name: str) -> str:
        """The same as SHOW VARIABLES has it."""
        value = self.variable(name)
        if name in BOOLEANS:
            return "ON" if value else "OFF"
        return "" if value is None else str(value)

    # --- setting ----------------------------------------------------------------------------------------------------
    def assign(self, name: str, *values: SqlValue) -> int:
        """SET a system variable, named in lower case; without a value to its default.  Raises DatabaseError."""
        value = values[0] if values else DEFAULTS[name]
        if name in BOOLEANS:
            value = _switch(name, value)
        elif value is None and name != "character_set_results":
            raise OperationalError(f"Variable '{name}' can't be set to the value of 'NULL'")
        self.require(name, value)
        setter = self._setters.get(name)
        self.system[name] = value if setter is None else setter(value)
        return 1

    def require(self, name: str, value: SqlValue) -> None:
        """Raises NotSupportedError, OperationalError if a variable cannot have a value."""
        if name in CONSTANT and value != DEFAULTS[name]:
            raise NotSupportedError(f"setting {name} to {value!r} is not supported by aurora-mysql clusters")
        if name in CHOICES and str(value).upper() not in CHOICES[name]:
            raise OperationalError(f"Variable '{name}' can't be set to the value of '{written(value)}'")
        assert name in self._setters or name in NO_EFFECT or name in CONSTANT or name in CHOICES

    def _set_mode(self, value: SqlValue) -> str:
        modes = modes_of(str(value))
        self._inserts.keeps_zero = "NO_AUTO_VALUE_ON_ZERO" in modes
        self.flavour = self.flavour.in_modes(of_translation(modes))  # type: ignore[attr-defined]
        return text_of(modes)

    def _set_foreign_keys(self, value: SqlValue) -> SqlValue:
        set_foreign_keys(self.db, bool(value))
        return value

    def _set_autocommit(self, value: SqlValue) -> SqlValue:
        self.autocommit = bool(value)
        return value

    def _set_time_zone(self, value: SqlValue) -> str:
        if str(value).upper() not in UTC:
            raise NotSupportedError(
                f"the time zone '{written(value)}' is not supported by aurora-mysql clusters: use UTC"
            )
        return str(value)


def _shown_type(declared: str, sql: str | None, column: str) -> str:
    """The type of a column as SHOW COLUMNS has it, by its declaration and the definition of its table."""
    return shown_type(declared, members_of(sql or "", column))


def _data_type(declared: str) -> str:
    """The type without sizes and other words."""
    return shown_type(declared).partition("(")[0].partition(" ")[0]


def _switch(name: str, value: SqlValue) -> int:
    """A variable that is on or off.  Raises OperationalError."""
    switch = {"ON": 1, "TRUE": 1, "1": 1, "OFF": 0, "FALSE": 0, "0": 0}.get(str(value).upper())
    if switch is None:
        raise OperationalError(f"Variable '{name}' can't be set to the value of '{written(value)}'")
    return switch
