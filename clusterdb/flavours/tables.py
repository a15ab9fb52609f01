"""Names, literals and CHECK conditions that the engines' table definitions share.

SQLite converts values by a column's affinity but does not enforce its type: each condition here enforces one for the
values of a column that are not NULL.  The conditions are stored in definitions and compared as text, so a change of one
changes a file format.  ``name`` is the column's name, quoted.
"""

from __future__ import annotations

__all__ = [
    "bytes_check",
    "decimal_check",
    "fraction_check",
    "integer_check",
    "length_check",
    "moment_check",
    "number_check",
    "quoted",
    "text",
]


def integer_check(name: str, bits: int = 63, *, is_unsigned: bool = False) -> str:
    """An integer of ``bits`` bits and, unless it ``is_unsigned``, a sign; with 63 bits SQLite's own bounds hold."""
    condition = f"typeof({name}) = 'integer'"
    if bits >= 63:
        return condition + (f" AND {name} >= 0" if is_unsigned else "")
    low, high = (0, 2 ** (bits + 1) - 1) if is_unsigned else (-(2**bits), 2**bits - 1)
    return f"{condition} AND {name} BETWEEN {low} AND {high}"


def number_check(name: str) -> str:
    """A number."""
    return f"typeof({name}) IN ('integer', 'real')"


def decimal_check(name: str, sizes: list[int]) -> str:
    """A number of at most ``sizes[0]`` digits, ``sizes[1]`` of them after the point: others would need rounding."""
    digits, scale = sizes[0], sizes[1] if len(sizes) > 1 else 0
    return (
        f"({number_check(name)} AND abs({name} - round({name}, {scale})) < 1e-9 * max(1, abs({name})) "
        f"AND abs({name}) < 1e{digits - scale})"
    )


def length_check(name: str, length: int) -> str:
    """A text of at most ``length`` characters."""
    return f"length({name}) <= {length}"


def bytes_check(name: str, length: int) -> str:
    """A text of at most ``length`` bytes."""
    return f"length(CAST({name} AS BLOB)) <= {length}"


def moment_check(name: str) -> str:
    """A timestamp as SQLite writes it, possibly with fractional seconds: such texts sort in the order of time."""
    whole = f"substr({name}, 1, 19)"
    return f"(typeof({name}) = 'text' AND {whole} IS datetime({whole}) AND {fraction_check(name)})"


def fraction_check(name: str) -> str:
    """A timestamp without fractional seconds, or with one to six digits of them."""
    return f"(length({name}) = 19 OR ({name} GLOB '*.[0-9]*' AND length({name}) BETWEEN 21 AND 26))"


def quoted(name: str) -> str:
    """An identifier in SQLite's SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string literal in SQLite's SQL."""
    return "'" + value.replace("'", "''") + "'"
