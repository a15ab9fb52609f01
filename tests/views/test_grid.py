"""Tables that fit a width: what is cut and what never is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusterdb.views.grid import ASCII, BOX, PLAIN, Cell, Style, fitted, grid, is_whole, markdown, width_of

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
WORDS = st.text(alphabet="ab \u00e9\u0301\u65e5\u672c\u0e01\u0e33|", max_size=40)
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False)).map(lambda number: Cell(str(number), "number"))
DATES = st.one_of(
    st.datetimes().map(lambda time: time.isoformat(" ", "seconds")),
    st.dates().map(str),
    st.times().map(str),
).map(Cell)
TEXTS = WORDS.map(Cell)
COLUMNS = st.sampled_from([NUMBERS, DATES, TEXTS, st.just(Cell("NULL", "null")), st.just(Cell("<12 bytes>", "blob"))])


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[Cell]]]:
    """Headers, and rows whose columns are of one kind, or texts."""
    columns = draw(st.lists(COLUMNS, min_size=1, max_size=6))
    headers = [draw(st.text(alphabet="xyz\u65e5", min_size=1, max_size=12)) for _ in columns]
    rows = draw(st.lists(st.tuples(*(st.one_of(column, TEXTS) for column in columns)), max_size=5))
    return headers, [list(row) for row in rows]


def independent_width(text: str) -> int:
    """The width of a text by the tables of Python's unicodedata, for the characters that the tests use."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def never_cut(cell: Cell) -> bool:
    return cell.kind != "text" or is_whole(cell.text)


def least_width(headers: list[str], rows: list[list[Cell]], style: Style) -> int:
    """The width of the narrowest table that cuts only what may be cut."""
    columns = [
        max(
            [
                width_of(header),
                *(width_of(cell.text) if never_cut(cell) else min(8, width_of(cell.text)) for cell in cells),
            ]
        )
        for header, *cells in zip(headers, *rows, strict=True)
    ]
    return sum(columns) + width_of(style.left + style.right) + width_of(style.between) * (len(headers) - 1)


@pytest.mark.parametrize("style", [BOX, ASCII, PLAIN])
@UNHURRIED
@given(table=tables(), width=st.integers(1, 120))
def test_lines_fit_the_width_and_numbers_and_dates_are_whole(
    style: Style, table: tuple[list[str], list[list[Cell]]], width: int
) -> None:
    headers, rows = table
    drawn = grid(headers, rows, style, width=width)
    widths = {independent_width(line) for line in drawn.lines}
    assert max(widths) == drawn.width
    if style is not PLAIN:
        assert len(widths) == 1  # the right edge is straight
    if least_width(headers, rows, style) <= width:
        assert drawn.width <= width
    lines = drawn.lines[1:-1] if style is not PLAIN else drawn.lines[:1] + drawn.lines[2:]
    assert all(header in lines[0] for header in headers)
    for line, row in zip(lines[1:], rows, strict=True):
        assert all(cell.text.rstrip() in line for cell in row if never_cut(cell))


@UNHURRIED
@given(table=tables())
def test_table_without_a_width_cuts_nothing(table: tuple[list[str], list[list[Cell]]]) -> None:
    headers, rows = table
    lines = grid(headers, rows, BOX).lines
    assert len(lines) == 3 + len(rows)
    for line, row in zip(lines[2:-1], rows, strict=True):
        assert all(cell.text in line for cell in row)


@UNHURRIED
@given(
    columns=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8),
    available=st.integers(0, 200),
)
def test_columns_share_the_width(columns: list[tuple[int, int]], available: int) -> None:
    """All of it is used; no column is narrower than it may be, and a narrow one is not cut for a wide one."""
    least, natural = [min(pair) for pair in columns], [max(pair) for pair in columns]
    widths = fitted(natural, least, available)
    if sum(least) > available:
        assert widths is None or sum(natural) <= available
        return
    assert widths is not None
    assert sum(widths) == min(sum(natural), available)
    assert all(low <= width <= high for low, width, high in zip(least, widths, natural, strict=True))
    cut = [width for width, high in zip(widths, natural, strict=True) if width < high]
    free = [width for width, low in zip(widths, least, strict=True) if width > low]
    assert not cut or not free or max(free) <= min(cut) + 1


@pytest.mark.parametrize(
    "text",
    [
        "103635004",
        "-1.5e-07",
        "1,234.56",
        "12%",
        "4.0 KiB",
        "2024-07-12",
        "2024-07-12 10:00:00.123",
        "10:00",
        "31/12/99",
        "2024-07-12T10:00:00Z",
        "2024-07-12 10:00+02:00",
        "23:59:59 UTC",
        ".5",
    ],
)
def test_numbers_dates_and_times_are_whole(text: str) -> None:
    assert is_whole(text)


@pytest.mark.parametrize("text", ["", "Ada", "5 minutes ago", "12 Main Street", "v1.2", "UTC", "1" * 65])
def test_other_texts_are_not(text: str) -> None:
    assert not is_whole(text)


def test_box_in_a_narrow_terminal() -> None:
    rows = [
        [Cell("103635004", "number"), Cell("2024-07-12"), Cell("a longer text than fits")],
        [Cell("7", "number"), Cell("2024-07-13"), Cell("\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3067\u3059")],
    ]
    assert grid(["population", "day", "remark"], rows, BOX, width=45).lines == [
        "╭────────────┬────────────┬─────────────────╮",
        "│ population │    day     │     remark      │",
        "│  103635004 │ 2024-07-12 │ a longer text … │",
        "│          7 │ 2024-07-13 │ 日本語のテキス… │",
        "╰────────────┴────────────┴─────────────────╯",
    ]


def test_table_that_cannot_fit_is_wider_and_its_texts_stay_readable() -> None:
    row = [Cell("1" * 30, "number"), Cell("x" * 100)]
    drawn = grid(["number", "text"], [row], BOX, width=20)
    assert drawn.width == 30 + 40 + 7
    assert drawn.lines[2] == f"│ {'1' * 30} │ {'x' * 39}… │"


def test_lines_of_a_cell_are_cut_one_by_one_and_control_characters_replaced() -> None:
    row = [Cell("CREATE TABLE t (\n\tx INTEGER NOT NULL\x07\n)"), Cell("1", "number")]
    assert grid(["sql", "n"], [row], ASCII, width=23).lines == [
        "+-----------------+---+",
        "|       sql       | n |",
        "+=================+===+",
        "| CREATE TABLE... | 1 |",
        "|  x INTEGER N... |   |",
        "| )               |   |",
        "+-----------------+---+",
    ]


def test_markdown_escapes_what_would_end_a_cell() -> None:
    rows = [[Cell("1", "number"), Cell("a|b\nc\\")], [Cell("", "null"), Cell("\u65e5\u672c")]]
    assert markdown(["id", "text"], rows) == [
        "|  id | text        |",
        "| --: | ----------- |",
        "|   1 | a\\|b<br>c\\\\ |",
        "|     | \u65e5\u672c        |",
    ]
    assert markdown(["a"], []) == ["| a   |", "| --- |"]
