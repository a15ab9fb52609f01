"""Everything below SQL: the copy-on-write page pool and the SQLite VFS over it.

Read ``vfs/DESIGN.md`` first.  From the bottom up: :mod:`vfs.format` (bytes), :mod:`vfs.storage` (allocation
map, page table, sessions, volumes: reading, writing, committing), :mod:`vfs.reclaim` (freeing slots), :mod:`vfs.tools`
(recovery, checks and dumps), :mod:`vfs.store` (one open store), :mod:`vfs.sqlite` (what SQLite sees).
"""
