"""Giving slots back: which are free (:mod:`vfs.reclaim.queue`, the rules R1 to R9), and who finds the rest.

:mod:`vfs.reclaim.unreachable` (what only a pin, the past or a head reaches), :mod:`vfs.reclaim.absorb`,
:mod:`vfs.reclaim.cleanup` (released pins and dropped volumes), :mod:`vfs.reclaim.retention` (past versions) and
:mod:`vfs.reclaim.sweep` (what killed processes leaked).
"""
