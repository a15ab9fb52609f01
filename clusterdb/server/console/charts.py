"""Charts as SVG, drawn by the server, without scripts and inline styles: the style sheet has the colours.

All are pure functions.  Every chart has a text alternative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from clusterdb.views.text import bytes_text

__all__ = ["bar", "lags", "page_cells", "page_grid"]

_BAR = 160


def bar(own_bytes: int, shared_bytes: int, largest_bytes: int) -> Markup:
    """A bar of own and shared bytes; the largest cluster's has the full length."""
    scale = _BAR / largest_bytes if largest_bytes else 0
    own, shared = (max(round(size * scale, 1), 2) if size else 0 for size in (own_bytes, shared_bytes))
    label = f"own {bytes_text(own_bytes)}, shared {bytes_text(shared_bytes)}"
    return Markup(
        '<svg class="bar" viewBox="0 0 {width} 12" width="{width}" height="12" role="img" aria-label="{label}">'
        "<title>{label}</title>"
        '<rect class="bar-own" x="0" y="0" width="{own}" height="12"></rect>'
        '<rect class="bar-shared" x="{own}" y="0" width="{shared}" height="12"></rect></svg>'
    ).format(width=_BAR + 4, label=label, own=own, shared=shared)


# --- lag --------------------------------------------------------------------------------------------------------------
def lags(samples: Mapping[str, Sequence[float | None]], count: int) -> Markup:
    """A line for each reader: its lag in milliseconds, sample by sample, the newest at the right."""
    width, height, left = 640, 160, 56
    known = [value for values in samples.values() for value in values if value is not None]
    highest = _rounded_up(max(known, default=0))
    step = (width - left - 8) / max(count - 1, 1)
    parts = [
        Markup('<line class="axis" x1="{0}" x2="{1}" y1="{2}" y2="{2}"></line>').format(left, width - 8, y)
        for y in (10, (height - 24) / 2 + 10, height - 14)
    ]
    for value, y in ((highest, 10), (highest / 2, (height - 24) / 2 + 10), (0, height - 14)):
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{:g} ms</text>').format(left - 6, y + 4, value)
        )
    for number, values in enumerate(samples.values()):
        offset = count - len(values)
        points = [
            (left + (offset + index) * step, height - 14 - (value / highest) * (height - 24))
            for index, value in enumerate(values)
            if value is not None
        ]
        if points:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            kind = number % 6
            parts.append(Markup('<polyline class="series series-{}" points="{}"></polyline>').format(kind, line))
            parts.append(
                Markup('<circle class="series-dot series-{}" cx="{:.1f}" cy="{:.1f}" r="3"></circle>').format(
                    kind, *points[-1]
                )
            )
    label = "Lag of readers: " + (
        ", ".join(f"{name} {_last(values)}" for name, values in samples.items()) or "there is no reader"
    )
    return Markup(
        '<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        "<title>{label}</title>{parts}</svg>"
    ).format(width=width, height=height, label=label, parts=Markup("").join(parts))


def _last(values: Sequence[float | None]) -> str:
    value = values[-1] if values else None
    return "unknown" if value is None else f"{value:.0f} ms"


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 ... milliseconds, 10 at least."""
    step = 10.0
    while True:
        for factor in (1, 2, 5):
            if step * factor >= value:
                return step * factor
        step *= 10


# --- pages ------------------------------------------------------------------------------------------------------------
GRID_COLUMNS = 64
_KINDS = ("empty", "shared", "own", "changed")


def page_cells(
    page_count: int, births: Mapping[int, int], shared_until: int, changed_since: int
) -> list[tuple[int, int, str]]:
    """Cells of a map as (first page, last page, kind): the last kind of ``_KINDS`` that a page of the cell has."""
    per_cell = max(1, -(-page_count // (GRID_COLUMNS * 32)))
    kinds = [0] * -(-page_count // per_cell)
    for number, birth in births.items():
        kind = 3 if birth > changed_since else 2 if birth > shared_until else 1
        cell = number // per_cell
        if cell < len(kinds):
            kinds[cell] = max(kinds[cell], kind)
    return [
        (index * per_cell, min((index + 1) * per_cell, page_count) - 1, _KINDS[kind])
        for index, kind in enumerate(kinds)
    ]


def page_grid(cells: Sequence[tuple[int, int, str]], label: str) -> Markup:
    """The map: a square for each cell, in rows."""
    size = 10
    rows = -(-len(cells) // GRID_COLUMNS) or 1
    columns = min(len(cells), GRID_COLUMNS) or 1
    squares = Markup("").join(
        Markup('<rect class="page-{}" x="{}" y="{}" width="9" height="9"><title>{}</title></rect>').format(
            kind, index % GRID_COLUMNS * size, index // GRID_COLUMNS * size, _pages(first, last, kind)
        )
        for index, (first, last, kind) in enumerate(cells)
    )
    return Markup('<svg class="pagemap" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        max(columns, 16) * size, rows * size, escape(label), squares
    )


def _pages(first: int, last: int, kind: str) -> str:
    return f"page {first + 1}: {kind}" if first == last else f"pages {first + 1} to {last + 1}: {kind}"
