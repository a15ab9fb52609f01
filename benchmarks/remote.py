"""Object storage: pushing and copying, beside the engine's own copies of the same bytes."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import apsw

import clusterdb
from clusterdb.remote.objects import Objects, open_objects
from clusterdb.remote.places import absent_pages_if_any
from databases import rows_of, source_of
from goals import Goal, judged
from proxy import counting
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


def remote(folder: Path, quick: bool) -> Results:
    """A repository in a directory and on SeaweedFS: time, requests, bytes; the engine's own copy of as many beside."""
    megabytes, rounds = (16, 3) if quick else (256, 5)
    results: Results = []
    with _engines(folder) as urls, clusterdb.open(folder / "remote") as store:
        source = source_of(folder, megabytes)
        prod = store.create_cluster("prod", from_file=source)
        for engine, url in urls.items():
            results += _rows(engine, url, store, prod, megabytes, rounds)
        if "SeaweedFS" in urls:
            results += _visits(folder, urls["SeaweedFS"], source, prod, megabytes, rounds)
        prod.delete()
        megabytes = 16 if quick else 1024
        large = store.create_cluster("large", from_file=source_of(folder, megabytes))
        for engine, url in urls.items():
            results += _large_rows(folder, engine, url, store, large, megabytes, rounds)
    return results


# --- beside Litestream's VFS ------------------------------------------------------------------------------------------
def _visits(folder: Path, url: str, source: Path, prod: clusterdb.Cluster, megabytes: int, rounds: int) -> Results:
    """A repository that is opened as a store, and the replica of the same database that Litestream's VFS reads."""
    place, _, endpoint = url.partition("?endpoint=")
    prod.push(f"{place}/visits?endpoint={endpoint}")
    kinds = ["clusterdb"]
    litestream = shutil.which("litestream", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if importlib.util.find_spec("litestream_vfs") is not None and litestream is not None:  # of the extra ``bench``
        _replicate(litestream, source, folder / "replicated.db", f"{place}/litestream?{_settings(endpoint)}")
        kinds.append("litestream")
    rows: Results = []
    with counting(int(endpoint.rpartition(":")[2])) as proxy:
        urls = {
            "clusterdb": f"{place}/visits?endpoint={proxy.url}",
            "litestream": f"{place}/litestream?{_settings(proxy.url)}",
        }
        for delay_ms in (0, 20):
            taken: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
            for _ in range(rounds):
                for kind in kinds:
                    proxy.reset(delay_ms / 1e3)
                    figures = _visited(kind, urls[kind], rows_of(megabytes))
                    moved = {"requests": proxy.requests.total(), "MB received": proxy.received_bytes / 1e6}
                    taken[kind].append({**figures, **moved})
            for kind in kinds:
                name = f"100 queries at {delay_ms} ms a request, {kind}"
                medians = {what: statistics.median(one[what] for one in taken[kind]) for what in taken[kind][0]}
                rows.append({"what": name, **medians})
    return rows


def _settings(endpoint: str) -> str:
    """The settings of Litestream's URLs."""
    return f"endpoint={endpoint}&forcePathStyle=true&region=us-east-1"


def _replicate(litestream: str, source: Path, copy: Path, url: str) -> None:
    """Replicate a copy of a database, which Litestream keeps in WAL mode."""
    shutil.copy(source, copy)
    with closing(apsw.Connection(str(copy))) as database:
        database.execute("PRAGMA journal_mode = WAL; PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    command = [litestream, "replicate", "-once", "-force-snapshot", str(copy), url]
    subprocess.run(command, check=True, capture_output=True, env=_environment())


def _visited(kind: str, url: str, rows: int) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).with_name("visitors.py")), kind, url, str(rows)]
    environment = _environment() | {"LITESTREAM_REPLICA_URL": url}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    figures: dict[str, float] = json.loads(output)
    return {(f"{what}, ms" if what != "MB of memory" else what): value for what, value in figures.items()}


def _environment() -> dict[str, str]:
    """Without certificates of this machine's, which Litestream's client refuses on plain HTTP."""
    root = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    kept = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
    return kept | {"PYTHONPATH": root, "LITESTREAM_LOG_LEVEL": "ERROR"}


# --- pushing and cloning ----------------------------------------------------------------------------------------------


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
        with counting(int(settings.rpartition(":")[2])) as proxy:
            proxy.reset(0.02)
            far = _queried(next(stores), f"{place}/large/large?endpoint={proxy.url}", megabytes)
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
    """The URLs of a directory, and of a bucket on this machine if SeaweedFS is installed (the extra ``dev``)."""
    sys.path.append(str(Path(__file__).parents[1]))
    from tests.support.seaweedfs import CREDENTIALS, seaweedfs

    urls, before = {"directory": f"file://{folder}/objects"}, dict(os.environ)
    os.environ |= CREDENTIALS
    try:
        with ExitStack() as stack:
            (folder / "weed").mkdir()
            with suppress(FileNotFoundError):
                endpoint = stack.enter_context(seaweedfs(folder / "weed", "bench", megabytes=100_000))
                urls["SeaweedFS"] = f"s3://bench/path?endpoint={endpoint}"
            yield urls
    finally:
        os.environ.clear()
        os.environ |= before
