"""The catalog: ``catalog.db`` lists the clusters, and the volumes and pins that hold their data.

:mod:`clusterdb.catalog.catalog` is the whole; :mod:`clusterdb.catalog.database` (connection, transactions) and
:mod:`clusterdb.catalog.schema` are below the tables: :mod:`clusterdb.catalog.clusters`,
:mod:`clusterdb.catalog.instances`, :mod:`clusterdb.catalog.snapshots`, :mod:`clusterdb.catalog.volumes` and
:mod:`clusterdb.catalog.events`.  :mod:`clusterdb.catalog.rows` checks what they read.
"""
