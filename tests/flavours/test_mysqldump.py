"""What mariadb-dump writes of a real database, loaded: the same rows in tables and views, the same constraints."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

import clusterdb
from tests.flavours import servers
from tests.flavours.cases.case import normalised

SCHEMA = r"""
CREATE TABLE parent (id INT UNSIGNED NOT NULL AUTO_INCREMENT, name VARCHAR(50) NOT NULL DEFAULT '',
  kind ENUM('a','b') DEFAULT 'a', tags SET('x','y','z'), price DECIMAL(10,2) UNSIGNED DEFAULT 0.00,
  ok TINYINT(1) NOT NULL DEFAULT 1, born DATE, at DATETIME(6), body LONGTEXT, doc JSON, raw VARBINARY(20),
  stamp TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, ratio DOUBLE, f FLOAT,
  big BIGINT UNSIGNED, PRIMARY KEY (id), UNIQUE KEY u_name (name(20)), KEY k_kind (kind, born),
  FULLTEXT KEY ft (body)) ENGINE=InnoDB COMMENT='people; "quoted"';
CREATE TABLE child (id INT PRIMARY KEY, parent_id INT UNSIGNED, note TEXT,
  total INT GENERATED ALWAYS AS (id * 2) VIRTUAL, CONSTRAINT fk_parent FOREIGN KEY (parent_id) REFERENCES parent (id)
  ON DELETE CASCADE ON UPDATE CASCADE, CONSTRAINT pos CHECK (id > 0));
CREATE TABLE `a b` (`select` INT, `q``q` VARCHAR(5) COLLATE utf8mb4_bin DEFAULT 'it''s')
  PARTITION BY HASH (`select`) PARTITIONS 2;
CREATE TABLE others (a TIME, y YEAR, b BINARY(4), c CHAR(10), l LONGBLOB);
CREATE VIEW totals AS SELECT p.id AS id, p.name AS name, COUNT(c.id) AS children FROM parent p
  LEFT JOIN child c ON c.parent_id = p.id GROUP BY p.id, p.name;
CREATE VIEW above AS SELECT * FROM totals WHERE children > 0;
"""
PARENTS: list[tuple[Any, ...]] = [
    (
        *(1, "Ada", "a", "x,z", "12.50", "1990-01-02", "2024-01-02 03:04:05.123456"),
        *('it\'s a "test"\nnew\\line;\t-- no /* */', '{"a": [1, 2]}', b"\x00\x01'\"\\\n\xff", 1.5, 0.1, 2**63 - 1),
    ),
    (2, "Bob", None, None, "0.00", None, None, None, None, None, None, None, None),
    *(
        (n, f"n{n}", "b", "y", f"{n}.25", "2000-02-03", "2024-01-02 03:04:05", "ünïcode 😀", None, b"ab", n / 3, 0.5, n)
        for n in range(3, 60)
    ),
]
DATA: dict[str, list[tuple[Any, ...]]] = {
    "parent (id, name, kind, tags, price, born, at, body, doc, raw, ratio, f, big)": PARENTS,
    "child (id, parent_id, note)": [(n, n % 5 + 1, "note /* x */ `b`") for n in range(1, 30)],
    "`a b`": [(1, "x"), (2, None)],
    "others": [("10:11:12", 2024, b"ab", "char", b"\x00bin")],
}
TABLES = ("parent", "child", "`a b`", "others", "totals", "above")
OPTIONS = {
    "as it is": [],
    "a row a statement": ["--skip-extended-insert", "--complete-insert"],
    "bytes as digits": ["--hex-blob", "--no-autocommit"],
    "names in double quotes": ["--compatible=ansi", "--default-character-set=utf8mb4"],
    "without its frame": ["--skip-opt"],
}


@pytest.fixture(scope="module")
def source(mysql_server: Any) -> Iterator[tuple[Any, Any]]:
    """A server with a database, and a cursor there."""
    connection = mysql_server.connect()
    cursor = connection.cursor()
    for statement in SCHEMA.strip().split(";\n"):
        cursor.execute(statement.removesuffix(";"))
    for target, rows in DATA.items():
        cursor.executemany(f"INSERT INTO {target} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)
    yield mysql_server, cursor
    connection.close()


def _dumped(server: Any, options: list[str]) -> str:
    """What mariadb-dump writes."""
    program = shutil.which("mariadb-dump", path=servers.PATH)
    if program is None:
        pytest.skip("mariadb-dump is not installed")
    command = [program, "--no-defaults", f"--socket={server.socket}", "--user=root", *options, "fresh"]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8", "surrogateescape")


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_fresh_mysqldump_is_loaded_completely(source: tuple[Any, Any], options: list[str]) -> None:
    """Every statement is taken, and every table and view has the server's rows."""
    server, cursor = source
    dump = _dumped(server, options)
    with clusterdb.open(":memory:") as store:
        connection = clusterdb.connect(store.create_cluster("loaded", engine="aurora-mysql"), autocommit=True)
        connection.executescript(dump)
        assert not connection.in_transaction
        for table in TABLES:
            query = f"SELECT * FROM {table} ORDER BY 1"
            cursor.execute(query)
            expected = normalised(cursor.fetchall())
            assert normalised(connection.execute(query).fetchall()) == expected, table
        assert connection.execute("SELECT @@foreign_key_checks, @@unique_checks, @@autocommit").fetchone() in (
            (1, 1, 1),
            (1, 1, 0),
        )
        with pytest.raises(clusterdb.IntegrityError):
            connection.execute("INSERT INTO child (id, parent_id) VALUES (1000, 1000)")
        connection.close()
