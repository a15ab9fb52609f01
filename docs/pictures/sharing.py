"""What a clone and its source share, before and after a write."""

from __future__ import annotations

from collections.abc import Iterable

from svg import Picture

PAGES = "ABCDEF"
CHANGED = 3
LEFT, PITCH, SIDE = 86, 62, 44


def draw() -> Picture:
    """Two clusters above the page pool, twice."""
    picture = Picture(
        "What a clone shares before and after a write",
        "Right after the clone, the heads of prod and dev name the same page table, and so the same six pages. "
        "After dev has changed page D, the head of dev names a page table of its own with the new page D2; all "
        "other pages are still shared, and prod still has page D.",
        476,
    )
    picture.text(20, 30, "clone prod dev: no page is copied", "head")
    _heads(picture, 46)
    for x in (150, 390):
        picture.line([(x, 74), (270, 104)], arrow=True)
    picture.box(190, 106, 160, 28, "page table")
    _pages(picture, 176, 270, 134, range(len(PAGES)))
    for number, page in enumerate(PAGES):
        picture.box(_x(number), 176, SIDE, 32, page)
    picture.box(_x(len(PAGES)), 176, SIDE, 32, kind="free")

    picture.line([(0, 232), (540, 232)], "faint")
    picture.text(20, 260, "dev changes page D: a page and its table are new", "head")
    _heads(picture, 276)
    for x, kind, label in ((150, "first", "page table"), (390, "second", "new page table")):
        picture.line([(x, 304), (x, 324)], arrow=True)
        picture.box(x - 80, 326, 160, 28, label, kind)
    _pages(picture, 400, 150, 354, range(len(PAGES)))
    _pages(picture, 400, 390, 354, [number for number in range(len(PAGES)) if number != CHANGED], "dashed")
    picture.line([(390, 354), (_x(len(PAGES)) + SIDE / 2, 398)], "dashed", arrow=True)
    for number, page in enumerate(PAGES):
        picture.box(_x(number), 400, SIDE, 32, page, "first" if number == CHANGED else "shared")
    picture.box(_x(len(PAGES)), 400, SIDE, 32, "D2", "second")
    for x, kind, label in (
        (86, "first", "prod only"),
        (216, "second", "dev only"),
        (340, "shared", "both"),
        (418, "free", "free"),
    ):
        picture.box(x, 446, 16, 16, kind=kind)
        picture.text(x + 24, 459, label, "note")
    return picture


def _x(number: int) -> float:
    return LEFT + (number - 0.5) * PITCH


def _heads(picture: Picture, y: float) -> None:
    picture.box(70, y, 160, 28, "prod, version 2", "first")
    picture.box(310, y, 160, 28, "dev, version 3" if y > 200 else "dev, version 2", "second")


def _pages(picture: Picture, y: float, fromx: float, fromy: float, numbers: Iterable[int], kind: str = "line") -> None:
    for number in numbers:
        picture.line([(fromx, fromy), (_x(number) + SIDE / 2, y - 2)], kind, arrow=True)
