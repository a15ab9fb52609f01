"""Stores of format 1, made of stores of the present format."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from vfs.format.layout import SECTOR_BYTES, unpack_pool_header

__all__ = ["header_of", "make_old"]


def header_of(path: Path) -> bytes:
    """Both copies of the header of a store's pool."""
    return (path / "pool").read_bytes()[: 2 * SECTOR_BYTES]


def make_old(path: Path) -> None:
    """Turn a closed store into one of format 1: its header, and pages that carry a change counter."""
    store_id = unpack_pool_header(header_of(path)).store_id
    body = struct.pack("<8sII16s", b"clstpool", 1, 4096, store_id)
    with (path / "pool").open("r+b") as pool:
        pool.write((body + zlib.crc32(body).to_bytes(4, "little")).ljust(4096, b"\0"))
    (path / "map").unlink()
