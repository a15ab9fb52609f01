"""A handle on an open volume, for a connection or for a single operation: reads, and starts write transactions."""

from __future__ import annotations

from vfs.errors import ReadOnlyError, SnapshotMovedError, WriterBusyError
from vfs.holds import is_busy
from vfs.storage.device import comes_true
from vfs.storage.reader import Reader
from vfs.storage.writer import WriteTransaction, before_write

__all__ = ["Volume"]

_RECLAIM_PATIENCE_S = 1.0
"""How long a writer that begins waits for who frees slots of its volume: SQLite itself does not wait where a
transaction that has read becomes the writer (https://sqlite.org/c3ref/busy_handler.html)."""


class Volume(Reader):
    """An open volume.  Implements :class:`vfs.abc.Handle`."""

    _is_closed = False

    def begin_write(self, least_version: int = 0) -> WriteTransaction:
        """Become the volume's writer, based on the pinned version; the new version is at least ``least_version``.

        Raises ReadOnlyError, StoreFailedError, WriterBusyError, SnapshotMovedError, VolumeDroppedError, FencedError.
        """
        if self.read_only:
            raise ReadOnlyError("it is open read-only")
        self.pool.require_writable()
        hold = self.session.try_writer(self.row.table_index, self.epoch)
        if hold is None:
            raise WriterBusyError("another connection is writing to it")
        try:
            if not comes_true(self._is_unlocked, _RECLAIM_PATIENCE_S):
                raise WriterBusyError("another process is reclaiming its space")  # before anything is staged in vain
            self.require_present()
            if self.shared.version != self.version.version:
                raise SnapshotMovedError("another connection has committed since this transaction began to read")
            before_write(self)
            return WriteTransaction(self, hold, least_version)
        except BaseException:
            hold.close()
            raise

    def _is_unlocked(self) -> bool:
        return not self.session.is_volume_locked_by_other(self.row.table_index)

    def is_being_written(self) -> bool:
        """Whether another handle is the writer now."""
        return self.session.is_written_by_other(self.row.table_index, self.epoch)

    def close(self) -> None:
        """Release everything, and reclaim the slots that this process superseded as far as readers allow."""
        if self.session.locks.fd >= 0 and not self._is_closed:
            self._is_closed = True
            self.unpin()
            try:
                if is_busy():  # closed by the garbage collector: left to the volume's next user
                    self.pool.reclaimer.request(self.row)
                else:
                    self.pool.reclaimer.on_close(self.session, self.row)
            finally:
                self.pool.give_back_of_handle(self.session)

    def abandon(self) -> None:
        """Close the descriptor of the locks, which belong to the parent process, in the child of a fork."""
        self.session.locks.close()
