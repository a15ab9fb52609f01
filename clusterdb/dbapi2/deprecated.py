"""The deprecation warnings of CPython's ``sqlite3``, in its words, so that filters of warnings match them.

Source: "What's New" of Python 3.12 (default adapters and converters, named placeholders with a sequence, ``version``)
and 3.13 (arguments that become positional or keyword only), and the texts of ``sqlite3`` there.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

__all__ = [
    "NAMED_REFUSES_SEQUENCES",
    "becoming_keyword_only",
    "becoming_positional",
    "default_is_used",
    "named_is_given_sequence",
    "positional_is_used",
    "removed_in_3_14",
]

P = ParamSpec("P")
R = TypeVar("R")
NAMED_REFUSES_SEQUENCES = sys.version_info >= (3, 12)
"""Whether a sequence of values for named placeholders is warned of, or refused."""
_PACKAGE = str(Path(__file__).parent)

if sys.version_info >= (3, 12):

    def _warn(text: str) -> None:
        """Warn the first caller outside of this package."""
        warnings.warn(text, DeprecationWarning, skip_file_prefixes=(_PACKAGE,))

else:

    def _warn(text: str) -> None:
        """Nothing is deprecated in this Python."""


def default_is_used(kind: str) -> None:
    """Warn that a default adapter or converter is used."""
    _warn(
        f"The default {kind} is deprecated as of Python 3.12; "
        "see the sqlite3 documentation for suggested replacement recipes"
    )


def named_is_given_sequence(place: int, placeholder: str) -> str | None:
    """Warn of a sequence for a named placeholder, its ``place`` counted from 1, or return the text of an error."""
    text = (
        f"Binding {place} ('{placeholder}') is a named parameter, but you supplied a sequence which requires nameless "
        "(qmark) placeholders."
    )
    if sys.version_info >= (3, 14):
        return text
    _warn(f"{text} Starting with Python 3.14 an sqlite3.ProgrammingError will be raised.")
    return None


def removed_in_3_14(name: str) -> None:
    """Warn that a name of the module will be removed."""
    _warn(f"{name} is deprecated and will be removed in Python 3.14")


def positional_is_used(function: str) -> None:
    """Warn that more than the database was passed by position."""
    if sys.version_info >= (3, 13):
        _warn(
            f"Passing more than 1 positional argument to {function}() is deprecated. Parameters 'timeout', "
            "'detect_types', 'isolation_level', 'check_same_thread', 'factory', 'cached_statements' and 'uri' will "
            "become keyword-only parameters in Python 3.15."
        )


def becoming_keyword_only(init: Callable[P, R]) -> Callable[P, R]:
    """Decorate ``Connection.__init__``, of which all but the database will be keyword-only."""
    if sys.version_info < (3, 13):
        return init

    @wraps(init)
    def called(*arguments: P.args, **options: P.kwargs) -> R:
        if len(arguments) > 2:
            positional_is_used("_sqlite3.Connection")
        return init(*arguments, **options)

    return called


def becoming_positional(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a method of Connection whose arguments of these names will be positional-only."""

    def decorated(method: Callable[P, R]) -> Callable[P, R]:
        if sys.version_info < (3, 13):
            return method
        plural = "s" if len(names) > 1 else ""
        quoted = " and ".join(filter(None, (", ".join(map(repr, names[:-1])), repr(names[-1]))))
        text = (
            f"Passing keyword argument{plural} {quoted} to _sqlite3.Connection.{method.__name__}() is deprecated. "
            f"Parameter{plural} {quoted} will become positional-only in Python 3.15."
        )

        @wraps(method)
        def called(*arguments: P.args, **options: P.kwargs) -> R:
            if not options.keys().isdisjoint(names):
                _warn(text)
            return method(*arguments, **options)

        return called

    return decorated
