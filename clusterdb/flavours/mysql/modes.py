"""MySQL's SQL modes: which of them there are, and what becomes of each here.

A mode is obeyed, or does nothing here because what it is about does not exist, or is refused.
"""

from __future__ import annotations

from clusterdb.errors import NotSupportedError, OperationalError

__all__ = [
    "DEFAULT",
    "LAX",
    "OF_GRAMMAR",
    "REFUSED",
    "ZERO_DATE",
    "ZERO_DIVISION",
    "ZERO_IN_DATE",
    "Modes",
    "modes_of",
    "of_translation",
    "text_of",
]

Modes = frozenset[str]

DEFAULT: Modes = frozenset(
    {
        "ONLY_FULL_GROUP_BY",
        "STRICT_TRANS_TABLES",
        "NO_ZERO_IN_DATE",
        "NO_ZERO_DATE",
        "ERROR_FOR_DIVISION_BY_ZERO",
        "NO_ENGINE_SUBSTITUTION",
    }
)
"""What MySQL 8 begins with."""

OF_GRAMMAR: Modes = frozenset({"ANSI_QUOTES", "PIPES_AS_CONCAT", "NO_BACKSLASH_ESCAPES", "REAL_AS_FLOAT"})
"""Modes by which a text is another statement."""


_ORDER = (
    *("REAL_AS_FLOAT", "PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE", "ONLY_FULL_GROUP_BY"),
    *("NO_DIR_IN_CREATE", "ANSI", "NO_AUTO_VALUE_ON_ZERO", "NO_BACKSLASH_ESCAPES", "STRICT_TRANS_TABLES"),
    *("STRICT_ALL_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE", "ERROR_FOR_DIVISION_BY_ZERO", "TRADITIONAL"),
    *("NO_AUTO_CREATE_USER", "NO_ENGINE_SUBSTITUTION"),
)
"""The modes that are known, as the variable shows them."""
REFUSED = frozenset(
    {"ALLOW_INVALID_DATES", "HIGH_NOT_PRECEDENCE", "NO_UNSIGNED_SUBTRACTION", "PAD_CHAR_TO_FULL_LENGTH"}
) | {"TIME_TRUNCATE_FRACTIONAL"}
_STRICT = ("STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE", "ERROR_FOR_DIVISION_BY_ZERO")
_TOGETHER: dict[str, tuple[str, ...]] = {
    "ANSI": ("REAL_AS_FLOAT", "PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE", "ONLY_FULL_GROUP_BY"),
    "TRADITIONAL": (*_STRICT, "NO_ENGINE_SUBSTITUTION"),
}


def _names(value: str) -> list[str]:
    return [part.strip().upper() for part in value.split(",")]


def modes_of(value: str) -> Modes:
    """The modes that a value of the variable switches on.  Raises OperationalError, NotSupportedError."""
    modes: set[str] = set()
    for name in _names(value if value != "0" else ""):
        if name in REFUSED:
            raise NotSupportedError(f"the SQL mode {name} is not supported by aurora-mysql clusters")
        if name and name not in _ORDER:
            raise OperationalError(f"Variable 'sql_mode' can't be set to the value of '{name}'")
        modes |= {name, *_TOGETHER.get(name, ())} - {""}
    return frozenset(modes)


ZERO_DATE = "(ZERO_DATE)"
ZERO_IN_DATE = "(ZERO_IN_DATE)"
ZERO_DIVISION = "(ZERO_DIVISION)"
LAX = "(LAX)"


def of_translation(modes: Modes) -> Modes:
    """What translations depend on: modes of the grammar, whether dates may be zero, or have zeros in them, whether what
    is stored may be divided by zero, and whether no mode is strict."""
    strict = modes & {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"}
    allowed = {ZERO_DATE: "NO_ZERO_DATE", ZERO_IN_DATE: "NO_ZERO_IN_DATE", ZERO_DIVISION: "ERROR_FOR_DIVISION_BY_ZERO"}
    lax = set() if strict else {LAX}
    return modes & OF_GRAMMAR | lax | {name for name, mode in allowed.items() if not (strict and mode in modes)}


def text_of(modes: Modes) -> str:
    """The variable's value."""
    return ",".join(name for name in _ORDER if name in modes)
