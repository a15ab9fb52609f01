"""Tests that commit orders: every test has a clone of its own, which no other test changes."""

from concurrent.futures import ThreadPoolExecutor


def test_order_reduces_the_stock(client):
    answer = client.post("/products/product-77/orders", data={"count": 7})
    assert (answer.status_code, answer.json) == (201, {"stock": 70})
    assert client.get("/products/product-77").json == {"name": "product-77", "stock": 70, "sold": 7}


def test_stock_is_unchanged_at_start(client):
    assert client.get("/products/product-77").json == {"name": "product-77", "stock": 77, "sold": 0}


def test_order_beyond_the_stock_is_refused(client, clusterdb):
    answer = client.post("/products/product-77/orders", data={"count": 78})
    assert answer.status_code == 409
    assert not clusterdb.diff()  # no row differs from the template


def test_concurrent_orders(client, clusterdb):
    def order(_):
        return client.application.test_client().post("/products/product-50/orders", data={"count": 10}).status_code

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(order, range(8)))
    assert sorted(answers) == [201] * 5 + [409] * 3
    changed = {table.name: len(table.changes) for table in clusterdb.diff().tables}
    assert changed == {"orders": 5, "products": 1}
