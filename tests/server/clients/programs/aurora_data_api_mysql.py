# mypy: ignore-errors
"""aurora-data-api on MySQL: transactions, types, many rows, and the classes of errors."""

import datetime
import decimal
import json
import os

import aurora_data_api

options = {"aurora_cluster_arn": os.environ["RESOURCE_ARN"], "secret_arn": os.environ["SECRET_ARN"], "database": "shop"}
shown = {}
with aurora_data_api.connect(**options) as connection, connection.cursor() as cursor:
    cursor.execute(
        "INSERT INTO items (name, price) VALUES (:name, :price)", {"name": "pear", "price": decimal.Decimal("2.50")}
    )
    shown["lastrowid"], shown["inserted"] = cursor.lastrowid, cursor.rowcount
    moment = datetime.datetime(2024, 2, 29, 12, 30)
    cursor.execute("UPDATE items SET sold = :at WHERE name = :name", {"at": moment, "name": "pear"})
    cursor.executemany("INSERT INTO items (name, price) VALUES (:name, 1)", [{"name": f"n{at}"} for at in range(1500)])
    cursor.execute("SELECT name, price, sold, fresh FROM items WHERE id <= 2 ORDER BY id")
    shown["description"] = [[column.name, column.type_code.__name__] for column in cursor.description]
    shown["rows"] = [[str(value) for value in row] for row in cursor.fetchall()]
    cursor.execute("SELECT count(*) FROM items")
    shown["count"] = cursor.fetchone()[0]

try:
    with aurora_data_api.connect(**options) as connection:
        connection.cursor().execute("DELETE FROM items")
        raise KeyError
except KeyError:
    pass
with aurora_data_api.connect(**options) as connection:
    cursor = connection.cursor()
    cursor.execute("SELECT count(*) FROM items")
    shown["count after rollback"] = cursor.fetchone()[0]
    shown["errors"] = []
    for sql in ("INSERT INTO items (id, name) VALUES (1, 'x')", "INSERT INTO items (name) VALUES (NULL)"):
        try:
            cursor.execute(sql)
        except aurora_data_api.DatabaseError as error:
            shown["errors"].append([type(error).__name__, str(error.args[0])])
print(json.dumps(shown))
