"""Bytes: what is stored in a store's files, and nothing else.

:mod:`vfs.format.layout` (the pool: durable), :mod:`vfs.format.shared` (the allocation map and the shared tables:
derived) and :mod:`vfs.format.locks` (offsets in the lock file).
"""
