"""Conversations with a shell in this process, and shells in another one."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import clusterdb
from clusterdb.shell import ClusterShell
from tests.support.commands import RUN

ENDLESS = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"


def run(folder: Path, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, "shell", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


class Talk:
    """A person at a prompt, without a terminal: what is said, and what the shell answers."""

    def __init__(self, store: clusterdb.Store, cluster: str | None = "prod", **options: bool) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.shell = ClusterShell(store, stdin=io.StringIO(), stdout=self.out, stderr=self.err, **options)
        self.shell.interactive = True
        if cluster is not None:
            self.shell.use(store.cluster(cluster))

    def say(self, *lines: str) -> tuple[str, str]:
        """What the lines answer: standard output, prompts included, and standard error."""
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        self.shell.stdin = io.StringIO("".join(f"{line}\n" for line in lines))
        self.shell.cmdloop()
        return self.out.getvalue(), self.err.getvalue()

    def answer_to(self, line: str) -> str:
        """What a line answers, on either stream, without prompts."""
        out, err = self.say(line)
        prompt = self.shell.prompt
        return err + out.removesuffix(f"{prompt}\n").rpartition("> ")[2].removeprefix(prompt)


Talking = Callable[..., Talk]


def names(store: clusterdb.Store) -> list[str]:
    return [cluster.name for cluster in store.clusters()]


def ids(store: clusterdb.Store, cluster: str = "prod") -> list[int]:
    connection = store.cluster(cluster).connect()
    try:
        return [row[0] for row in connection.execute("SELECT id FROM users ORDER BY id")]
    finally:
        connection.close()
