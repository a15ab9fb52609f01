"""Instances and endpoints of a cluster, and the lag of a reader."""

from __future__ import annotations

from svg import Picture

VERSIONS = 6


def draw() -> Picture:
    """Endpoints above instances above the versions of one volume."""
    picture = Picture(
        "Instances, endpoints and lag",
        "The writer endpoint leads to the writer w1, the reader endpoint to the readers r1 and r2. All three use "
        "one volume: the writer and r2 are at its newest version, 6, while r1 lags 20 milliseconds behind, at "
        "version 4. A failover makes r1 the writer.",
        400,
    )
    picture.text(20, 30, "One volume, several instances", "head")
    picture.text(20, 72, "endpoints", "note")
    picture.box(116, 52, 124, 32, "writer endpoint")
    picture.box(300, 52, 192, 32, "reader endpoint")
    picture.text(20, 164, "instances", "note")
    for x, name, kind, what in (
        (116, "w1", "second", "writer"),
        (270, "r1", "first", "lag 20 ms"),
        (402, "r2", "first", "no lag"),
    ):
        picture.box(x, 142, 124 if name == "w1" else 116, 36, f"{name}: {what}", kind)
    picture.line([(178, 84), (178, 140)], arrow=True)
    picture.line([(360, 84), (330, 140)], arrow=True)
    picture.line([(432, 84), (456, 140)], arrow=True)
    picture.curve((276, 178), (208, 226), (150, 180), "dashed")
    picture.text(116, 228, "failover: r1 becomes the writer", "note")
    picture.text(20, 306, "versions", "note")
    xs = [130 + 66 * number for number in range(VERSIONS)]
    picture.line([(xs[0], 302), (xs[-1], 302)])
    for number, x in enumerate(xs, 1):
        picture.dot(x, 302, "second" if number == VERSIONS else "shared")
        picture.text(x, 336, str(number), "label", "middle")
    picture.text(xs[-1], 353, "by w1", "note", "middle")
    picture.line([(xs[3], 178), (xs[3], 291)], arrow=True)
    picture.line([(xs[5], 178), (xs[5], 291)], arrow=True)
    picture.text(116, 368, "Readers only move forward: r1 shows version 4", "note")
    picture.text(116, 386, "until version 5 is 20 ms old.", "note")
    return picture
