"""Pictures as SVG: boxes, lines and texts whose colours follow the reader's light or dark mode.

A picture has a background of its own, so that it is readable on any page.  Lengths are pixels at full size.  Pages are
read on telephones too: pictures are ``WIDTH`` wide and texts at least 13 pixels high, so that they remain legible at
two thirds of that.  ``Picture.svg`` refuses texts that overlap or leave the picture, by a cautious estimate of widths.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from math import hypot

__all__ = ["WIDTH", "Picture", "PictureError"]

WIDTH = 540

Point = tuple[float, float]

# Fill or stroke in light mode, and in dark mode.
_COLOURS = {
    "ground": ("#fbfbfc", "#1b1f24"),
    "frame": ("#d5dae1", "#3a424c"),
    "ink": ("#1f2730", "#e8ebef"),
    "quiet": ("#56616d", "#a9b3be"),
    "shared": ("#d3d9e0", "#4a545f"),
    "first": ("#a9cdf0", "#1f5a91"),
    "second": ("#f6c48c", "#8f5210"),
    "third": ("#b4dfb9", "#2c6a39"),
}
_BOXES = ("shared", "first", "second", "third")
_FONT = "font-family: system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_MONO = "font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_SIZES = {"head": 16, "label": 14, "note": 13, "small": 13, "code": 13}
_EMS = {"head": 0.6, "label": 0.56, "note": 0.56, "small": 0.56, "code": 0.61}
"""Kinds of text, with their height and the width of a character as a part of it."""


class PictureError(Exception):
    """A text overlaps another one, or does not fit."""


@dataclass(frozen=True)
class _Extent:
    """Where a text is."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: _Extent) -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not beside and self.top < other.bottom and other.top < self.bottom


@dataclass
class Picture:
    """A picture of ``WIDTH`` by ``height``; title and description are read to those who do not see it."""

    title: str
    description: str
    height: float
    _parts: list[str] = field(default_factory=list)
    _extents: list[_Extent] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, kind: str = "label", anchor: str = "start") -> None:
        """Write a line of text with its base line at ``y``; ``kind`` is head, label, note or code."""
        size = _SIZES[kind]
        width = len(text) * size * _EMS[kind]
        left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
        self._extents.append(_Extent(text, left, y - 0.8 * size, left + width, y + 0.25 * size))
        self._add("text", text, {"class": kind, "x": x, "y": y, "text-anchor": anchor})

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        label: str = "",
        kind: str = "shared",
        text: str = "label",
    ) -> None:
        """Draw a box with its label in the middle; ``kind`` is a colour, ``free`` (dashed) or ``gone`` (struck out)."""
        self._add("rect", None, {"class": kind, "x": x, "y": y, "width": width, "height": height, "rx": 4})
        if label:
            if len(label) * _SIZES[text] * _EMS[text] > width:
                raise PictureError(f"{self.title}: {label!r} is wider than its box")
            self.text(x + width / 2, y + height / 2 + 0.36 * _SIZES[text], label, text, "middle")

    def line(self, points: Sequence[Point], kind: str = "line", arrow: bool = False) -> None:
        """Draw a line through points; ``kind`` is ``line``, ``faint`` or ``dashed``; the arrow is at the end."""
        ends = list(points)
        if arrow:
            (fromx, fromy), (x, y) = points[-2:]
            length = hypot(x - fromx, y - fromy)
            along, across = (x - fromx) / length, (y - fromy) / length
            ends[-1] = (x - 7 * along, y - 7 * across)
            tip = [(x, y)] + [(x - 9 * along + side * across, y - 9 * across - side * along) for side in (4, -4)]
            self._add("polygon", None, {"class": f"tip {kind}-tip", "points": _list(tip)})
        self._add("polyline", None, {"class": kind, "points": _list(ends)})

    def curve(self, start: Point, bend: Point, end: Point, kind: str = "line") -> None:
        """Draw an arrow from a point to another that bends towards a third."""
        self._add("path", None, {"class": kind, "d": "M {:g} {:g} Q {:g} {:g} {:g} {:g}".format(*start, *bend, *end)})
        length = hypot(end[0] - bend[0], end[1] - bend[1])
        before = (end[0] - 8 * (end[0] - bend[0]) / length, end[1] - 8 * (end[1] - bend[1]) / length)
        self.line([before, end], kind, arrow=True)

    def dot(self, x: float, y: float, kind: str = "first") -> None:
        """Draw a version."""
        self._add("circle", None, {"class": kind, "cx": x, "cy": y, "r": 9})

    def svg(self) -> str:
        """The picture as a file.  Raises PictureError."""
        self._require_apart()
        size = f'width="{WIDTH}" height="{self.height:g}" viewBox="0 0 {WIDTH} {self.height:g}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title description">',
            f'<title id="title">{escape(self.title)}</title>',
            f'<desc id="description">{escape(self.description)}</desc>',
            "<style>",
            *_styles(),
            "</style>",
            f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{self.height - 1:g}" rx="8"/>',
            *self._parts,
            "</svg>",
        ]
        return "".join(f"{line}\n" for line in lines)

    def _add(self, name: str, text: str | None, attributes: dict[str, object]) -> None:
        shown = " ".join(f'{key}="{_number(value)}"' for key, value in attributes.items())
        self._parts.append(f"<{name} {shown}/>" if text is None else f"<{name} {shown}>{escape(text)}</{name}>")

    def _require_apart(self) -> None:
        for place, extent in enumerate(self._extents):
            if min(extent.left, extent.top) < 4 or extent.right > WIDTH - 4 or extent.bottom > self.height - 4:
                raise PictureError(f"{self.title}: {extent} leaves the picture")
            for other in self._extents[:place]:
                if extent.overlaps(other):
                    raise PictureError(f"{self.title}: {extent.text!r} overlaps {other.text!r}")


def _styles() -> Iterable[str]:
    """The style sheet: shapes, then the colours of both modes."""
    for kind, size in _SIZES.items():
        weight = "; font-weight: 600" if kind == "head" else ""
        yield f".{kind} {{ font-size: {size}px; {_MONO if kind == 'code' else _FONT}{weight} }}"
    yield ".line, .faint, .dashed { fill: none; stroke-width: 1.5 }"
    yield ".dashed, .free, .gone { stroke-dasharray: 4 3 }"
    yield ".tip { stroke: none }"
    yield from _colours(0)
    yield "@media (prefers-color-scheme: dark) {"
    yield from _colours(1)
    yield "}"


def _colours(mode: int) -> Iterable[str]:
    colour = {name: pair[mode] for name, pair in _COLOURS.items()}
    yield f".ground {{ fill: {colour['ground']}; stroke: {colour['frame']} }}"
    yield f".head, .label, .small, .code {{ fill: {colour['ink']} }}"
    yield f".note {{ fill: {colour['quiet']} }}"
    yield f".line {{ stroke: {colour['ink']} }} .faint, .dashed {{ stroke: {colour['quiet']} }}"
    yield f".line-tip {{ fill: {colour['ink']} }} .faint-tip, .dashed-tip {{ fill: {colour['quiet']} }}"
    for kind in _BOXES:
        yield f".{kind} {{ fill: {colour[kind]}; stroke: {colour['ink']}; stroke-width: 1 }}"
    yield f".free, .gone {{ fill: {colour['ground']}; stroke: {colour['quiet']} }}"


def _list(points: Iterable[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: object) -> object:
    return f"{round(value, 2):g}" if isinstance(value, float) else value
