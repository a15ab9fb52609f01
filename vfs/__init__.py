"""Everything below SQL: the copy-on-write page pool and the SQLite VFS over it.

Read ``vfs/DESIGN.md`` first.  From the bottom up: :mod:`vfs.layout` (bytes), :mod:`vfs.osio` (system calls),
:mod:`vfs.slots` (allocation map), :mod:`vfs.table` (page table), :mod:`vfs.sessions` (shared tables and pins),
:mod:`vfs.volume` (reading, writing, committing), :mod:`vfs.reclaim` and :mod:`vfs.recovery` (giving slots back),
:mod:`vfs.store` (one open store), :mod:`vfs.sqlite_vfs` (what SQLite sees).
"""
