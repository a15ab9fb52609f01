"""Named points of storage (vfs/failpoints.py) at which tests stop, interrupt or kill a process."""

from __future__ import annotations

import re
from pathlib import Path

import clusterdb
import vfs

COMMIT_POINTS = {
    "commit: before pages are written": "a",
    "commit: pages written": "a",
    "commit: record written": "a",
    "commit: synced": "a",
    "commit: slots labelled": "a",
    "commit: published": "b",
}
"""The points of a commit in order, and which of the states 'a' (before it) and 'b' (behind it) is the committed one."""

ABSORB_POINTS = ["absorb: head recorded", "absorb: slots kept", "absorb: catalog has forgotten"]
"""Between the death of a source and the space that its last clone gives back."""

UPGRADE_POINT = "upgrade: sector written"
"""Reached only while a store of an older format is opened (tests/vfs/test_upgrade.py)."""
HALT_POINT = "halt: handles told"
"""Reached only while pages are evicted (tests/remote/test_evicting.py)."""
PAST_POINTS = [
    "commit: past recorded",
    "past: word set",
    "past: slots kept",
    "past: catalog has forgotten",
    "move: handles told",
    "move: committed",
]
"""Where the past is kept, given up, and gone back to (deaths and stops there are in tests/past)."""

REMOTE_POINTS = {
    "object: written",
    "object: linked",
    "push: segment sent",
    "state: before it is created",
    "state: created",
    "clone: state pinned",
    "clone: pages named",
    "clone: places synced",
    "fetch: page received",
    "fetch: page written",
    "collect: state expired",
    "collect: object deleted",
}
"""Between the steps of what repositories on object storage take part in (deaths there are in tests/remote)."""


ZONE_POINTS = {"segment: written", "segment: synced", "segment: stopped", "segment: end agreed on"}
"""Between the steps of an entry in the log of a directory (deaths there are in tests/zones)."""


def named_points() -> set[str]:
    """Every point that the code of the product reaches."""
    points: set[str] = set()
    for package in (vfs, clusterdb):
        for file in Path(package.__path__[0]).rglob("*.py"):
            points |= set(re.findall(r'reach\("([^"]+)"\)', file.read_text()))
    return points
