"""Volumes in a page pool: reading, writing and publishing versions.

:mod:`vfs.storage.device` (system calls and locks), :mod:`vfs.storage.slot_map` (allocation), :mod:`vfs.storage.walk`
and
:mod:`vfs.storage.page_table` (reading and editing page tables), :mod:`vfs.storage.sessions` (shared tables, pins),
:mod:`vfs.storage.clock`, :mod:`vfs.storage.history`, :mod:`vfs.storage.pool` (one open pool), :mod:`vfs.storage.heads`
(version records), :mod:`vfs.storage.seals`, :mod:`vfs.storage.reader`, :mod:`vfs.storage.writer`,
:mod:`vfs.storage.volume` (handles) and :mod:`vfs.storage.volumes` (creating, moving and fencing volumes).
"""
