"""Django database backend: ``"ENGINE": "clusterdb.django"``, ``"NAME"`` a cluster, ``"OPTIONS": {"store": ...}``.

Test databases are clusters in the same store, by default ``test_`` and the name; ``manage.py test --parallel`` clones
them, each in constant time.  With ``"TEST": {"TEMPLATE": "prod"}`` the test database is a clone of that cluster, to
which the missing migrations are applied, as the PostgreSQL backend does with a template database; ``"prod@nightly"`` or
another point in time is accepted too.  The name ``":memory:"`` is an anonymous cluster, of which each process gets a
copy.
``clusterdb.django.test.SnapshotMixin`` resets a ``TransactionTestCase`` to a snapshot instead of flushing tables.
"""
