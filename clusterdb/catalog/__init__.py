"""The catalog: ``catalog.db`` records the clusters of a store, and their volumes and pins.

:mod:`clusterdb.catalog.catalog` combines the tables: :mod:`clusterdb.catalog.clusters`,
:mod:`clusterdb.catalog.instances`, :mod:`clusterdb.catalog.snapshots`, :mod:`clusterdb.catalog.volumes`,
:mod:`clusterdb.catalog.events` and :mod:`clusterdb.catalog.documents`.
They use :mod:`clusterdb.catalog.database` (connection, transactions) and :mod:`clusterdb.catalog.schema`;
:mod:`clusterdb.catalog.rows` checks the rows that they read.
"""
