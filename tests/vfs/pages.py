"""Pages of models."""

from __future__ import annotations

from vfs.format.layout import SLOT_BYTES

ZEROS = bytes(SLOT_BYTES)


def page_bytes(page: int, fill: int) -> bytes:
    """A page whose bytes tell where it belongs; fill 0 is a page of zeros."""
    return ZEROS if fill == 0 else (b"page %d, fill %d. " % (page, fill)).ljust(32, b"-") * (SLOT_BYTES // 32)
