"""The way to SQLite for the rooms above: connections (:mod:`clusterdb.access.sqlite`), errors from below as ours
(:mod:`clusterdb.access.translate`), plain files in and out (:mod:`clusterdb.access.copies`), and connections for SQL
that
is not trusted (:mod:`clusterdb.access.untrusted`)."""
