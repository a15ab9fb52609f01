"""The past of a cluster as a line: versions, a snapshot, a backtrack, a clone."""

from __future__ import annotations

from svg import Picture

LEFT, PITCH, LINE = 52, 72, 178


def draw() -> Picture:
    """Versions from left to right; the newest one is what connections see."""
    picture = Picture(
        "The past as a line of versions",
        "Versions 1 to 7 of prod stand on a line. Versions 1 and 2 are older than the backtrack window; version 2 "
        "remains because the snapshot nightly holds it, version 1 is gone. Versions 3 to 7 are retained. Version 5 "
        "deleted rows by mistake. The clone rescue began at version 4. A backtrack to version 4 created version 6, "
        "with the content of version 4, and version 7 continues from there.",
        360,
    )
    picture.text(20, 30, "prod, version by version", "head")
    xs = {number: LEFT + (number - 1) * PITCH for number in range(1, 8)}
    picture.line([(xs[1], LINE), (xs[7], LINE)])
    kinds = {1: "gone", 2: "third", 5: "second"}
    for number, x in xs.items():
        picture.dot(x, LINE, kinds.get(number, "first"))
        picture.text(x, LINE + 34, "6 (as 4)" if number == 6 else str(number), "label", "middle")

    picture.line([(xs[2], LINE - 11), (xs[2], 88)], "faint")
    picture.box(xs[2] - 66, 62, 132, 26, "snapshot nightly", "third", "small")
    picture.text(xs[5], 78, "backtrack prod 4", "code", "middle")
    picture.curve((xs[6], LINE - 11), (xs[5], 76), (xs[4] + 4, LINE - 11))
    picture.text(xs[5], LINE - 18, "mistake", "note", "middle")

    picture.line([(xs[3] - 22, 232), (xs[3] - 22, 238), (xs[7] + 22, 238), (xs[7] + 22, 232)], "faint")
    picture.text(xs[5] + 20, 258, "backtrack window", "note", "middle")
    picture.text(xs[1] - 30, 238, "expired", "note")
    picture.line([(xs[4], LINE + 42), (xs[4], 296)], "dashed", arrow=True)
    picture.box(xs[4] - 50, 298, 100, 28, "rescue", "first")
    picture.text(xs[4] + 62, 317, "clone prod@4 rescue", "code")
    picture.text(xs[7] + 24, LINE - 18, "now", "note", "end")
    return picture
