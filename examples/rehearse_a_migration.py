"""Rehearse a migration on a clone of the real data, and inspect its changes with a diff and in an exported file."""

import tempfile
from pathlib import Path

import clusterdb

with tempfile.TemporaryDirectory() as folder, clusterdb.open(Path(folder) / "store") as store:
    prod = store.create_cluster("prod")
    connection = prod.connect()
    connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
    connection.executemany("INSERT INTO people (name) VALUES (?)", [("Ada Lovelace",), ("Grace Hopper",), ("Cher",)])
    connection.close()

    rehearsal = prod.clone("rehearsal")
    connection = rehearsal.connect()
    connection.execute("ALTER TABLE people ADD COLUMN family TEXT")
    connection.execute("UPDATE people SET family = substr(name, instr(name, ' ') + 1)")
    unchanged = connection.execute("SELECT name FROM people WHERE family = name").fetchall()
    connection.close()
    print("people without a separate family name:", [name for (name,) in unchanged])

    print(store.diff(prod, rehearsal).text())

    rehearsal.export(Path(folder) / "rehearsal.db")
    print("exported", (Path(folder) / "rehearsal.db").stat().st_size, "bytes for inspection")
    rehearsal.delete()
    print("clusters left:", [cluster.name for cluster in store.clusters()])
