"""Agents: other processes that run the commands of a test one at a time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clusterdb
from tests.support.stores import rows

_AGENT = """
import json, os, sys
import apsw, clusterdb, vfs.storage.writer

def rows(connection, sql):
    return connection.execute(sql).fetchall()

def say(value):
    print(json.dumps({"value": value}), flush=True)

def wait():
    sys.stdin.readline()

path = sys.argv[1]
for line in sys.stdin:
    kind, source = json.loads(line)
    try:
        if kind == "do":
            exec(source, globals())
            say(None)
        else:
            say(eval(source, globals()))
    except Exception as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error)}), flush=True)
"""


class RemoteError(Exception):
    """What a command raised in an agent: the exception's class by name, and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Agent:
    """Another process, with the store's ``path`` at hand, and ``store`` once it has opened it."""

    def __init__(self, path: Path, *, opens: bool = True) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _AGENT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if opens:
            self.do("store = clusterdb.open(path)")

    def start(self, kind: str, source: str) -> None:
        """Send a command and do not wait for its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([kind, source]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """The next answer.  Raises RemoteError."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the agent died"
        answer = json.loads(line)
        if "error" in answer:
            raise RemoteError(answer["error"], answer["text"])
        return answer["value"]

    def do(self, source: str) -> None:
        """Run statements."""
        self.start("do", source)
        self.answer()

    def ask(self, source: str) -> Any:
        """Evaluate an expression."""
        self.start("ask", source)
        return self.answer()

    def connect(self, name: str, busy_timeout_ms: int = 0) -> None:
        """Open connection ``c`` to a cluster; it does not wait for locks unless told to."""
        self.do(f"c = store.cluster({name!r}).connect(); c.set_busy_timeout({busy_timeout_ms})")

    def sql(self, sql: str) -> list[list[Any]]:
        """Run SQL on connection ``c``."""
        result: list[list[Any]] = self.ask(f"rows(c, {sql!r})")
        return result

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """Let the process end as a script does, without closing anything by hand."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


Starter = Callable[..., Agent]


def sum_of(store: clusterdb.Store, name: str = "prod") -> int:
    """The sum of column n, by a new connection."""
    connection = store.cluster(name).connect()
    try:
        ((total,),) = rows(connection, "SELECT sum(n) FROM t")
    finally:
        connection.close()
    assert isinstance(total, int)
    return total


def write_all(store: clusterdb.Store, times: int = 1, name: str = "prod") -> None:
    """Add one to n in every row, so that every page of the table is written."""
    connection = store.cluster(name).connect()
    for _ in range(times):
        connection.execute("UPDATE t SET n = n + 1")
    connection.close()
