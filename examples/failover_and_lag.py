"""Read from a lagging reader, fail over in the middle of a transaction, and go back in time."""

import apsw

import clusterdb

store = clusterdb.open(":memory:")
shop = store.create_cluster("shop", backtrack_window_s=3600)
shop.add_instance("w1")
shop.add_instance("r1", promotion_tier=0, replica_lag_ms=60_000)

writer, reader = shop.connect("writer"), shop.connect("reader")
writer.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item)")
shop.modify_instance("r1", replica_lag_ms=0)
print("orders on the reader:", reader.execute("SELECT count(*) FROM orders").get)

shop.modify_instance("r1", replica_lag_ms=60_000)
good = shop.stats().version
writer.execute("INSERT INTO orders (item) VALUES ('umbrella')")
print("orders on the reader, with lag:", reader.execute("SELECT count(*) FROM orders").get)

writer.execute("BEGIN IMMEDIATE; INSERT INTO orders (item) VALUES ('never paid')")
print("the new writer is", shop.failover())
try:
    writer.execute("COMMIT")
except (clusterdb.InstanceRestartedError, apsw.Error) as error:
    print("the old writer fails:", error)

connection = shop.connect()
print("orders after the failover:", connection.execute("SELECT item FROM orders").fetchall())
shop.backtrack(good)
print("orders after the backtrack:", connection.execute("SELECT item FROM orders").fetchall())
store.close()
