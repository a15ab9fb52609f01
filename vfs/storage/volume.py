"""A handle on an open volume, for a connection or for one piece of work: reading, and becoming the writer."""

from __future__ import annotations

from vfs.errors import ReadOnlyError, SnapshotMovedError, WriterBusyError
from vfs.holds import is_busy
from vfs.storage.reader import Reader
from vfs.storage.writer import WriteTransaction, before_write

__all__ = ["Volume"]


class Volume(Reader):
    """An open volume.  Implements :class:`vfs.abc.Handle`."""

    def begin_write(self, least_version: int = 0) -> WriteTransaction:
        """Become the volume's writer, on top of the pinned version; the new one has ``least_version`` at least.

        Raises ReadOnlyError, StoreFailedError, WriterBusyError, SnapshotMovedError, VolumeDroppedError, FencedError.
        """
        if self.read_only:
            raise ReadOnlyError("it is open for reading only")
        self.pool.require_writable()
        hold = self.session.try_writer(self.row.table_index, self.epoch)
        if hold is None:
            raise WriterBusyError("another connection is writing to it")
        try:
            if self.session.is_volume_locked_by_other(self.row.table_index):
                raise WriterBusyError("another process reclaims its space")  # before anything is staged in vain
            self.require_present()
            if self.shared.version != self.version.version:
                raise SnapshotMovedError("another connection has committed since this transaction began to read")
            before_write(self)
            return WriteTransaction(self, hold, least_version)
        except BaseException:
            hold.close()
            raise

    def is_being_written(self) -> bool:
        """Whether some other handle is the writer now."""
        return self.session.is_written_by_other(self.row.table_index, self.epoch)

    def close(self) -> None:
        """Release everything; what this process superseded is reclaimed as far as readers allow."""
        if self.session.locks.fd >= 0:
            self.unpin()
            try:
                if is_busy():  # the collector closes it: the next user of the volume tidies up
                    self.pool.reclaimer.request(self.row)
                else:
                    self.pool.reclaimer.on_close(self.session, self.row)
            finally:
                self.session.close()
                self.pool.sessions.discard(self.session)

    def abandon(self) -> None:
        """In the child of a fork: close the descriptor of the locks, which are the parent's."""
        self.session.locks.close()
