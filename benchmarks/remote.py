"""Object storage: pushing and copying, beside the engine's own copies of the same bytes."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import clusterdb
from clusterdb.remote.objects import Objects, open_objects
from clusterdb.remote.places import absent_pages_if_any
from databases import rows_of, source_of
from goals import Goal, judged
from slow import slow
from timing import Results, medians, ratio, samples, seconds

__all__ = ["remote"]

GOALS: dict[str, tuple[Goal, ...]] = {
    "push all": (("times the engine's own", "<=", 1.3),),
    "push 10 changed rows": (("PUT", "<=", 3), ("KB", "<=", 150)),
    "push 10 changed rows of a lazy clone": (("PUT", "<=", 3), ("KB", "<=", 150)),
    "1 GB, lazily: clone": (("ms", "<=", 50),),
    "1 GB, lazily: first query": (("ms", "<=", 50),),
    "1 GB, lazily: 100 queries": (("requests", "<=", 110), ("MB", "<=", 15)),
    "1 GB, 20 ms a request: 100 queries": (("s", "<=", 4),),
}
_OBJECT_BYTES = 8 << 20
_WEED = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
"""SeaweedFS; None if it is not installed: the extra ``dev`` has it."""


def remote(folder: Path, quick: bool) -> Results:
    """A repository in a directory and on SeaweedFS: time, requests, bytes; the engine's own copy of as many beside."""
    megabytes, rounds = (16, 3) if quick else (256, 5)
    results: Results = []
    with _engines(folder) as urls, clusterdb.open(folder / "remote") as store:
        prod = store.create_cluster("prod", from_file=source_of(folder, megabytes))
        for engine, url in urls.items():
            results += _rows(engine, url, store, prod, megabytes, rounds)
        prod.delete()
        megabytes = 16 if quick else 1024
        large = store.create_cluster("large", from_file=source_of(folder, megabytes))
        for engine, url in urls.items():
            results += _large_rows(folder, engine, url, store, large, megabytes, rounds)
    return results


def _large_rows(
    folder: Path, engine: str, url: str, store: clusterdb.Store, large: clusterdb.Cluster, megabytes: int, rounds: int
) -> Results:
    """A large database, cloned lazily, and queried by key: at the engine's pace, and as far away as a region is."""
    place, mark, settings = url.partition("?")
    target = f"{place}/large{mark}{settings}"
    large.push(target)
    stores = (folder / f"{engine}{number}" for number in itertools.count())
    at_once = [_queried(next(stores), f"{place}/large/large{mark}{settings}", megabytes) for _ in range(rounds)]
    fastest = {what: min(one[what] for one in at_once) for what in at_once[0]}
    rows: Results = [
        {"what": f"1 GB, lazily: clone, {engine}", "ms": fastest["clone"] * 1e3},
        {"what": f"1 GB, lazily: first query, {engine}", "ms": fastest["first query"] * 1e3},
        {
            "what": f"1 GB, lazily: 100 queries, {engine}",
            "ms": fastest["100 queries"] * 1e3,
            "requests": fastest["requests"],
            "MB": fastest["MB"],
        },
    ]
    dev = store.clone(f"{place}/large/large{mark}{settings}", "dev")
    _change(dev, megabytes)
    pushed = dev.push(target, name="dev")
    rows.append(
        {
            "what": f"push 10 changed rows of a lazy clone, {engine}",
            "PUT": pushed.requests.puts,
            "GET": pushed.requests.gets,
            "KB": pushed.requests.sent_bytes / 1e3,
        }
    )
    dev.delete()
    if "endpoint=http://" in settings:
        with slow(settings.partition("endpoint=http://")[2], 0.02) as address:
            far = _queried(next(stores), f"{place}/large/large?endpoint=http://{address}", megabytes)
        rows += [
            {"what": f"1 GB, 20 ms a request: {what}, {engine}", "s": far[what]}
            for what in ("clone", "first query", "100 queries")
        ]
    return [judged(row, *goals) if (goals := GOALS.get(row["what"].rpartition(", ")[0])) else row for row in rows]


def _queried(path: Path, url: str, megabytes: int) -> dict[str, float]:
    """Seconds of a lazy clone in a new store, of its first query, and of 100 others with their requests and MB."""
    keys = random.Random(1).sample(range(1, rows_of(megabytes)), 101)
    with clusterdb.open(path) as store:
        cloned = seconds(lambda: store.clone(url, "lazy"))
        absent = absent_pages_if_any(store.context)
        assert absent is not None
        with closing(store.cluster("lazy").connect()) as connection:
            sql = "SELECT n, body FROM t WHERE id = ?"
            first = seconds(lambda: connection.execute(sql, keys[:1]).fetchall())
            before = absent.requests()
            others = seconds(lambda: [connection.execute(sql, (key,)).fetchall() for key in keys[1:]])
            after = absent.requests()
    return {
        "clone": cloned,
        "first query": first,
        "100 queries": others,
        "requests": after.gets - before.gets,
        "MB": (after.received_bytes - before.received_bytes) / 1e6,
    }


