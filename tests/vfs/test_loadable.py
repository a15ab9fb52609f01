"""The loadable extension: programs without clusterdb read clusters, beside processes that write to them."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import clusterdb
from clusterdb.access.build import library_commands
from tests.support.stores import assert_clean, rows
from tests.vfs.formats import make_old
from vfs.format.shared import MAP_HEADER_BYTES, MapHeader
from vfs.plane import library
from vfs.storage.seals import content_stamp

LIBRARY = library()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the loadable extension was not built")

_PROGRAM = """
import json, sys
module, library = sys.argv[1:3]
loader = None
if module == "apsw":
    import apsw
    def connect(uri):
        return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI)
    loader = apsw.Connection(":memory:")
else:
    import sqlite3
    def connect(uri):
        return sqlite3.connect(uri, uri=True, isolation_level=None)
    loader = sqlite3.connect(":memory:")
loader.enable_load_extension(True)
loader.load_extension(library)
connections = {}

def run(request):
    name = request.get("name")
    if "uri" in request:
        connections[name] = connect(request["uri"])
        return None
    if "close" in request:
        connections.pop(name).close()
        return None
    if "python" in request:
        exec(request["python"], globals())
        return None
    return [list(row) for row in connections[name].execute(request["sql"]).fetchall()]

for line in sys.stdin:
    try:
        answer = {"value": run(json.loads(line))}
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""


class ProgramError(Exception):
    """An error of SQLite in a program."""


