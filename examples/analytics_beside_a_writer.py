"""Run a long report on a clone while the source is written to: the report sees one consistent state."""

import clusterdb

with clusterdb.open(":memory:") as store:
    shop = store.create_cluster("shop")
    writer = shop.connect()
    writer.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, product TEXT, amount INTEGER)")
    writer.executemany(
        "INSERT INTO orders (product, amount) VALUES (?, ?)",
        [(f"product {number % 10}", number % 7) for number in range(20_000)],
    )

    report = shop.clone("report-today").connect(read_only=True)
    before = report.execute("SELECT count(*), sum(amount) FROM orders").fetchall()[0]
    for number in range(500):
        writer.execute("INSERT INTO orders (product, amount) VALUES ('product 1', ?)", (number,))
    after = report.execute("SELECT count(*), sum(amount) FROM orders").fetchall()[0]

    print("the report sees", before, "and later", after)
    print("the source has", writer.execute("SELECT count(*), sum(amount) FROM orders").fetchall()[0])
