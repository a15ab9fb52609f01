"""Whole-store work: :mod:`vfs.tools.recovery`, :mod:`vfs.tools.check`, :mod:`vfs.tools.dump`,
:mod:`vfs.tools.consistency`."""