def _change(cluster: clusterdb.Cluster, megabytes: int) -> None:
    """Change ten rows, far from each other."""
    with closing(cluster.connect()) as connection:
        for number in range(10):
            key = rows_of(megabytes) // 10 * number + 7
            connection.execute("UPDATE t SET n = n + 1 WHERE id = ?", (key,))


def _rows(
    engine: str, url: str, store: clusterdb.Store, prod: clusterdb.Cluster, megabytes: int, rounds: int
) -> Results:
    serial = itertools.count()
    place, mark, settings = url.partition("?")

    def repository() -> str:
        return f"{place}/{next(serial)}{mark}{settings}"

    def copied() -> float:
        name, number = f"copy{next(serial)}", next(serial)
        target = f"{place}/{number}{mark}{settings}"
        prod.push(target)
        taken = seconds(lambda: store.clone(f"{place}/{number}/prod{mark}{settings}", name, copy_type="full-copy"))
        store.cluster(name).delete()
        return taken

    def at_once() -> dict[str, float]:
        """Milliseconds of a lazy clone, of its first query, and of 100 others."""
        name, keys = f"lazy{next(serial)}", random.Random(1).sample(range(1, rows_of(megabytes)), 101)
        cloned = seconds(lambda: store.clone(f"{place}/pushed/prod{mark}{settings}", name))
        with closing(store.cluster(name).connect()) as connection:
            sql = "SELECT n, body FROM t WHERE id = ?"
            first = seconds(lambda: connection.execute(sql, keys[:1]).fetchall())
            others = seconds(lambda: [connection.execute(sql, (key,)).fetchall() for key in keys[1:]])
        store.cluster(name).delete()
        return {"clone": cloned * 1e3, "first query": first * 1e3, "100 queries": others * 1e3}

    size = prod.stats().logical_bytes
    actions = {
        "push": lambda: seconds(lambda: prod.push(repository())),
        "own": lambda: seconds(lambda: _put(open_objects(repository()), size)),
        "copy": copied,
    }
    taken = samples(rounds, actions)
    times = medians(taken)
    target = f"{place}/pushed{mark}{settings}"
    everything = prod.push(target)
    lazy = [at_once() for _ in range(rounds)]
    with closing(prod.connect()) as connection:
        step = rows_of(megabytes) // 10
        connection.execute("UPDATE t SET n = n + 1 WHERE id % ? = 7", (step,))
    changed = prod.push(target)
    rows: Results = [
        {
            "what": f"push all, {engine}",
            "s": times["push"],
            "MB/s": size / times["push"] / 1e6,
            "times the engine's own": ratio(taken["push"], taken["own"]),
            "PUT": everything.requests.puts,
        },
        {"what": f"clone --full-copy, {engine}", "s": times["copy"], "MB/s": size / times["copy"] / 1e6},
        *(
            {"what": f"lazy clone: {what}, {engine}", "ms": statistics.median(one[what] for one in lazy)}
            for what in lazy[0]
        ),
        {
            "what": f"push 10 changed rows, {engine}",
            "PUT": changed.requests.puts,
            "GET": changed.requests.gets,
            "KB": changed.requests.sent_bytes / 1e3,
        },
    ]
    return [judged(row, *goals) if (goals := GOALS.get(row["what"].partition(", ")[0])) else row for row in rows]


def _put(objects: Objects, size: int) -> None:
    """The engine's own work: objects of random bytes, one after the other."""
    data = os.urandom(_OBJECT_BYTES)
    for number in range(-(-size // _OBJECT_BYTES)):
        assert objects.create(f"own/{number}", data[: size - number * _OBJECT_BYTES])


@contextmanager
def _engines(folder: Path) -> Iterator[dict[str, str]]:
    """The URLs of a directory and of a bucket on this machine."""
    directory = f"file://{folder}/objects"
    if _WEED is None:
        yield {"directory": directory}
        return
    (folder / "weed").mkdir()
    port = _free_port()
    command = [_WEED, "server", f"-dir={folder}/weed", "-s3", "-ip=127.0.0.1", f"-s3.port={port}", "-volume.max=8"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-{name}.port={port + at}" for at, name in enumerate(("master", "volume", "filer"), 1)]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    before = dict(os.environ)
    os.environ |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _create_bucket(endpoint, process)
        yield {"directory": directory, "SeaweedFS": f"s3://bench/path?endpoint={endpoint}"}
    finally:
        os.environ.clear()
        os.environ |= before
        process.kill()
        process.wait()


def _create_bucket(endpoint: str, process: subprocess.Popen[Any]) -> None:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    for _ in range(300):
        assert process.poll() is None, "SeaweedFS has ended"
        try:
            boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="bench")
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
    raise RuntimeError("SeaweedFS does not answer")


def _free_port() -> int:
    """The first of four ports that are free, also 10,000 above: SeaweedFS uses these for gRPC."""
    for first in range(21_000, 29_000, 4):
        try:
            for port in range(first, first + 4):
                for one in (port, port + 10_000):
                    socket.create_server(("127.0.0.1", one)).close()
            return first
        except OSError:
            continue
    raise RuntimeError("no port is free")
