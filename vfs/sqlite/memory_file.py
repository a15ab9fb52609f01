"""A file in memory, for the journals of volumes."""

from __future__ import annotations

__all__ = ["MemoryFile"]


class MemoryFile:
    """A rollback or super-journal that never outlives its transaction, so it needs no disk."""

    def __init__(self) -> None:
        self._data = bytearray()

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._data[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        if offset > len(self._data):
            self._data += bytes(offset - len(self._data))
        self._data[offset : offset + len(data)] = data

    def xTruncate(self, newsize: int) -> None:
        del self._data[newsize:]

    def xFileSize(self) -> int:
        return len(self._data)

    def xSync(self, flags: int) -> None: ...

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xClose(self) -> None:
        self._data = bytearray()
