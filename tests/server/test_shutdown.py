"""A server that is asked to end ends at once and leaves a whole store, whatever its clients have open."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from uvicorn.protocols.http import auto

import clusterdb
from clusterdb.server import running
from tests.server.processes import ARN, SECRET, client, start
from tests.server.rds.helpers import create
from tests.support.stores import assert_clean

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_streams_queries_and_transactions_end_with_the_server(tmp_path: Path, number: signal.Signals) -> None:
    process, url = start(tmp_path / "store")
    with ThreadPoolExecutor(4) as pool:
        try:
            create(client("rds", url), "prod", EnableHttpEndpoint=True)
            named = {"resourceArn": f"{ARN}prod", "secretArn": SECRET}
            data = client("rds-data", url)
            data.execute_statement(sql="CREATE TABLE t(id bigint)", **named)
            data.execute_statement(sql="INSERT INTO t VALUES (1)", **named)
            transaction = data.begin_transaction(**named)["transactionId"]
            data.execute_statement(sql="INSERT INTO t VALUES (2)", transactionId=transaction, **named)

            def call(sql: str) -> Any:
                return client("rds-data", url).execute_statement(sql=sql, **named)

            working = [pool.submit(call, ENDLESS) for _ in range(2)]
            waiting = pool.submit(call, "INSERT INTO t VALUES (3)")
            address = urlsplit(url)
            streams = [socket.create_connection((address.hostname, address.port), 60) for _ in range(3)]
            for topic, stream in zip(("databases", "lag:prod", "databases"), streams, strict=True):
                stream.sendall(f"GET /events?topic={topic} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
                assert stream.recv(15) == b"HTTP/1.1 200 OK"
            process.send_signal(number)
            assert process.wait(60) == 0
            for stream in streams:
                with stream:
                    while stream.recv(65536):
                        pass
            for future in working:
                assert isinstance(future.exception(60), ClientError | BotoCoreError)
            waited = waiting.exception(60)  # the transaction for which it waits is rolled back: it may go through
            assert waited is None or isinstance(waited, ClientError | BotoCoreError)
            assert process.communicate() == ("", "")
        finally:
            process.kill()
            process.communicate()
    with clusterdb.open(tmp_path / "store", create=False) as store:
        with store.cluster("prod").connect() as connection:
            expected = [(1,)] if waited is not None else [(1,), (3,)]
            assert connection.execute("SELECT id FROM t").fetchall() == expected
        assert_clean(store)


def test_connections_that_come_late_are_closed_by_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client may keep one open that was accepted while uvicorn closed the others."""
    passed_over: set[object] = set()
    protocol: Any = auto.AutoHTTPProtocol
    shutdown = protocol.shutdown

    def pass_over(self: object) -> None:
        if self in passed_over:
            shutdown(self)
        passed_over.add(self)

    monkeypatch.setattr(protocol, "shutdown", pass_over)
    with clusterdb.open(tmp_path / "store", create=True) as store, running(store) as server:
        client = socket.create_connection((server.host, server.port), 60)
        client.sendall(f"GET /healthz HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n\r\n".encode())
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    assert passed_over
    assert "timeout graceful shutdown exceeded" not in caplog.text
    client.close()
