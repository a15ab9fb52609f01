"""Recover deleted rows from a clone of the past, and a deleted cluster from a snapshot."""

from datetime import datetime, timezone

import clusterdb

store = clusterdb.open(":memory:")
prod = store.create_cluster("prod", backup_retention_days=1)
connection = prod.connect()
connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name)")
connection.execute("INSERT INTO users (name) VALUES ('Ada'), ('Grace'), ('Edsger')")
prod.snapshot("nightly")

before = datetime.now(timezone.utc)
connection.execute("DELETE FROM users WHERE name = 'Grace'")  # by mistake

then = prod.clone("then", at=before).connect()
print("before the mistake:", then.execute("SELECT group_concat(name) FROM users").get)
print("now:", connection.execute("SELECT group_concat(name) FROM users").get)

then.close()
connection.close()
for name in ("then", "prod"):
    store.cluster(name).delete()  # the snapshot remains
restored = store.restore_snapshot("nightly", "prod")
print("restored:", restored.connect().execute("SELECT count(*) FROM users").get, "users")
for bill in store.bills():
    print(f"{bill.kind} {bill.name} pays {float(bill.bytes):.0f} bytes")
store.close()
