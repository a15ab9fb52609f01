"""The SQLite boundary: :mod:`vfs.sqlite.vfs`, the files it opens (:mod:`vfs.sqlite.file`), and which it refuses
(:mod:`vfs.sqlite.own_files`)."""
