"""Damage to what a storage node in a directory has of a log."""

from __future__ import annotations

import os
from pathlib import Path

from clusterdb.zones.segment import Segment

__all__ = ["entries_of", "flip_bit"]


def entries_of(node: Path, log: str = "*") -> list[tuple[Path, int, int]]:
    """The entries of the logs on a node whose names match: (file, offset, length), in order."""
    entries = []
    for path in sorted((node / "copies").glob(f"{log}/*/0*")):
        fd = os.open(path, os.O_RDONLY)
        try:
            if path.suffix:
                continue
            if not Segment.is_one(fd, str(path)):
                entries.append((path, 0, path.stat().st_size))
                continue
            entries += [(path, *record) for record in Segment(str(path), int(path.name)).records(fd)]
        finally:
            os.close(fd)
    return entries


def flip_bit(path: Path, offset: int) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
