"""A store with a small shop in it."""

from __future__ import annotations

from contextlib import closing

import clusterdb

__all__ = ["fill"]


def fill(store: clusterdb.Store) -> None:
    """A database ``prod`` with a past, a snapshot and instances; its clone ``dev`` with changes; an orphaned clone."""
    prod = store.create_cluster("prod", backup_retention_days=1, backtrack_window_s=3600, tags={"note": "the shop"})
    with closing(prod.connect()) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, amount REAL)")
        connection.execute("CREATE TABLE customers (name TEXT PRIMARY KEY, country TEXT)")
        connection.execute(
            "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 300) "
            "INSERT INTO orders SELECT x, 'customer ' || (x % 5), x * 1.5 FROM n"
        )
        prod.snapshot("monday")
        connection.execute("INSERT INTO customers SELECT DISTINCT customer, 'NO' FROM orders")
    dev = prod.clone("dev")
    with closing(dev.connect()) as connection:
        connection.execute("DELETE FROM orders WHERE id > 290")
        connection.execute("UPDATE customers SET country = 'SE' WHERE name = 'customer 1'")
        connection.execute("CREATE INDEX by_customer ON orders (customer)")
    gone = prod.clone("gone")
    gone.clone("orphan")
    gone.delete()
    prod.add_instance("prod-1")
    prod.add_instance("prod-2", replica_lag_ms=100)
