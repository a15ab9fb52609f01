"""Snapshots outlive their cluster; a clone of a past moment shows what somebody deleted."""

from datetime import datetime, timezone

import clusterdb

store = clusterdb.open(":memory:")
prod = store.create_cluster("prod", backup_retention_days=1)
connection = prod.connect()
connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name)")
connection.execute("INSERT INTO users (name) VALUES ('Ada'), ('Grace'), ('Edsger')")
prod.snapshot("nightly")

before = datetime.now(timezone.utc)
connection.execute("DELETE FROM users WHERE name = 'Grace'")  # an accident

then = prod.clone("then", at=before).connect()
print("a moment ago:", then.execute("SELECT group_concat(name) FROM users").get)
print("now:", connection.execute("SELECT group_concat(name) FROM users").get)

then.close()
connection.close()
for name in ("then", "prod"):
    store.cluster(name).delete()  # a worse accident
again = store.restore_snapshot("nightly", "prod")
print("restored:", again.connect().execute("SELECT count(*) FROM users").get, "users")
for bill in store.bills():
    print(f"{bill.kind} {bill.name} pays {float(bill.bytes):.0f} bytes")
store.close()
