"""Freeing slots: :mod:`vfs.reclaim.queue` decides when a superseded slot is free (the rules R1 to R9).

:mod:`vfs.reclaim.unreachable` (slots that only a pin, the past or a head reaches), :mod:`vfs.reclaim.absorb`,
:mod:`vfs.reclaim.cleanup` (released pins and dropped volumes), :mod:`vfs.reclaim.retention` (past versions) and
:mod:`vfs.reclaim.sweep` (slots that killed processes leaked).
"""
