"""The SQL functions of an engine: one row each, from which everything else about a function is derived.

A :class:`Function` says how a function is called, what its result is, and what computes it: a function in Python,
SQLite's function of the same name, or a rewrite of the call.  :class:`Functions` derives from the rows what is
registered with SQLite, what the rules know by name, the kinds of results, and the errors for wrong numbers of
arguments.  *Helpers* are functions in Python that only our rules call, so they have no row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import apsw
from sqlglot import exp

from clusterdb.errors import DataError, IntegrityError, OperationalError, ProgrammingError
from clusterdb.flavours.context import Context
from clusterdb.flavours.functions import Aggregate, Implementation, SqlValue
from clusterdb.flavours.types import UNKNOWN, Kind, KindRule

__all__ = ["Arguments", "Call", "Function", "Functions", "Rewrite", "guarded"]


@dataclass(frozen=True)
class Arguments:
    """What a function takes, written as a letter for each argument, whose meaning the engine defines.

    Arguments behind a ``/`` are optional; a ``+`` at the end lets the last argument be repeated: ``"tt/i"`` is two
    arguments of the letter t and perhaps one of the letter i, ``"t*+"`` one of t and one or more of ``*``.
    """

    signature: str

    @cached_property
    def letters(self) -> str:
        """The letter of each argument."""
        return self.signature.replace("/", "").removesuffix("+")

    @cached_property
    def least(self) -> int:
        """The smallest number of arguments."""
        return len(self.signature.partition("/")[0].removesuffix("+"))

    @cached_property
    def most(self) -> int | None:
        """The largest number of arguments; None if there is no limit."""
        return None if self.signature.endswith("+") else len(self.letters)

    def accept(self, count: int) -> bool:
        """Whether a function can be called with this number of arguments."""
        return self.least <= count and (self.most is None or count <= self.most)

    def letter(self, place: int) -> str:
        """The letter of the argument at a place, counted from 0."""
        return self.letters[min(place, len(self.letters) - 1)]


@dataclass(frozen=True)
class Call:
    """A call of a function: the name that it was called by, its arguments as its row wants them, and its node."""

    name: str
    arguments: list[exp.Expression]
    node: exp.Expression


Rewrite = Callable[[Call, Context], exp.Expression]
"""What a call becomes.  Raises Unsupported or Refused."""
Length = Callable[..., int]
"""How many characters the result of a call has."""


@dataclass(frozen=True)
class Function:
    """A function of an engine's SQL, under one or several ``names`` separated by spaces.

    ``arguments``: see :class:`Arguments`.  ``result``: the kind of its result, or a rule that tells it by the kinds of
    the arguments.  ``python``: computes it.  ``aggregate``: makes what collects the values of a group.  ``rewrite``:
    what a call becomes, where it is more than a call.  ``in_session``: the session of each connection registers it.
    A function with none of these is SQLite's own.

    ``takes_null``: it is called with NULL too; others answer NULL then.  ``is_volatile``: two calls with the same
    arguments may differ.  ``length``: how long its result becomes, where that may be much more than its arguments.
    """

    names: str
    arguments: str = ""
    result: Kind | KindRule = UNKNOWN
    python: Implementation | None = None
    aggregate: Aggregate | None = None
    rewrite: Rewrite | None = None
    in_session: bool = False
    takes_null: bool = False
    is_volatile: bool = False
    length: Length | None = None

    @cached_property
    def takes(self) -> Arguments:
        """What it takes."""
        return Arguments(self.arguments)

    @cached_property
    def is_native(self) -> bool:
        """Whether a call of it is a call of SQLite's function."""
        return self.python is None and self.aggregate is None and self.rewrite is None and not self.in_session


