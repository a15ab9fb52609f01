"""Tables that several areas of cases use."""

from __future__ import annotations

PEOPLE = (
    "CREATE TABLE people (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) NOT NULL, team VARCHAR(20), "
    "born DATE, pay DECIMAL(10,2))",
    "INSERT INTO people (name, team, born, pay) VALUES ('Ada', 'red', '1815-12-10', 120.50), "
    "('Bob', 'blue', '1990-01-31', 80.00), ('Cy', 'red', '2000-02-29', 99.50), ('Dee', NULL, NULL, NULL)",
)
COUNTERS = (
    "CREATE TABLE counters (word VARCHAR(20) PRIMARY KEY, n INT NOT NULL DEFAULT 0, m INT NOT NULL DEFAULT 0)",
    "INSERT INTO counters VALUES ('a', 1, 10), ('b', 2, 20)",
)
ORDERS = (
    "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20), total INT NOT NULL DEFAULT 0)",
    "CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, price INT)",
    "INSERT INTO customers (id, name) VALUES (1, 'Ann'), (2, 'Ben'), (3, 'Cat')",
    "INSERT INTO orders VALUES (10, 1, 5), (11, 1, 7), (12, 2, 9), (13, NULL, 1)",
)
NUMBERS = ("CREATE TABLE numbers (n INT)", "INSERT INTO numbers VALUES (3), (1), (2), (NULL), (5)")
WORDPRESS = (
    "CREATE TABLE `wp_options` (`option_id` bigint(20) unsigned NOT NULL AUTO_INCREMENT, "
    "`option_name` varchar(191) NOT NULL DEFAULT '', `option_value` longtext NOT NULL, "
    "`autoload` varchar(20) NOT NULL DEFAULT 'yes', PRIMARY KEY (`option_id`), "
    "UNIQUE KEY `option_name` (`option_name`), KEY `autoload` (`autoload`)) "
    "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci",
)

NUMBERED = ("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)",)
SETS = ("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, s SET('a','b','c'), e ENUM('x','y','It''s') NOT NULL)",)
SET_ROWS = "INSERT INTO t (s, e) VALUES ('C,a', 'Y'), ('', 3), (5, 'x'), (NULL, 'it''s'), ('b,b', '2')"
PLAIN = (
    "CREATE TABLE t (id INT, v VARCHAR(10), w INT DEFAULT 3, KEY kv (v), KEY kw (w, v))",
    "INSERT INTO t VALUES (1, '5', 3), (2, '6', 4)",
)
KEYED = ("CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, n INT)", "INSERT INTO t (n) VALUES (7), (8)")
FAMILY = (
    "CREATE TABLE p (id INT NOT NULL PRIMARY KEY, n INT)",
    "CREATE TABLE c (id INT NOT NULL PRIMARY KEY, p INT)",
    "INSERT INTO p VALUES (1, 1), (2, 2)",
    "INSERT INTO c VALUES (1, 1), (2, NULL)",
)
LINK = "ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE"
