"""Blobs that are read and written in parts."""

from __future__ import annotations

import operator
from types import TracebackType
from typing import SupportsIndex

import apsw

from clusterdb.access.translate import translating
from clusterdb.dbapi2.adapt import Buffer, bytes_of
from clusterdb.dbapi2.base import BaseConnection, state_of
from clusterdb.errors import ProgrammingError

__all__ = ["Blob", "release"]

_SEEK_SET, _SEEK_CUR, _SEEK_END = 0, 1, 2


class Blob:
    """A blob of one row, as a file of fixed size: ``connection.blobopen()`` opens one."""

    __iter__ = None

    def __new__(cls, *_: object) -> Blob:
        if not _:
            raise TypeError(f"cannot create '{cls.__module__}.{cls.__name__}' instances")
        return super().__new__(cls)

    def __init__(self, connection: BaseConnection, blob: apsw.Blob) -> None:
        self._connection = connection  # not to be collected before the blob
        self._state = state_of(connection)
        self._blob: apsw.Blob | None = blob
        self._at = 0
        self._length = blob.length()

    def _open(self) -> apsw.Blob:
        self._state.check()
        if self._blob is None:
            raise ProgrammingError("Cannot operate on a closed blob.")
        return self._blob

    def close(self) -> None:
        """Close it; closing twice is allowed."""
        self._state.check()
        release(self)

    def __enter__(self) -> Blob:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open()
        self.close()

    def __len__(self) -> int:
        self._open()
        return self._length

    def tell(self) -> int:
        """The offset of the next read or write."""
        self._open()
        return self._at

    def seek(self, offset: int, origin: int = _SEEK_SET, /) -> None:
        """Move to an offset from the beginning, from the current one (``os.SEEK_CUR``), or from the end
        (``os.SEEK_END``).  Raises ValueError beyond the blob."""
        self._open()
        bases = {_SEEK_SET: 0, _SEEK_CUR: self._at, _SEEK_END: self._length}
        if origin not in bases:
            raise ValueError("'origin' should be os.SEEK_SET, os.SEEK_CUR, or os.SEEK_END")
        at = bases[origin] + offset
        if abs(at) > 2**31 - 1:
            raise OverflowError("seek offset results in overflow")
        if not 0 <= at <= self._length:
            raise ValueError("offset out of blob range")
        self._at = at

    def read(self, length: int = -1, /) -> bytes:
        """The next ``length`` bytes; all remaining ones if it is negative."""
        self._open()
        left = self._length - self._at
        length = left if length < 0 else min(length, left)
        data = self._read(self._at, length)
        self._at += length
        return data

    def write(self, data: Buffer, /) -> None:
        """Write bytes.  Raises ValueError if they do not fit."""
        self._open()
        content = bytes_of(data)
        if len(content) > self._length - self._at:
            raise ValueError("data longer than blob length")
        self._write(self._at, content)
        self._at += len(content)

    def _read(self, at: int, length: int) -> bytes:
        blob = self._open()
        if not length:
            return b""
        with translating():
            blob.seek(at)
            return blob.read(length)

    def _write(self, at: int, data: bytes) -> None:
        blob = self._open()
        with translating():
            blob.seek(at)
            blob.write(data)

    # --- as a sequence ----------------------------------------------------------------------------------------------
    def __getitem__(self, key: SupportsIndex | slice) -> int | bytes:
        self._open()
        if isinstance(key, slice):
            start, stop, step = key.indices(self._length)
            if step == 1:
                return self._read(start, max(0, stop - start))
            return self._read(0, self._length)[key]
        return self._read(self._index(key), 1)[0]

    def __setitem__(self, key: SupportsIndex | slice, value: int | Buffer) -> None:
        self._open()
        if isinstance(key, slice):
            self._set_slice(key, bytes_of(value))
            return
        at = self._index(key)
        if not isinstance(value, int):
            raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
        if not 0 <= value <= 255:
            raise ValueError("byte must be in range(0, 256)")
        self._write(at, bytes([value]))

    def _set_slice(self, key: slice, data: bytes) -> None:
        start, stop, step = key.indices(self._length)
        length = len(range(start, stop, step))
        if len(data) != length:
            raise IndexError("Blob slice assignment is wrong size")
        if step == 1:
            self._write(start, data)
        elif length:
            whole = bytearray(self._read(0, self._length))
            whole[key] = data
            self._write(0, bytes(whole))

    def __delitem__(self, key: SupportsIndex | slice) -> None:
        self._open()
        raise TypeError(
            "Blob doesn't support slice deletion" if isinstance(key, slice) else "Blob doesn't support item deletion"
        )

    def _index(self, key: SupportsIndex) -> int:
        try:
            at = operator.index(key)
        except TypeError:
            raise TypeError("Blob indices must be integers") from None
        if abs(at) >= 2**63:
            raise IndexError(f"cannot fit '{type(key).__name__}' into an index-sized integer")
        at += self._length if at < 0 else 0
        if not 0 <= at < self._length:
            raise IndexError("Blob index out of range")
        return at


def release(blob: Blob) -> None:
    """Close a blob without asking whether its connection is open."""
    if blob._blob is not None:
        blob._blob.close(True)
        blob._blob = None
