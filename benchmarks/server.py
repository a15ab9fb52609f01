"""The server of Amazon's API, beside moto_server, which has no rows behind its clusters."""

from __future__ import annotations

import functools
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config

import clusterdb
from goals import Goal, judged
from timing import Results, medians, samples, seconds

__all__ = ["server"]

GOALS: dict[str, Goal] = {
    "clone": ("clusterdb", "<=", 5),
    "SELECT 1 (Data API)": ("clusterdb", "<=", 3),
    "start to ready line": ("clusterdb", "<=", 700),
    "20 open consoles": ("clusterdb", "<=", 5),
}
CLIENTS = 16
CLUSTERS = 40
_MOTO = shutil.which("moto_server", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
"""None if it is not installed: the extra ``bench`` has it."""
_ARN = "arn:aws:rds:us-east-1:123456789012:cluster:"
_SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:any"
_EMPTY = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def answer(request):
    await request.body()
    return JSONResponse({"numberOfRecordsUpdated": 0, "records": [[{"longValue": 1}]]})
app = Starlette(routes=[Route("/Execute", answer, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", access_log=False)
"""


def server(folder: Path, quick: bool) -> Results:
    """Calls by one boto3 client, and by 16 connections at once that repeat what boto3 sends.

    ``empty Starlette`` is the floor: a server on the same libraries that answers every request with the same bytes.
    The clusters of clusterdb's server hold databases; moto's "clone" is an entry in a table.
    """
    rounds = 40 if quick else 200
    requests = 400 if quick else 2_000
    with ExitStack() as stack:
        ours = stack.enter_context(_clusterdb(folder / "server"))
        empty = stack.enter_context(_serving([sys.executable, "-c", _EMPTY], "/Execute"))
        urls = {"clusterdb": ours}
        if _MOTO is not None:
            urls["moto_server"] = stack.enter_context(_moto(_MOTO))
        for url in urls.values():
            _fill(_client("rds", url))
        results = [
            *_calls("DescribeDBClusters, 40 clusters", urls, "rds", _described, rounds, requests),
            *_calls("clone", urls, "rds", _cloned(), rounds, requests),
            *_calls("SELECT 1 (Data API)", urls | {"empty Starlette": empty}, "rds-data", _selected, rounds, requests),
        ]
    results.append(_starts(folder / "start", 3 if quick else 9))
    results.append(_pages(folder / "many", 200 if quick else 1_000))
    results.append(_consoles(folder / "consoles", 5 if quick else 20))
    return [judged(row, GOALS[row["what"]]) if row["what"] in GOALS else row for row in results]


# --- calls ------------------------------------------------------------------------------------------------------------
def _described(client: Any) -> None:
    client.describe_db_clusters(MaxRecords=100)


def _selected(client: Any) -> None:
    client.execute_statement(resourceArn=f"{_ARN}prod", secretArn=_SECRET, sql="SELECT 1")


def _cloned() -> Callable[[Any], None]:
    serial = itertools.count()

    def cloned(client: Any) -> None:
        client.restore_db_cluster_to_point_in_time(
            SourceDBClusterIdentifier="prod",
            DBClusterIdentifier=f"clone-{next(serial):06}",
            RestoreType="copy-on-write",
            UseLatestRestorableTime=True,
        )

    return cloned


def _calls(
    what: str, urls: dict[str, str], service: str, call: Callable[[Any], None], rounds: int, requests: int
) -> Results:
    """A call by one client that takes turns with the peers, and by 16 connections at once."""
    clients = {name: _client(service, url) for name, url in urls.items()}
    for client in clients.values():
        call(client)
    once = {name: functools.partial(seconds, functools.partial(call, client)) for name, client in clients.items()}
    alone = {name: taken * 1e3 for name, taken in medians(samples(rounds, once, rotates=True)).items()}
    together = {name: _throughput(client, call, requests) for name, client in clients.items()}
    failed = {name: count for name, (_, _, count) in together.items() if count}
    return [
        {"what": what, "unit": "ms", **alone},
        {"what": f"{what}, {CLIENTS} clients", "unit": "ms"} | {name: ms for name, (_, ms, _) in together.items()},
        {"what": f"{what}, {CLIENTS} clients, throughput", "unit": "1/s"}
        | {name: rate for name, (rate, _, _) in together.items()},
        *([{"what": f"{what}, {CLIENTS} clients, answered with 500", "unit": "", **failed}] if failed else ()),
    ]


def _throughput(client: Any, call: Callable[[Any], None], requests: int) -> tuple[float, float, int]:
    """16 connections that send what ``call`` makes boto3 send: requests per second, their median time in ms, and the
    number of failures, which the other figures leave out.
    """
    prepared: list[AWSPreparedRequest] = []
    client.meta.events.register("before-send.*.*", lambda request, **_: prepared.append(request))
    call(client)
    names = itertools.count()
    url = urlsplit(str(prepared[0].url))
    body = prepared[0].body
    content = body if isinstance(body, bytes) else str(body or "").encode()
    headers = {name: value if isinstance(value, str) else value.decode() for name, value in prepared[0].headers.items()}

    def work(count: int) -> list[tuple[float, bool]]:
        with closing(http.client.HTTPConnection(url.hostname or "", url.port or 80)) as connection:
            return [send(connection) for _ in range(count)]

    def send(connection: http.client.HTTPConnection) -> tuple[float, bool]:
        name = b"burst-%06d" % next(names)
        start = content.find(b"clone-")
        own = content if start < 0 else content[:start] + name + content[start + len(name) :]
        begin = time.perf_counter()
        connection.request("POST", url.path or "/", own, headers | {"Content-Length": str(len(own))})
        response = connection.getresponse()
        response.read()
        return (time.perf_counter() - begin) * 1e3, response.status == 200

    with ThreadPoolExecutor(CLIENTS) as pool:
        begin = time.perf_counter()
        answers = list(itertools.chain.from_iterable(pool.map(work, [requests // CLIENTS] * CLIENTS)))
        taken_s = time.perf_counter() - begin
    times = [ms for ms, is_right in answers if is_right]
    return len(times) / taken_s, statistics.median(times), len(answers) - len(times)


# --- other figures ----------------------------------------------------------------------------------------------------
def _starts(folder: Path, rounds: int) -> dict[str, Any]:
    """From the start of the process to the line that says the server is ready."""

    def ours() -> float:
        begin = time.perf_counter()
        with _clusterdb(folder):
            return (time.perf_counter() - begin) * 1e3

    def theirs() -> float:
        begin = time.perf_counter()
        with _moto(_MOTO or ""):
            return (time.perf_counter() - begin) * 1e3

    peers = {"clusterdb": ours} | ({"moto_server": theirs} if _MOTO is not None else {})
    taken = medians(samples(rounds, peers))
    return {"what": "start to ready line", "unit": "ms", **taken}


def _pages(folder: Path, count: int) -> dict[str, Any]:
    """All clusters of a large store, by pages of 100."""
    with clusterdb.open(folder) as store:
        prod = store.create_cluster("prod")
        for number in range(count - 1):
            prod.clone(f"c{number:04}")
    with _clusterdb(folder) as url:
        rds = _client("rds", url)

        def listed() -> None:
            pages = rds.get_paginator("describe_db_clusters").paginate(PaginationConfig={"PageSize": 100})
            assert sum(len(page["DBClusters"]) for page in pages) == count

        listed()
        taken = statistics.median(seconds(listed) for _ in range(5))
        return {"what": f"{count:,} clusters by pages of 100", "unit": "ms", "clusterdb": taken * 1e3}


def _consoles(folder: Path, wait_s: int) -> dict[str, Any]:
    """The CPU time of a server with 20 open consoles, each with its stream of events."""
    with clusterdb.open(folder) as store:
        prod = store.create_cluster("prod")
        for number in range(CLUSTERS):
            prod.clone(f"c{number}")
    with _clusterdb(folder) as url, ExitStack() as stack:
        address = urlsplit(url)
        for _ in range(20):
            stream = stack.enter_context(socket.create_connection((address.hostname, address.port)))
            stream.sendall(f"GET /events?topic=databases HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        time.sleep(2)
        before = _cpu_s(_pids[url])
        time.sleep(wait_s)
        return {
            "what": "20 open consoles",
            "unit": "% of a core",
            "clusterdb": (_cpu_s(_pids[url]) - before) / wait_s * 100,
        }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- servers ----------------------------------------------------------------------------------------------------------
_pids: dict[str, int] = {}


@contextmanager
def _clusterdb(folder: Path) -> Iterator[str]:
    """A server over the store in a folder: its URL, when its ready line has come."""
    command = [sys.executable, "-m", "clusterdb", "serve", "--port", "0", "--json", "--store", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    with _ending(process):
        url = str(json.loads(process.stdout.readline())["url"])
        _pids[url] = process.pid
        yield url


@contextmanager
def _moto(program: str) -> Iterator[str]:
    with _serving([program, "-H", "127.0.0.1", "-p"], "/moto-api/") as url:
        yield url


@contextmanager
def _serving(command: list[str], path: str) -> Iterator[str]:
    """A server whose last argument is a free port: its URL, when it answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as reserved:
        port = reserved.getsockname()[1]
    process = subprocess.Popen([*command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with _ending(process):
        while process.poll() is None:
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
                    connection.request("GET", path)
                    connection.getresponse().read()
                    break
            except OSError:
                time.sleep(0.005)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _ending(process: subprocess.Popen[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _client(service: str, url: str) -> Any:
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=CLIENTS)
    session = boto3.Session("a", "b", region_name="us-east-1")
    return session.client(service, endpoint_url=url, config=config)


def _fill(rds: Any) -> None:
    """A cluster with an instance, and others."""
    for number in range(CLUSTERS):
        name = "prod" if not number else f"c{number}"
        rds.create_db_cluster(
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            MasterUsername="admin1",
            MasterUserPassword="secret99",
            EnableHttpEndpoint=True,
        )
        rds.create_db_instance(
            DBInstanceIdentifier=f"{name}-1",
            DBClusterIdentifier=name,
            DBInstanceClass="db.r6g.large",
            Engine="aurora-postgresql",
        )
