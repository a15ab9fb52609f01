"""Access to SQLite for the rooms above: connections (:mod:`clusterdb.access.sqlite`), translation of errors from lower
layers (:mod:`clusterdb.access.translate`), import and export of plain files (:mod:`clusterdb.access.copies`), and
connections for untrusted SQL (:mod:`clusterdb.access.untrusted`)."""