class Program:
    """A process that has loaded the extension into the SQLite of a Python module."""

    def __init__(self, errors: Path, module: str = "apsw", interpreter: str = sys.executable) -> None:
        self._errors = errors
        with errors.open("w") as file:
            self.process = subprocess.Popen(
                [interpreter, "-c", _PROGRAM, module, str(LIBRARY)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    def ask(self, **request: object) -> Any:
        """Send a request and return the answer.  Raises ProgramError."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the program died: {self._errors.read_text()}"
        answer = json.loads(line)
        if "error" in answer:
            raise ProgramError(answer["error"])
        return answer["value"]

    def open(self, uri: str, name: str = "c") -> None:
        """Open a connection."""
        self.ask(uri=uri, name=name)

    def sql(self, sql: str, name: str = "c") -> Any:
        """The rows of a statement."""
        return self.ask(sql=sql, name=name)

    def close(self, name: str = "c") -> None:
        """Close a connection."""
        self.ask(close=True, name=name)

    def printed(self) -> str:
        """What the program has written to standard error."""
        return self._errors.read_text()

    def end(self) -> None:
        """End the program as its user does."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def kill(self) -> None:
        """Kill the program."""
        self.process.send_signal(signal.SIGKILL)
        self.end()


Starter = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """A function that starts a program; those left at the end are ended."""
    programs: list[Program] = []

    def start_one(module: str = "apsw", interpreter: str = sys.executable) -> Program:
        programs.append(Program(tmp_path / f"errors-{len(programs)}", module, interpreter))
        return programs[-1]

    yield start_one
    for program in programs:
        program.end()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store with the cluster 'prod' of 400 rows, and its clone 'dev'."""
    path = tmp_path / "a store"
    with (
        clusterdb.open(path) as store,
        closing(store.create_cluster("prod", backup_retention_days=0).connect()) as connection,
    ):
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body TEXT);"
            "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 400) "
            "INSERT INTO t SELECT x, 0, printf('%0400d', x) FROM c"
        )
        store.cluster("prod").clone("dev")
    return path


def uri_of(path: Path, cluster: str, more: str = "") -> str:
    """The URI of a cluster."""
    return f"file:{cluster}?vfs=clusterdb&store={quote(str(path))}{more}"


def update(store: clusterdb.Store, cluster: str, times: int = 1) -> None:
    """Add one to n in every row, so that every page of the table is written."""
    with closing(store.cluster(cluster).connect()) as connection:
        for _ in range(times):
            connection.execute("UPDATE t SET n = n + 1")


def stamp_of(path: Path) -> int:
    """The stamp of a clean close."""
    with (path / "map").open("rb") as file:
        return MapHeader.from_buffer_copy(file.read(MAP_HEADER_BYTES)).closed


# --- programs ---------------------------------------------------------------------------------------------------------
@cache
def python_with_extensions() -> str | None:
    """An interpreter whose sqlite3 loads extensions."""
    test = "import sqlite3; sqlite3.connect(':memory:').enable_load_extension(True)"
    for interpreter in (sys.executable, "/usr/bin/python3"):
        if Path(interpreter).exists() and not subprocess.run([interpreter, "-c", test], capture_output=True).returncode:
            return interpreter
    return None


def test_sqlite3_module_reads_a_clone(path: Path, start: Starter) -> None:
    interpreter = python_with_extensions()
    if interpreter is None:
        pytest.skip("no Python here has a sqlite3 module that loads extensions")
    program = start("sqlite3", interpreter)
    program.open(uri_of(path, "dev"))
    assert program.sql("SELECT count(*), sum(id) FROM t") == [[400, 80200]]
    assert program.sql("PRAGMA integrity_check") == [["ok"]]
    with pytest.raises(ProgramError, match="attempt to write a readonly database"):
        program.sql("DELETE FROM t")


def test_printed_commands_work_in_the_shell_of_sqlite(path: Path) -> None:
    """``clusterdb show`` prints them."""
    shell = shutil.which("sqlite3")
    if shell is None:
        pytest.skip("there is no sqlite3 shell here")
    commands = library_commands(str(path), "dev")
    script = "\n".join([*commands, "SELECT count(*), sum(id) FROM t;", ".open file:no?vfs=clusterdb&store=/nowhere"])
    done = subprocess.run([shell], input=script, capture_output=True, text=True, check=False)
    assert done.stdout == "400|80200\n"
    assert "clusterdb: cluster 'no' of store '/nowhere': its store cannot be opened: No such file" in done.stderr


def test_library_needs_no_python() -> None:
    """It neither links a library of Python nor has symbols of it."""
    assert LIBRARY is not None
    if shutil.which("nm") is None:
        pytest.skip("there is no nm here")
    command = ["nm", "-D", str(LIBRARY.with_suffix(".so"))]
    symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    names = [line.split()[-1] for line in symbols if line]
    assert not [name for name in names if name.startswith(("Py", "_Py", "sqlite3_")) and "clusterdbvfs" not in name]
    assert b"libpython" not in LIBRARY.with_suffix(".so").read_bytes()


# --- beside writers ---------------------------------------------------------------------------------------------------
def test_commits_and_clones_of_another_process_are_seen(path: Path, start: Starter) -> None:
    program = start()
    program.open(uri_of(path, "dev"))
    with clusterdb.open(path) as store:
        update(store, "dev")
        assert program.sql("SELECT sum(n) FROM t") == [[400]]
        store.cluster("dev").clone("copy")
        program.open(uri_of(path, "copy"), "copy")
        update(store, "dev")
        assert program.sql("SELECT sum(n) FROM t", "copy") == [[400]]
        assert program.sql("SELECT sum(n) FROM t") == [[800]]
        assert_clean(store)


def test_resets_are_followed_and_drops_are_reported(path: Path, start: Starter) -> None:
    program = start()
    with clusterdb.open(path) as store:
        update(store, "dev")
        program.open(uri_of(path, "dev"))
        assert program.sql("SELECT sum(n) FROM t") == [[400]]
        store.cluster("dev").reset()
        assert program.sql("SELECT sum(n) FROM t") == [[0]]
        store.cluster("dev").delete()
        with pytest.raises(ProgramError):
            program.sql("SELECT sum(n) FROM t")
        assert "it was dropped" in program.printed()
        program.close()
        store.reclaim()
        assert_clean(store)


@pytest.mark.slow
def test_open_transaction_keeps_its_version(path: Path, start: Starter) -> None:
    """While another process commits and sweeps, and reuses all slots that it may."""
    program = start()
    program.open(uri_of(path, "dev"))
    program.sql("BEGIN")
    before = program.sql("SELECT id, n, body FROM t")
    with clusterdb.open(path, synchronous="OFF") as store:
        for _ in range(10):
            update(store, "dev", 100)
            store.reclaim()
            assert program.sql("SELECT id, n, body FROM t") == before
            assert program.sql("PRAGMA integrity_check") == [["ok"]]
        program.sql("COMMIT")
        assert program.sql("SELECT sum(n) FROM t") == [[400_000]]
        assert_clean(store)


def test_killed_reader_releases_its_pin(path: Path, start: Starter) -> None:
    program = start()
    with clusterdb.open(path) as store:
        program.open(uri_of(path, "dev"))
        update(store, "dev")  # from here on the table is the clone's own
        program.sql("BEGIN")
        program.sql("SELECT sum(n) FROM t")
        update(store, "dev", 3)
        store.reclaim()
        held = store.stats().used_bytes
        program.kill()
        update(store, "dev", 3)
        store.reclaim()
        assert store.stats().used_bytes < held
        assert_clean(store)


def test_reader_that_dies_alone_leaves_the_store_as_it_was(path: Path, start: Starter) -> None:
    """The stamp of the clean close stays valid, since a reader changes nothing that it covers."""
    program = start()
    program.open(uri_of(path, "dev"))
    program.sql("BEGIN")
    program.sql("SELECT sum(n) FROM t")
    program.kill()
    assert stamp_of(path) == content_stamp(path)
    again = start()
    again.open(uri_of(path, "dev"))
    assert again.sql("SELECT count(*) FROM t") == [[400]]
    with clusterdb.open(path) as store:
        assert stamp_of(path) == 0
        update(store, "dev")
        assert again.sql("SELECT sum(n) FROM t") == [[400]]
        assert_clean(store)


def test_last_reader_stamps_the_store(path: Path, start: Starter) -> None:
    program = start()
    program.open(uri_of(path, "dev"))
    with clusterdb.open(path) as store:
        update(store, "dev")
    assert stamp_of(path) == 0
    program.close()
    assert stamp_of(path) == content_stamp(path)
    program.open(uri_of(path, "dev"))
    assert program.sql("SELECT sum(n) FROM t") == [[400]]


def test_child_of_a_fork_holds_no_locks_of_the_reader(path: Path, start: Starter) -> None:
    program = start()
    program.open(uri_of(path, "dev"))
    program.sql("BEGIN")
    program.sql("SELECT sum(n) FROM t")
    program.ask(python="import os, time\nif not os.fork():\n    os.close(1)\n    time.sleep(60)\n    os._exit(0)")
    program.process.kill()
    program.process.wait()
    with clusterdb.open(path) as store:
        update(store, "dev", 2)
        store.reclaim()
        row = store.context.catalog.volumes.volume_of_cluster("dev")
        assert row is not None
        assert store.context.pages.tables.pins_of(row.table_index) == []


# --- several clusters -------------------------------------------------------------------------------------------------
def test_two_stores_at_once(path: Path, tmp_path: Path, start: Starter) -> None:
    """Clusters of one name in different stores are different."""
    other = tmp_path / "other"
    with clusterdb.open(other) as store, closing(store.create_cluster("dev").connect()) as connection:
        connection.execute("CREATE TABLE t (id); INSERT INTO t VALUES (7)")
    program = start()
    program.open(uri_of(path, "dev"), "a")
    program.open(uri_of(other, "dev"), "b")
    assert program.sql("SELECT count(*) FROM t", "a") == [[400]]
    assert program.sql("SELECT count(*) FROM t", "b") == [[1]]
    program.sql(f"ATTACH '{uri_of(other, 'dev')}' AS other", "a")
    assert program.sql("SELECT t.id FROM t JOIN other.t AS o USING (id)", "a") == [[7]]


def test_plain_files_are_attached_and_written(path: Path, tmp_path: Path, start: Starter) -> None:
    program = start()
    program.open(uri_of(path, "dev"))
    program.sql(f"ATTACH '{tmp_path / 'plain.db'}' AS plain")
    program.sql("CREATE TABLE plain.copy AS SELECT id FROM t")
    program.sql("CREATE TEMP TABLE mine AS SELECT id FROM t WHERE id > 390")
    assert program.sql("SELECT count(*) FROM plain.copy JOIN mine USING (id)") == [[10]]
    program.sql(f"VACUUM INTO '{tmp_path / 'whole.db'}'")
    program.open(str(tmp_path / "whole.db"), "whole")
    assert program.sql("SELECT count(*) FROM t", "whole") == [[400]]


def test_memory_mapping_is_used(path: Path, start: Starter) -> None:
    program = start()
    program.open(uri_of(path, "dev"))
    program.sql("PRAGMA mmap_size = 1000000000")
    with clusterdb.open(path) as store:
        for count in range(1, 4):
            update(store, "dev")
            assert program.sql("SELECT sum(n), count(body) FROM t") == [[400 * count, 400]]


# --- refusals ---------------------------------------------------------------------------------------------------------
def refusal(start: Starter, uri: str) -> str:
    """The reason that a program prints for not opening a URI."""
    program = start()
    with pytest.raises(ProgramError, match=r"unable to open|malformed|cannot open"):
        program.open(uri)
        program.sql("SELECT 1 FROM sqlite_schema")
    return program.printed()


def nothing(path: Path) -> None:
    """A store as it is."""


def unclean(path: Path) -> None:
    """A store that a killed process had open."""
    script = "import clusterdb, os, sys; store = clusterdb.open(sys.argv[1]); os._exit(0)"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)


def copied(path: Path) -> None:
    """A store that was copied."""
    path.rename(path.with_name("moved"))
    shutil.copytree(path.with_name("moved"), path)


def stopped(path: Path) -> None:
    with clusterdb.open(path) as store:
        store.cluster("dev").stop()


def newer(path: Path) -> None:
    with (path / "pool").open("r+b") as pool:
        pool.seek(8)
        pool.write((9).to_bytes(4, "little"))


def emptied(path: Path) -> None:
    (path / "map").unlink()


def opened_to_others(path: Path) -> None:
    path.chmod(0o777)


def of_another_store(path: Path) -> None:
    """A catalog that belongs to another pool, with the stamp of a clean close."""
    with clusterdb.open(path.with_name("other")):
        pass
    shutil.copy(path.with_name("other") / "catalog.db", path / "catalog.db")
    (path / "catalog.db-wal").unlink()
    with (path / "map").open("r+b") as file:
        file.seek(8 * MapHeader.word("closed"))
        file.write(content_stamp(path).to_bytes(8, "little"))


CHECK = "run cldb --store '{path}' check"


@pytest.mark.parametrize(
    ("prepare", "cluster", "more", "expected"),
    [
        (nothing, "nope", "", "cluster 'nope' of store '{path}': it does not exist: run cldb --store '{path}' ls"),
        (nothing, "dev", "/missing", "its store cannot be opened: No such file or directory"),
        (nothing, "dev", "/pool", "its store is not one: it is a file, not a directory"),
        (nothing, "dev", "/..", "its store is not one: the directory has no file 'pool'"),
        (nothing, "dev", "&cache=shared", "open it without cache=shared"),
        (unclean, "dev", "", f"its store was not closed cleanly, or was copied, or the machine was restarted: {CHECK}"),
        (copied, "dev", "", CHECK),
        (stopped, "dev", "", "it is stopped: run cldb --store '{path}' start dev"),
        (
            make_old,
            "dev",
            "",
            "its store has format 1, and this extension reads format 2: run cldb --store '{path}'",
        ),
        (newer, "dev", "", "its store has format 9, and this extension reads format 2: use that of a newer release"),
        (emptied, "dev", "", f"its store has no file 'map': {CHECK}"),
        (opened_to_others, "dev", "", "run chmod go-w '{path}'"),
        (of_another_store, "dev", "", "catalog.db and pool of its store are those of different stores"),
    ],
)
def test_refusals_name_the_reason_and_the_remedy(
    path: Path, start: Starter, prepare: Callable[[Path], None], cluster: str, more: str, expected: str
) -> None:
    prepare(path)
    printed = refusal(start, uri_of(path, cluster, more))
    assert printed.count("\n") == 1
    assert printed.startswith("clusterdb: cluster '")
    assert expected.format(path=path) in printed


def test_store_must_be_given(start: Starter) -> None:
    assert "its store is not given: open file:dev?vfs=clusterdb&store=DIRECTORY" in refusal(
        start, "file:dev?vfs=clusterdb"
    )


def test_recovery_makes_a_refused_store_readable(path: Path, start: Starter) -> None:
    """The command that the message names suffices."""
    unclean(path)
    refusal(start, uri_of(path, "dev"))
    command = [sys.executable, "-m", "clusterdb", "--store", str(path), "check"]
    subprocess.run(command, check=True, capture_output=True)
    program = start()
    program.open(uri_of(path, "dev"))
    assert program.sql("SELECT count(*) FROM t") == [[400]]


def test_files_of_a_store_are_not_attached(path: Path, start: Starter) -> None:
    program = start()
    program.open(uri_of(path, "dev"))
    with pytest.raises(ProgramError, match="unable to open"):
        program.sql(f"ATTACH '{path / 'catalog.db'}' AS catalog")
    assert "it is a file of a store: open a cluster by its name instead" in program.printed()


def test_process_that_has_the_store_open_is_refused(path: Path, start: Starter) -> None:
    """Two SQLites in one process would release the locks of each other on the catalog."""
    program = start()
    program.ask(python=f"import clusterdb; store = clusterdb.open({str(path)!r}); store.clusters()")
    with pytest.raises(ProgramError, match="unable to open"):
        program.open(uri_of(path, "dev"))
    assert "this process has its store open already, through clusterdb" in program.printed()
    program.ask(python="store.close()")
    program.open(uri_of(path, "dev"))
    assert program.sql("SELECT count(*) FROM t") == [[400]]


@pytest.mark.slow
def test_readers_see_whole_transactions_under_load(path: Path, start: Starter) -> None:
    """Several programs read while a process moves amounts between rows, clones, drops and sweeps."""
    programs = [start() for _ in range(3)]
    with clusterdb.open(path, synchronous="OFF") as store:
        for program in programs:
            program.open(uri_of(path, "dev"))
        with closing(store.cluster("dev").connect()) as connection:
            for number in range(300):
                connection.execute(
                    f"BEGIN; UPDATE t SET n = n - 1 WHERE id = {number + 1};"
                    f"UPDATE t SET n = n + 1 WHERE id = {400 - number}; COMMIT"
                )
                assert programs[number % 3].sql("SELECT sum(n) FROM t") == [[0]]
                if number % 20 == 0:
                    store.cluster("dev").clone("short")
                    programs[0].open(uri_of(path, "short"), "short")
                    assert programs[0].sql("SELECT sum(n) FROM t", "short") == [[0]]
                    programs[0].close("short")
                    store.cluster("short").delete()
                    store.reclaim()
            assert rows(connection, "PRAGMA integrity_check") == [("ok",)]
        assert_clean(store)
