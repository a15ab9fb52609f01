"""The SQLite boundary: :mod:`vfs.sqlite.vfs`, the files it opens (:mod:`vfs.sqlite.file`), and the files it refuses
(:mod:`vfs.sqlite.own_files`)."""
