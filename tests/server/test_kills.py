"""A server that is killed loses nothing that it has acknowledged, and its store is whole."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

import clusterdb
from tests.server.processes import ARN, SECRET, client, start
from tests.server.rds.helpers import clone, create
from tests.support.stores import assert_clean

KILLS, CLIENTS, REQUESTS = 8, 16, 10_000


class _CutOff(Exception):
    """The server was killed between the head and the body of an answer, which botocore takes for an empty body."""


@dataclass
class Client:
    """One client's calls, what the server has acknowledged of them, and what it may have done."""

    number: int
    rds: Any
    data: Any
    clones: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    tagged: dict[str, str] = field(default_factory=dict)
    rows: set[int] = field(default_factory=set)
    doubtful: set[str | int] = field(default_factory=set)
    """Names of clusters and rows whose call was not answered: it may have been carried out."""
    step: int = 0

    def work(self, enough: threading.Semaphore) -> None:
        """Call until the server is killed."""
        actions = itertools.cycle(
            (self.insert, self.clone, self.insert, self.tag, self.transfer, self.clone, self.drop)
        )
        try:
            while True:
                self.step += 1
                next(actions)()
                enough.release()
        except (BotoCoreError, ClientError, ResponseParserError, _CutOff) as error:  # the parser's: cut off, too
            if isinstance(error, ClientError):
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503, error

    def clone(self) -> None:
        name = f"c{self.number}-{self.step}"
        self.doubtful.add(name)
        clone(self.rds, "prod", name)
        self.doubtful.remove(name)
        self.clones.add(name)

    def tag(self) -> None:
        name = max(self.clones)
        self.tagged.pop(name, None)
        self.rds.add_tags_to_resource(ResourceName=ARN + name, Tags=[{"Key": "step", "Value": str(self.step)}])
        self.tagged[name] = str(self.step)

    def drop(self) -> None:
        name = min(self.clones)
        self.clones.remove(name)
        self.tagged.pop(name, None)
        self.doubtful.add(name)
        self.rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
        self.doubtful.remove(name)
        self.deleted.add(name)

    def insert(self) -> None:
        row = self.number * 1_000_000 + self.step
        self.doubtful.add(row)
        self.execute(f"INSERT INTO t VALUES ({row})")
        self.doubtful.remove(row)
        self.rows.add(row)

    def transfer(self) -> None:
        """A transaction of several calls."""
        row = self.number * 1_000_000 + self.step
        self.doubtful.add(row)
        answer = self.data.begin_transaction(resourceArn=f"{ARN}prod", secretArn=SECRET)
        if "transactionId" not in answer:
            raise _CutOff
        transaction = answer["transactionId"]
        self.execute(f"INSERT INTO t VALUES ({row})", transactionId=transaction)
        self.data.commit_transaction(resourceArn=f"{ARN}prod", secretArn=SECRET, transactionId=transaction)
        self.doubtful.remove(row)
        self.rows.add(row)

    def execute(self, sql: str, **more: Any) -> None:
        self.data.execute_statement(resourceArn=f"{ARN}prod", secretArn=SECRET, sql=sql, **more)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_kills(tmp_path: Path) -> None:
    store = tmp_path / "store"
    process, url = start(store)
    port = urlsplit(url).port
    assert port is not None
    create(client("rds", url), "prod", EnableHttpEndpoint=True)
    clients = [Client(number, client("rds", url), client("rds-data", url)) for number in range(CLIENTS)]
    clients[0].execute("CREATE TABLE t(id bigint PRIMARY KEY)")
    for kill in range(KILLS):
        if kill:
            process, _ = start(store, port)
        enough = threading.Semaphore(0)
        with ThreadPoolExecutor(CLIENTS) as pool:
            working = [pool.submit(one.work, enough) for one in clients]
            try:
                for _ in range(REQUESTS // KILLS):
                    assert enough.acquire(timeout=60)
            finally:
                process.kill()
                process.communicate()
        for future in working:
            future.result()
    assert_kept(store, clients)


def assert_kept(store: Path, clients: list[Client]) -> None:
    doubtful = set().union(*(one.doubtful for one in clients))
    with clusterdb.open(store, create=False) as opened:
        names = {cluster.name: cluster.settings.tags for cluster in opened.clusters()}
        clones = set().union(*(one.clones for one in clients))
        assert clones <= names.keys()
        assert names.keys() <= clones | doubtful | {"prod"}  # so the deleted ones are gone
        for one in clients:
            tagged = {name: names[name]["step"] for name in one.tagged}
            assert tagged == one.tagged
        with opened.cluster("prod").connect() as connection:
            rows = {row for (row,) in connection.execute("SELECT id FROM t")}
        acknowledged = set().union(*(one.rows for one in clients))
        assert acknowledged <= rows <= acknowledged | doubtful
        documents = {cluster for cluster, name, _ in opened.context.catalog.documents.all("DBCluster")}
        assert documents == {cluster.id for cluster in opened.clusters()}
        assert_clean(opened)
