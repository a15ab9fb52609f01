"""Tables of text that fit a width.

Numbers, dates, times, NULL and blobs are never cut, nor are headers.  Columns of other text share the width that is
left, the narrow ones first; a text that does not fit ends in a mark.  If what must not be cut is wider than the width,
the table is wider too: text columns are then as wide as they are, up to ``WIDE_TEXT``.

Widths are those on a terminal: 2 for a wide character, 0 for a combining one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

__all__ = [
    "ASCII",
    "BOX",
    "PLAIN",
    "Cell",
    "Grid",
    "Kind",
    "Style",
    "fitted",
    "grid",
    "is_whole",
    "markdown",
    "width_of",
]

TEXT_LEAST = 8
"""The width below which no text is cut, in characters of a terminal."""
WIDE_TEXT = 40
"""The largest width of a text column in a table that is wider than the screen."""

Kind: TypeAlias = Literal["text", "number", "null", "blob"]
Paint: TypeAlias = "Callable[[str, Kind | Literal['header']], str]"


class Cell(NamedTuple):
    """A value as text, and what it is."""

    text: str
    kind: Kind = "text"


class Bar(NamedTuple):
    """A line between rows: its left end, what it consists of, a crossing with the edge of a column, its right end."""

    left: str
    line: str
    crossing: str
    right: str


class Style(NamedTuple):
    """How a table is drawn: what stands before, between and after cells, the mark of a cut, and the bars.

    ``row`` is drawn above rows, of which the first gets ``first_row``, if any cell has several lines.  A column is at
    least ``header_padding`` wider than its header if there is room.
    """

    left: str
    between: str
    right: str
    mark: str
    top: Bar | None = None
    under_header: Bar | None = None
    first_row: Bar | None = None
    row: Bar | None = None
    bottom: Bar | None = None
    is_header_centred: bool = False
    header_padding: int = 0


def _bar(chars: str) -> Bar:
    left, line, crossing, right = list(chars)
    return Bar(left + line, line, line + crossing + line, line + right)


BOX = Style("│ ", " │ ", " │", "…", _bar("╭─┬╮"), None, _bar("╞═╪╡"), _bar("├─┼┤"), _bar("╰─┴╯"), True)
ASCII = Style("| ", " | ", " |", "...", _bar("+-++"), None, _bar("+=++"), _bar("+-++"), _bar("+-++"), True)
PLAIN = Style("", "  ", "", "…", under_header=Bar("", "-", "  ", ""), header_padding=2)


class Grid(NamedTuple):
    """A drawn table, and the width of its widest line."""

    lines: list[str]
    width: int


_WHOLE = r"""
    [+-]? (?: \d[\d,._']* | \.\d+ ) (?: [eE][+-]?\d+ )? (?: \ ?[%A-Za-zµ]{1,5} )?        # a number, with a unit
    | (?: [+-]?\d{1,4} [-/.] \d{1,2} [-/.] \d{1,4} )?                                    # a date
      (?: [ T]? \d{1,2} : \d\d (?: : \d\d (?: [.,]\d+ )? )? )?                           # a time
      (?: \ ? (?: Z | UTC | [+-]\d\d (?: :?\d\d )? ) )?                                  # a time zone
"""
_WHOLE_LENGTH = 64


def is_whole(text: str) -> bool:
    """Whether a text is a number, a date or a time, of which no part may be cut off."""
    return len(text) <= _WHOLE_LENGTH and any(map(str.isdigit, text)) and bool(_whole().fullmatch(text))


@cache
def _whole() -> re.Pattern[str]:
    return re.compile(_WHOLE, re.VERBOSE)  # takes milliseconds, which most commands do not need


def width_of(text: str) -> int:
    """The width of a line on a terminal; control characters count as 1."""
    if text.isascii():
        return len(text)
    from apsw.unicode import text_width  # takes as long to import as the command line itself

    width = text_width(text)
    return width if width >= 0 else sum(max(text_width(char), 1) for char in text)


def fitted(natural: Sequence[int], least: Sequence[int], available: int) -> list[int] | None:
    """Widths of columns that add up to at most ``available``; None if even the least ones do not.

    Every column gets its natural width or as much as every other one, but not less than its least width.
    """
    if sum(natural) <= available:
        return list(natural)
    if sum(least) > available:
        return None

    def capped(cap: int) -> list[int]:
        return [max(low, min(high, cap)) for low, high in zip(least, natural, strict=True)]

    cap, too_wide = 0, max(natural)
    while too_wide - cap > 1:
        middle = (cap + too_wide) // 2
        cap, too_wide = (middle, too_wide) if sum(capped(middle)) <= available else (cap, middle)
    widths = capped(cap)
    rest = available - sum(widths)
    for index, (width, high) in enumerate(zip(widths, natural, strict=True)):
        if rest and width == cap and width < high:
            widths[index] += 1
            rest -= 1
    return widths


def grid(
    headers: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    style: Style,
    *,
    width: int | None = None,
    paint: Paint | None = None,
) -> Grid:
    """Draw a table that is as wide as it needs to be, and no wider than ``width`` if that is possible.

    ``paint`` gets each padded cell and its kind, or ``"header"``, and returns it with colours.
    """
    paint = paint or (lambda text, kind: text)
    names = [_clean(" ".join(header.splitlines())) for header in headers]
    table = [[(_lines(cell.text), cell.kind) for cell in row] for row in rows]
    least = [width_of(name) for name in names]
    natural = [width + style.header_padding for width in least]
    is_numeric = [bool(table)] * len(names)
    for row in table:
        for index, (lines, kind) in enumerate(row):
            for line in lines:
                needed = width_of(line)
                natural[index] = max(natural[index], needed)
                if kind == "text" and not (len(lines) == 1 and is_whole(line)):
                    needed = min(needed, TEXT_LEAST)
                least[index] = max(least[index], needed)
            is_numeric[index] &= kind in ("number", "null")
    frame = width_of(style.left) + width_of(style.right) + width_of(style.between) * max(len(names) - 1, 0)
    widths = natural
    if width is not None:
        widths = fitted(natural, least, width - frame) or [
            max(low, min(high, WIDE_TEXT)) for low, high in zip(least, natural, strict=True)
        ]

    def drawn(cells: Sequence[tuple[str, Kind | Literal["header"]]]) -> str:
        texts = []
        for (text, kind), columns, is_right in zip(cells, widths, is_numeric, strict=True):
            padding = columns - width_of(text)
            before = padding if is_right else 0
            if kind == "header" and style.is_header_centred:
                before = padding // 2
            texts.append(paint(" " * before + text + " " * (padding - before), kind))
        return (style.left + style.between.join(texts) + style.right).rstrip(" " if not style.right else "")

    def drawn_bar(bar: Bar | None) -> list[str]:
        if bar is None:
            return []
        return [bar.left + bar.crossing.join(bar.line * columns for columns in widths) + bar.right]

    lines = [*drawn_bar(style.top), drawn([(name, "header") for name in names]), *drawn_bar(style.under_header)]
    is_multiline = any(len(cell_lines) > 1 for row in table for cell_lines, _ in row)
    for number, row in enumerate(table):
        if is_multiline:
            lines += drawn_bar(style.row if number else style.first_row)
        for index in range(max((len(cell_lines) for cell_lines, _ in row), default=0)):
            cells: list[tuple[str, Kind | Literal["header"]]] = []
            for (cell_lines, kind), columns in zip(row, widths, strict=True):
                line = cell_lines[index] if index < len(cell_lines) else ""
                cells.append((cut(line, columns, style.mark), kind))
            lines.append(drawn(cells))
    lines += drawn_bar(style.bottom)
    return Grid(lines, frame + sum(widths))


def markdown(headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """The lines of a table in Markdown, as GitHub reads it; columns of numbers are aligned right."""
    rows = list(rows)
    table = [[_in_markdown(header) for header in headers], *([_in_markdown(cell.text) for cell in row] for row in rows)]
    columns = range(len(headers))
    widths = [max(3, *(width_of(row[index]) for row in table)) for index in columns]
    is_numeric = [bool(rows) and all(row[index].kind in ("number", "null") for row in rows) for index in columns]

    def padded(cells: Sequence[str]) -> str:
        texts = []
        for text, width, is_right in zip(cells, widths, is_numeric, strict=True):
            padding = " " * (width - width_of(text))
            texts.append(padding + text if is_right else text + padding)
        return f"| {' | '.join(texts)} |"

    bars = ["-" * (width - 1) + (":" if is_right else "-") for width, is_right in zip(widths, is_numeric, strict=True)]
    lines = [padded(row) for row in table]
    return [lines[0], f"| {' | '.join(bars)} |", *lines[1:]]


def _in_markdown(text: str) -> str:
    return "<br>".join(_lines(text.replace("\\", "\\\\").replace("|", "\\|")))


def _lines(text: str) -> list[str]:
    if text.isprintable():
        return [text]
    return [_clean(line) for line in text.splitlines()] or [""]


def _clean(line: str) -> str:
    """A line without characters that move the cursor: a tab becomes a blank, others a question mark."""
    if line.isprintable():
        return line
    from apsw.unicode import text_width

    return "".join(" " if char == "\t" else char if text_width(char) >= 0 else "?" for char in line)


def cut(line: str, width: int, mark: str = "…") -> str:
    """A line that is no wider than a width; the mark is its end if something was cut off."""
    if width_of(line) <= width:
        return line
    from apsw.unicode import text_width_substr

    return text_width_substr(line, width - len(mark))[1] + mark
