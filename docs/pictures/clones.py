"""The tree of clones, with the bytes that belong to one cluster and those that it shares."""

from __future__ import annotations

from svg import Picture

# name, depth, row of its source, what the row states, own bytes and shared bytes as parts of the largest cluster
ROWS = [
    ("prod", 0, None, "import app.db prod", 0.12, 0.88),
    ("dev", 1, 0, "clone prod dev", 0.06, 0.9),
    ("idea", 2, 1, "clone dev idea", 0.03, 0.93),
    ("rescue", 1, 0, "clone prod@2 rescue", 0.02, 0.86),
    ("staging", 1, 0, "rm staging", 0, 0),
    ("audit", 2, 4, "clone staging audit", 0.1, 0.8),
]
TOP, PITCH, INDENT = 62, 46, 30


def draw() -> Picture:
    """One row for each cluster."""
    picture = Picture(
        "The tree of clones",
        "dev, rescue and staging are clones of prod, idea is a clone of dev, and audit is a clone of staging, which "
        "has been deleted. Bars show that each cluster owns few bytes and shares most of them with the others.",
        388,
    )
    picture.text(20, 30, "Clones of clones, deleted in any order", "head")
    for row, (name, depth, source, command, own, shared) in enumerate(ROWS):
        x, y = 20 + depth * INDENT, TOP + row * PITCH
        if source is not None:
            up = TOP + source * PITCH + 28
            picture.line([(x - INDENT / 2, up), (x - INDENT / 2, y + 14), (x - 2, y + 14)], "faint")
        picture.box(x, y, 96, 28, name, "gone" if not shared else "first")
        picture.text(190, y + 18, "deleted: audit keeps what it needs" if not shared else command, "note")
        if shared:
            picture.box(352, y + 6, 168 * own, 16, kind="second")
            picture.box(352 + 168 * own, y + 6, 168 * shared, 16)
    for x, kind, label in (
        (20, "second", "own: freed when it is deleted"),
        (272, "shared", "shared with other clusters"),
    ):
        picture.box(x, 354, 16, 16, kind=kind)
        picture.text(x + 24, 367, label, "note")
    return picture
