"""Every kind of table."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import apsw

import clusterdb
from tests.support.dbhash import dbhash
from tests.support.stores import rows
from tests.vfs.features.content import FEATURES, QUERIES, hash_of


def test_every_kind_of_table_answers_as_in_a_plain_file(
    cluster: clusterdb.Cluster, connection: apsw.Connection, plain_sample: Path, tmp_path: Path
) -> None:
    """FTS5, R-Tree, JSON, STRICT, WITHOUT ROWID, generated columns, views and triggers answer as in a plain file."""
    connection.execute(FEATURES)
    with closing(apsw.Connection(str(shutil.copy(plain_sample, tmp_path)))) as plain:
        plain.execute(FEATURES)
        for query in QUERIES:
            answers = rows(cluster.connect(), query)
            assert answers == rows(plain, query), query
            assert answers or query == "PRAGMA foreign_key_check", query
        assert hash_of(cluster) == dbhash(plain)
        connection.execute("INSERT INTO docs (docs) VALUES ('integrity-check')")
