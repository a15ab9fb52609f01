"""Django database backend: ``"ENGINE": "clusterdb.django"``, ``"NAME"`` a cluster, ``"OPTIONS": {"store": ...}``.

Test databases are clusters beside it; ``manage.py test --parallel`` clones them, in constant time each.  The name
``":memory:"`` is an anonymous cluster, of which each process gets a copy.
``clusterdb.django.test.SnapshotMixin`` lets a ``TransactionTestCase`` go back to a snapshot instead of flushing tables.
"""