@dataclass(frozen=True)
class Functions:
    """The functions of an engine.

    ``helpers`` answer NULL if an argument is NULL; ``null_helpers`` are called with NULL too.  ``session_helpers`` are
    the names of those that a rule may call and that the session of each connection registers.
    """

    rows: tuple[Function, ...]
    helpers: Mapping[str, Implementation] = field(default_factory=dict)
    null_helpers: Mapping[str, Implementation] = field(default_factory=dict)
    helper_aggregates: Mapping[str, Aggregate] = field(default_factory=dict)
    session_helpers: frozenset[str] = frozenset()

    @cached_property
    def by_name(self) -> dict[str, Function]:
        """The rows by each of their names."""
        return {name: row for row in self.rows for name in row.names.split()}

    @cached_property
    def callable_names(self) -> frozenset[str]:
        """What our rules can call with the engine's prefix before the name."""
        registered = {name for name, row in self.by_name.items() if row.python or row.aggregate or row.in_session}
        return frozenset(
            registered | {*self.helpers, *self.null_helpers, *self.helper_aggregates} | self.session_helpers
        )

    @cached_property
    def kinds(self) -> dict[str, Kind | KindRule]:
        """The kinds of results by the names of functions."""
        return {name: row.result for name, row in self.by_name.items()}

    @cached_property
    def implementations(self) -> dict[str, Implementation]:
        """What computes a function or a helper, by its name; not to be called with NULL, unless it takes NULL."""
        rows = {name: row.python for name, row in self.by_name.items() if row.python is not None}
        return {**rows, **self.helpers, **self.null_helpers}

    def install(self, db: apsw.Connection, prefix: str) -> None:
        """Register every function with a connection, each name behind the prefix."""
        longest = db.limit(apsw.SQLITE_LIMIT_LENGTH, -1)
        rows = [Function(name, python=python) for name, python in self.helpers.items()]
        rows += [Function(name, python=python, takes_null=True) for name, python in self.null_helpers.items()]
        rows += [Function(name, aggregate=aggregate) for name, aggregate in self.helper_aggregates.items()]
        for row in (*rows, *self.rows):
            for name in row.names.split():
                if row.python is not None:
                    db.create_scalar_function(
                        prefix + name,
                        _registered(row, longest),
                        deterministic=not row.is_volatile,
                        flags=apsw.SQLITE_INNOCUOUS,
                    )
                elif row.aggregate is not None:
                    db.create_aggregate_function(prefix + name, _stepper(row.aggregate), flags=apsw.SQLITE_INNOCUOUS)


def _registered(row: Function, longest: int) -> Implementation:
    """What SQLite calls: NULL, and results that are too long for SQLite, are handled before the function is called."""
    python, length_of = row.python, row.length
    assert python is not None
    bounded = python if length_of is None else _bounded(python, length_of, longest)
    return guarded(bounded, takes_null=row.takes_null)


def _bounded(function: Implementation, length_of: Length, longest: int) -> Implementation:
    """A function that builds no text that is too long for SQLite: the memory is not even allocated."""

    def called(*arguments: SqlValue) -> SqlValue:
        try:
            length = length_of(*arguments)
        except (TypeError, ValueError, OverflowError):  # the function itself refuses them
            length = 0
        if length > longest:
            raise DataError("string or blob too big")
        return function(*arguments)

    return called


def guarded(function: Implementation, *, takes_null: bool = True) -> Implementation:
    """A function whose exceptions reach the caller as exceptions of PEP 249: DataError, unless they are such.

    Without ``takes_null`` it is not called with NULL: the result is NULL then.
    """

    def called(*arguments: SqlValue) -> SqlValue:
        if not takes_null and None in arguments:
            return None
        try:
            return function(*arguments)
        except (IntegrityError, OperationalError, ProgrammingError, apsw.Error):
            raise
        except MemoryError:
            raise OperationalError("out of memory") from None
        except Exception as error:
            raise DataError(str(error)) from None

    return called


_Steps = tuple[object, Callable[..., None], Callable[..., SqlValue]]


def _stepper(aggregate: Aggregate) -> Callable[[], _Steps]:
    """An aggregate as apsw wants it."""

    def begin() -> _Steps:
        return aggregate(), lambda group, *values: group.step(*values), lambda group: group.final()

    return begin
