"""Give every test a clone: the tests change the same data without affecting each other."""

import clusterdb

with clusterdb.open(":memory:") as store:
    template = store.create_cluster("template")
    connection = template.connect()
    connection.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER)")
    connection.executemany(
        "INSERT INTO accounts VALUES (?, ?, ?)", [(number, f"owner {number}", 100) for number in range(1, 10_001)]
    )
    connection.close()

    for test in ("withdrawal", "closing"):
        clone = template.clone(f"test-{test}")
        connection = clone.connect()
        if test == "withdrawal":
            connection.execute("UPDATE accounts SET balance = balance - 30 WHERE id = 7")
        else:
            connection.execute("DELETE FROM accounts WHERE id = 7")
        print(test, connection.execute("SELECT count(*), sum(balance) FROM accounts").fetchall()[0])
        connection.close()
        clone.delete()

    connection = template.connect(read_only=True)
    print("template", connection.execute("SELECT count(*), sum(balance) FROM accounts").fetchall()[0])
    connection.close()
