# mypy: ignore-errors
"""aurora-data-api on PostgreSQL: transactions, types, arrays, errors, and more rows than a response may have."""

import datetime
import decimal
import json
import os
import uuid

import aurora_data_api

options = {"aurora_cluster_arn": os.environ["RESOURCE_ARN"], "secret_arn": os.environ["SECRET_ARN"], "database": "shop"}
shown = {}
with aurora_data_api.connect(**options) as connection, connection.cursor() as cursor:
    cursor.execute(
        "INSERT INTO items (name, price, sold, key) VALUES (:name, :price, :sold, :key::uuid) RETURNING id",
        {
            "name": "pear",
            "price": decimal.Decimal("2.50"),
            "sold": datetime.datetime(2024, 2, 29, 12, 30),
            "key": str(uuid.UUID(int=7)),
        },
    )
    shown["id"] = cursor.fetchone()[0]
    cursor.execute("SELECT name, price, sold, fresh, key, tags FROM items ORDER BY id")
    shown["description"] = [[column.name, getattr(column.type_code, "__name__", "?")] for column in cursor.description]
    shown["rows"] = [[value if isinstance(value, list) else str(value) for value in row] for row in cursor.fetchall()]
    cursor = connection.cursor()  # its description is that of the first page
    cursor.execute("SELECT generate_series AS n, repeat('x', 2000) AS x FROM generate_series(1, 1500)")
    rows = cursor.fetchall()
    shown["pages"] = [len(rows), rows[0][0], rows[-1][0], len(rows[700][1])]

shown["errors"] = []
for sql in ("SELECT * FROM missing", "INSERT INTO items (id, name) VALUES (1, 'x')", "SELEC 1"):
    connection = aurora_data_api.connect(**options)
    try:
        connection.cursor().execute(sql)
    except aurora_data_api.DatabaseError as error:
        shown["errors"].append([type(error).__name__, str(error.args[0])])
    connection.rollback()
print(json.dumps(shown))
