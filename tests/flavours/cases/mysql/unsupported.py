"""Statements that are refused."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql.schemas import NUMBERS, ORDERS, PEOPLE

UNSUPPORTED = [
    Case("stored procedures", (), "CREATE PROCEDURE p () BEGIN SELECT 1; END", unsupported=True),
    Case("stored procedures", (), "CALL p(1)", unsupported=True),
    Case("CREATE FUNCTION", (), "CREATE FUNCTION f (a INT) RETURNS INT DETERMINISTIC RETURN a + 1", unsupported=True),
    Case("triggers", NUMBERS, "CREATE TRIGGER t BEFORE INSERT ON numbers FOR EACH ROW SET NEW.n = 1", unsupported=True),
    Case("users and privileges", (), "CREATE USER 'ada'@'%' IDENTIFIED BY 'secret'", unsupported=True),
    Case("users and privileges", NUMBERS, "GRANT SELECT ON numbers TO 'ada'@'%'", unsupported=True),
    Case("CREATE DATABASE / SCHEMA", (), "CREATE DATABASE other", unsupported=True),
    Case("geometry", (), "CREATE TABLE t (place GEOMETRY NOT NULL)", unsupported=True),
    Case("geometry", (), "SELECT ST_Distance(POINT(0, 0), POINT(3, 4))", unsupported=True),
    Case("full-text search", PEOPLE, "SELECT name FROM people WHERE MATCH (name) AGAINST ('ada')", unsupported=True),
    Case("LOAD DATA / COPY", NUMBERS, "LOAD DATA INFILE 'n.csv' INTO TABLE numbers", unsupported=True),
    Case("LOAD DATA / COPY", NUMBERS, "SELECT n INTO OUTFILE 'n.csv' FROM numbers", unsupported=True),
    Case("two-phase commit", (), "XA START 'one'", unsupported=True),
    Case("PREPARE / EXECUTE", (), "PREPARE s FROM 'SELECT 1'", unsupported=True),
    Case("events", (), "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t", unsupported=True),
    Case(
        "GROUPING SETS / ROLLUP",
        ORDERS,
        "SELECT customer_id, SUM(price) FROM orders GROUP BY customer_id WITH ROLLUP",
        unsupported=True,
    ),
    Case("LATERAL", ORDERS, "SELECT * FROM customers c, LATERAL (SELECT c.id + 1 AS x) AS l", unsupported=True),
    Case("advisory locks", (), "SELECT GET_LOCK('mine', 0)", unsupported=True),
    Case("replication and server control", (), "SHOW MASTER STATUS", unsupported=True),
    Case("replication and server control", (), "KILL 1", unsupported=True),
    Case("HANDLER", NUMBERS, "HANDLER numbers OPEN", unsupported=True),
]
