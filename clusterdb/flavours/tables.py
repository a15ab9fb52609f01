"""What the definitions of tables have in common: names, and checks that SQLite's affinities do not make."""

from __future__ import annotations

__all__ = ["decimal_check", "moment_check", "quoted", "text"]


def moment_check(name: str) -> str:
    """A date and a time as SQLite writes them, perhaps with a fraction of a second: then texts compare as times do."""
    whole = f"substr({name}, 1, 19)"
    fraction = f"(length({name}) = 19 OR ({name} GLOB '*.[0-9]*' AND length({name}) BETWEEN 21 AND 26))"
    return f"(typeof({name}) = 'text' AND {whole} IS datetime({whole}) AND {fraction})"


def decimal_check(name: str, sizes: list[int]) -> str:
    """A number with so many digits: what would have to be rounded is refused."""
    digits, scale = sizes[0], sizes[1] if len(sizes) > 1 else 0
    return (
        f"(typeof({name}) IN ('integer', 'real') AND abs({name} - round({name}, {scale})) < 1e-9 * max(1, abs({name})) "
        f"AND abs({name}) < 1e{digits - scale})"
    )


def quoted(name: str) -> str:
    """An identifier of SQLite's."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text of SQLite's."""
    return "'" + value.replace("'", "''") + "'"
