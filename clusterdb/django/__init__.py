"""Django database backend: ``"ENGINE": "clusterdb.django"``, ``"NAME"`` a cluster, ``"OPTIONS": {"store": ...}``.

Test databases are clusters in the same store; ``manage.py test --parallel`` clones them, each in constant time.  The
name ``":memory:"`` is an anonymous cluster, of which each process gets a copy.
``clusterdb.django.test.SnapshotMixin`` resets a ``TransactionTestCase`` to a snapshot instead of flushing tables.
"""
