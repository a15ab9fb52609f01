"""The server over HTTP: guards on every route, limits, protocols of errors, shutdown; and the command."""

from __future__ import annotations

import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import clusterdb
from clusterdb.errors import InvalidArgumentError
from clusterdb.server import Running, background, guard, mock_aws, running, session
from clusterdb.server.app import BODY_BYTES_MAX
from clusterdb.server.rds import clusters

SCOPE = "AWS4-HMAC-SHA256 Credential=a/20260131/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
FORM = {"content-type": "application/x-www-form-urlencoded"}
RDS = {"authorization": SCOPE.format("rds"), **FORM}


class Answer:
    """A response: ``status``, ``headers`` and ``text``."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode()


def ask(server: Running, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        connection.request(method, path, body, headers or {})
        return Answer(connection.getresponse())


def test_health_and_home(server: Running) -> None:
    assert (ask(server, "GET", "/healthz").status, ask(server, "GET", "/healthz").text) == (200, "ok\n")
    assert ask(server, "GET", "/").status == 200
    assert ask(server, "GET", "/nothing").status == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/healthz"), ("POST", "/"), ("POST", "/Execute"), ("PUT", "/x")]
)
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_and_hosts_are_refused_on_every_route(
    server: Running, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = ask(server, method, path, b"Action=DescribeDBClusters", {**RDS, **headers})
    assert answer.status == 403
    assert "<html" not in answer.text.lower()
    if path == "/Execute":
        assert answer.headers["x-amzn-errortype"] == "AccessDenied"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"Action=DescribeDBClusters", FORM, 403, "MissingAuthenticationToken"),
        (b"Action=DescribeDBClusters", {**FORM, "authorization": "Bearer x"}, 400, "IncompleteSignature"),
        (b"Action=Nonsense", RDS, 400, "InvalidAction"),
        (b"Action=CreateBlueGreenDeployment", RDS, 400, "InvalidAction"),
        (b"", RDS, 400, "MissingAction"),
        (b"\xff", RDS, 400, "MalformedInput"),
        (b"Action=DescribeDBClusters&MaxRecords=x", RDS, 400, "MalformedInput"),
        (b"Action=DescribeDBClusters", {**RDS, "authorization": SCOPE.format("s3")}, 400, "InvalidAction"),
        (
            b"Action=DescribeDBClusters",
            {**RDS, "authorization": SCOPE.replace("us-east-1", "x").format("rds")},
            403,
            "SignatureDoesNotMatch",
        ),
        (b"Action=CreateDBCluster", RDS, 400, "MissingParameter"),
        (b"<xml/>", {**RDS, "content-type": "text/xml"}, 400, "MalformedInput"),
    ],
)
def test_errors_of_the_query_protocol(
    server: Running, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = ask(server, "POST", "/", body, headers)
    assert (answer.status, answer.headers["content-type"]) == (status, "text/xml")
    assert f"<Code>{code}</Code>" in answer.text
    assert "<RequestId>" in answer.text


def test_errors_of_other_protocols(server: Running) -> None:
    sts = {"authorization": SCOPE.format("sts")}
    answer = ask(server, "POST", "/Execute", b"{", {**sts, "content-type": "application/json"})
    assert (answer.status, json.loads(answer.text)["__type"]) == (404, "UnknownOperationException")
    answer = ask(server, "POST", "/", b"{}", {**sts, "x-amz-target": "X.Y"})
    assert (answer.status, answer.headers["content-type"]) == (404, "application/x-amz-json-1.0")
    answer = ask(server, "POST", "/Execute", b"{}")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "MissingAuthenticationToken")


def test_body_of_4_mib_is_read_and_a_larger_one_is_not(server: Running) -> None:
    start = b"Action=DescribeDBClusters&X="
    assert ask(server, "POST", "/", start + b"x" * (BODY_BYTES_MAX - len(start)), RDS).status == 200
    with socket.create_connection((server.host, server.port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {RDS['authorization']}\r\n"
        connection.sendall(f"{head}Content-Length: {BODY_BYTES_MAX + 1}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection((server.host, server.port)) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        part = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        try:
            for _ in range(BODY_BYTES_MAX // 0x10000 + 2):
                connection.sendall(part)
        except OSError:
            pass  # the server has closed the connection
        else:
            assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_unexpected_error_is_logged_once_and_answered_in_the_protocol(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clusters, "all_seen", lambda call: 1 / 0)
    with caplog.at_level(logging.ERROR):
        answer = ask(server, "POST", "/", b"Action=DescribeDBClusters", RDS)
    assert (answer.status, "<Code>InternalFailure</Code>" in answer.text) == (500, True)
    assert "ZeroDivisionError" not in answer.text
    assert [record.name for record in caplog.records] == ["clusterdb.server"]


def test_read_only_server_refuses_verbs(memory_store: clusterdb.Store) -> None:
    memory_store.create_cluster("prod")
    with running(memory_store, read_only=True) as server:
        rds = session(server).client("rds")
        assert len(rds.describe_db_clusters()["DBClusters"]) == 1
        with pytest.raises(ClientError, match="AccessDenied"):
            rds.delete_db_cluster(DBClusterIdentifier="prod", SkipFinalSnapshot=True)


def test_sts_names_the_account(server: Running) -> None:
    identity = session(server).client("sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == ("123456789012", "arn:aws:iam::123456789012:root")


# --- credentials ------------------------------------------------------------------------------------------------------
@pytest.fixture
def guarded(memory_store: clusterdb.Store) -> Iterator[Running]:
    """A server that verifies signatures."""
    with running(memory_store, credentials={"AKID": guard.Credential("secret", "111122223333")}) as server:
        yield server


def client(server: Running, key: str, secret: str, service: str = "sts") -> Any:
    import boto3

    return boto3.client(
        service, "us-east-1", endpoint_url=server.url, aws_access_key_id=key, aws_secret_access_key=secret
    )


def test_signatures_are_verified(guarded: Running) -> None:
    assert client(guarded, "AKID", "secret").get_caller_identity()["Account"] == "111122223333"
    assert client(guarded, "AKID", "secret", "rds").describe_db_clusters()["DBClusters"] == []
    for key, secret, code in (("AKID", "wrong", "SignatureDoesNotMatch"), ("OTHER", "secret", "InvalidClientTokenId")):
        with pytest.raises(ClientError, match=code):
            client(guarded, key, secret).get_caller_identity()


def test_pages_ask_for_the_access_key(guarded: Running) -> None:
    answer = ask(guarded, "GET", "/")
    assert (answer.status, answer.headers["www-authenticate"].split()[0]) == (401, "Basic")
    assert ask(guarded, "GET", "/", headers={"authorization": "Basic QUtJRDpzZWNyZXQ="}).status == 200
    assert ask(guarded, "GET", "/healthz").status == 200


def test_hosts_beyond_loopback_need_credentials_and_ports_can_be_taken(
    memory_store: clusterdb.Store, server: Running
) -> None:
    with pytest.raises(InvalidArgumentError, match="--credentials"), running(memory_store, host="0.0.0.0"):
        pass
    with pytest.raises(InvalidArgumentError, match="cannot listen"), running(memory_store, port=server.port):
        pass


# --- shutdown ---------------------------------------------------------------------------------------------------------
def test_open_connections_and_streams_do_not_hold_the_server(
    memory_store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_ANSWER_S", 1)
    with running(memory_store) as server:
        idle = socket.create_connection((server.host, server.port))
        half = socket.create_connection((server.host, server.port))
        half.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        assert ask(server, "GET", "/healthz").status == 200
    idle.close()
    half.close()
    with pytest.raises(OSError):
        socket.create_connection((server.host, server.port)).close()


def test_store_can_be_served_again(memory_store: clusterdb.Store) -> None:
    for _ in range(3):
        with running(memory_store) as server:
            assert ask(server, "GET", "/healthz").status == 200


def test_decorator_sets_the_environment_of_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    @mock_aws(region="eu-west-1")
    def body() -> str:
        return str(boto3.Session().client("sts").get_caller_identity()["Account"])

    assert body() == body() == "123456789012"
    assert "AWS_ENDPOINT_URL" not in os.environ


# --- the command ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_prints_a_ready_line_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "clusterdb", "serve", "--port", "0", "--json", "--region", "eu-west-1"]
    with subprocess.Popen(
        [*command, "--store", str(tmp_path / "store")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            ready = json.loads(process.stdout.readline())
            assert (ready["region"], ready["pid"]) == ("eu-west-1", process.pid)
            host, _, port = ready["url"].removeprefix("http://").partition(":")
            with socket.create_connection((host, int(port))):  # stays open while the server ends
                process.send_signal(number)
                assert process.wait(60) == 0
            assert (process.stdout.read(), process.stderr.read()) == ("", "")
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "--credentials FILE"),
        (["--region", "nowhere"], "not the name of a region"),
        (["--account", "1"], "twelve digits"),
        (["--credentials", "EMPTY"], "has no access key"),
    ],
)
def test_command_refuses_in_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "EMPTY").write_text("")
    result = subprocess.run(
        [sys.executable, "-m", "clusterdb", "serve", "--port", "0", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(clusterdb.__file__).parents[1])},
    )
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / ".clusterdb").exists()
