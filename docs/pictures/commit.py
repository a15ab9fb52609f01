"""The steps of a commit, over the slots of the page pool."""

from __future__ import annotations

from svg import Picture

NODES, PAGES, HEAD = (5, 6), (7, 8), (0,)
STEPS: list[tuple[str, str, dict[tuple[int, ...], str]]] = [
    ("1", "New and changed pages go to free slots", {PAGES: "second"}),
    ("2", "So do the page-table nodes above them", {PAGES: "shared", NODES: "second"}),
    ("3", "The head slot gets a version record", {PAGES: "shared", NODES: "shared", HEAD: "second"}),
    ("4", "One sync makes all of it durable", {PAGES: "third", NODES: "third", HEAD: "third"}),
    ("5", "The head word moves to version 3", {PAGES: "third", NODES: "third", HEAD: "third"}),
]
TOP, PITCH = 58, 82


def draw() -> Picture:
    """A row of slots for every step."""
    picture = Picture(
        "A commit",
        "Step 1 writes new and changed pages to free slots of the pool, step 2 the page-table nodes above them, step 3 "
        "a version record to the head slot. Step 4 is one sync for all of these. In step 5 the head word moves from "
        "version 2 to version 3: only now do readers see the commit, and the replaced slots become free when no "
        "reader, clone or snapshot needs them.",
        510,
    )
    picture.text(20, 30, "A commit from version 2 to version 3", "head")
    picture.text(520, 30, "readers see", "note", "end")
    for row, (number, what, kinds) in enumerate(STEPS):
        y = TOP + row * PITCH
        picture.text(20, y + 10, number, "head")
        picture.text(44, y + 10, what)
        is_published = number == "5"
        labels = {0: "head", 1: "node", 2: "node", 3: "page", 4: "page", 5: "node", 6: "node", 7: "page", 8: "page"}
        for slot in range(9):
            kind = next((kind for slots, kind in kinds.items() if slot in slots), "shared" if slot < 5 else "free")
            if is_published and slot in (1, 2, 3):
                kind = "gone"
            label = labels[slot] if kind != "free" else ""
            picture.box(44 + slot * 46, y + 22, 42, 30, label, kind, "small")
        picture.box(476, y + 22, 44, 30, "v3" if is_published else "v2", "third" if is_published else "first")
    for x, kind, label in (
        (20, "second", "written"),
        (122, "third", "durable"),
        (226, "gone", "free, or free once unused"),
    ):
        picture.box(x, 478, 16, 16, kind=kind)
        picture.text(x + 24, 491, label, "note")
    return picture
