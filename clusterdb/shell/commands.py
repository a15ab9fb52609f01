"""The dot commands for clusters: a method for each command; its docstring is its help, in apsw's form."""

from __future__ import annotations

import shlex
import textwrap
from typing import TYPE_CHECKING

import apsw.shell

from clusterdb.rules.points import BASE, parse, split
from clusterdb.shell.dotted import Dotted
from clusterdb.shell.interrupts import postponed
from clusterdb.views import messages
from clusterdb.views.columns import CLUSTERS, ENDPOINTS, INSTANCES, SNAPSHOTS, records_table, size_rows
from clusterdb.views.text import bytes_text, table
from clusterdb.views.urls import connections

if TYPE_CHECKING:
    from clusterdb.rules.points import Point
    from clusterdb.store import Cluster

__all__ = ["ClusterShell"]


_LOG_LINES = 20


class ClusterShell(Dotted):
    """The shell of ``clusterdb shell``."""

    # --- clusters ---------------------------------------------------------------------------------------------------
    def command_clusters(self, cmd: list[str]) -> None:
        """clusters: Lists the clusters of the store with their sizes

        "own" is what only the cluster holds, "shared" what it shares with
        other clusters.
        """
        self.arguments("clusters", cmd, 0, 0)
        stats = [cluster.stats() for cluster in self.store.clusters()]
        self.show(records_table(stats, CLUSTERS, width=self.screen_width()))

    def command_use(self, cmd: list[str]) -> None:
        """use NAME[@POINT] ?--endpoint ENDPOINT?: Uses another cluster

        ENDPOINT is writer (the default), reader, an instance, or a custom
        endpoint; .endpoints lists them.

        POINT is a point in time, which is read-only: a version, a time, a
        time span ago, or a snapshot (.help clone has examples).
        """
        endpoint = self.option(cmd, "--endpoint") or "writer"
        words = self.arguments("use", cmd, 1, None if "@" in "".join(cmd) else 1)
        name, at = split(" ".join(words))
        cluster = self.store.cluster(name)
        self.require_no_transaction("use another cluster")
        with postponed():
            self.use(cluster, endpoint, at)

    def command_create(self, cmd: list[str]) -> None:
        """create NAME ?FILE?: Creates a cluster, empty or with the content of a SQLite database file

        The shell uses it if no other cluster is in use.
        """
        name, *files = self.arguments("create", cmd, 1, 2)
        self.require_writing("create")
        cluster = self.store.create_cluster(name, from_file=files[0] if files else None)
        if self._db is None:
            self.use(cluster)
        else:
            done = messages.imported(name, files[0], cluster.stats().logical_bytes) if files else messages.created(name)
            self.notify(f"{done}: .use {name}")

    def command_clone(self, cmd: list[str]) -> None:
        """clone ?SOURCE[@POINT]? NAME: Clones a cluster, in constant time

        SOURCE defaults to the cluster in use. POINT is a point in time: a
        version, a time, a time span ago, or a snapshot:

          .clone prod dev
          .clone prod@1234 before
          .clone prod@'5 minutes ago' before
          .clone prod@2026-01-31T12:00:00 before
          .clone prod@nightly before
        """
        *source, name = self.arguments("clone", cmd, 1, None)
        source_name, at = split(" ".join(source)) if source else self._present()
        cluster = self.store.cluster(source_name)
        self.require_writing("clone")
        with postponed():
            clone = cluster.clone(name, at=at)
        self._warn_of_transaction(cluster)
        self.notify(f"{messages.cloned(cluster.name, name, clone.origin)}: .use {name}")

    def command_storage(self, cmd: list[str]) -> None:
        """storage ?NAME?: Shows the sizes of a cluster, and of the pool"""
        names = self.arguments("storage", cmd, 0, 1)
        cluster = self.store.cluster(names[0]) if names else self.require_in_use().cluster
        stats, pool = cluster.stats(), self.store.stats()
        pool_rows = [("pool, in use", bytes_text(pool.used_bytes)), ("pool, on disk", bytes_text(pool.pool_bytes))]
        rows = [("version", str(stats.version)), *size_rows(stats), *pool_rows]
        self.show(table(rows, (f"cluster {stats.name}", "")))

    def command_url(self, cmd: list[str]) -> None:
        """url: Shows the URLs of this connection for DB-API, SQLAlchemy and Django"""
        self.arguments("url", cmd, 0, 0)
        in_use = self.require_in_use()
        if in_use.at is not None:
            raise self.Error(f"{self.described()} is a point in the past, which no URL names: .clone it first")
        shown = connections(self.store.path, in_use.cluster.name, in_use.endpoint)
        if not shown:
            raise self.Error("the store is in memory: no other program can connect to it")
        self.show("\n".join(f"{name:12}{url}" for name, url in shown.items()))

    # --- the past ---------------------------------------------------------------------------------------------------
    def command_snapshot(self, cmd: list[str]) -> None:
        """snapshot NAME ?POINT?: Takes a snapshot of the cluster in use, or of a point in its past"""
        name, *words = self.arguments("snapshot", cmd, 1, None)
        in_use = self.require_in_use()
        at = parse(" ".join(words)) if words else in_use.at
        self.require_writing("snapshot")
        with postponed():
            snapshot = in_use.cluster.snapshot(name, at=at)
        self._warn_of_transaction(in_use.cluster)
        self.notify(messages.snapshot_taken(snapshot))

    def command_snapshots(self, cmd: list[str]) -> None:
        """snapshots: Lists the snapshots of the store"""
        self.arguments("snapshots", cmd, 0, 0)
        self.show(records_table(self.store.snapshots(), SNAPSHOTS, width=self.screen_width()))

    def command_reset(self, cmd: list[str]) -> None:
        """reset ?SNAPSHOT? ?--yes?: Resets the clone in use to the present state of its source, or to a snapshot

        Its own changes are lost, unless its settings keep the past (then
        .backtrack restores them). Asks on a terminal; elsewhere --yes is
        needed.
        """
        yes = self.flag(cmd, "--yes")
        words = self.arguments("reset", cmd, 0, 1)
        cluster = self.require_in_use().cluster
        self.require_changes("reset it")
        source = cluster.source
        state = f"snapshot '{self.store.snapshot(words[0]).name}'" if words else f"the present state of '{source}'"
        if words or source is not None:  # else the cluster is not a clone, and reset() fails
            self.confirm(f"Reset {cluster.name} to {state}, and lose its own changes?", yes=yes)
        with postponed():
            switched = cluster.reset(words[0] if words else None)
        self.notify(messages.reset(cluster.name, f"snapshot {words[0]}" if words else str(source), switched))

    def command_backtrack(self, cmd: list[str]) -> None:
        """backtrack POINT ?--yes?: Backtracks the cluster in use in place, or forward again

        Asks on a terminal; elsewhere --yes is needed. POINT is a version or a
        time within the backtrack window:

          .backtrack 1234
          .backtrack 5 minutes ago
          .backtrack 2026-01-31T12:00:00
        """
        yes = self.flag(cmd, "--yes")
        words = self.arguments("backtrack", cmd, 1, None)
        to = parse(" ".join(words))
        cluster = self.require_in_use().cluster
        self.require_changes("backtrack it")
        self.confirm(f"Backtrack {cluster.name} to {' '.join(words)}, for all its connections?", yes=yes)
        with postponed():
            switched = cluster.backtrack(to)
        done = messages.backtracked(cluster.name, switched)
        self.notify(f"{done}: .backtrack {switched.former_version} undoes this")

    def command_diff(self, cmd: list[str]) -> None:
        """diff ?BEFORE[@POINT]? ?AFTER[@POINT]?: Shows the changes from BEFORE to AFTER

        AFTER defaults to the cluster in use, and BEFORE to the point at which it
        was cloned. The changes of this clone, those of the last five minutes,
        and those between two clusters:

          .diff
          .diff prod@'5 minutes ago'
          .diff prod dev
        """
        words = self.arguments("diff", cmd, 0, 2)
        after_name, after_at = split(words[1]) if len(words) > 1 else self._present()
        before_name, before_at = split(words[0]) if words else (after_name, BASE)
        self.show(self.store.diff(before_name, after_name, before_at=before_at, after_at=after_at).text())

    def command_log(self, cmd: list[str]) -> None:
        """log ?POINT?: Lists the versions of the cluster in use, newest first, with the tables that they changed

        The last 20 versions, or those since a point: a version, a time, a time
        span, or a snapshot.

          .log
          .log 1 hour ago
        """
        from clusterdb.history.text import log_text

        words = self.arguments("log", cmd, 0, None)
        since = parse(" ".join(words)) if words else None
        entries = self.require_in_use().cluster.log(since=since, limit=None if words else _LOG_LINES)
        self.show(log_text(entries, graph=any(entry.is_left for entry in entries)))

    # --- instances --------------------------------------------------------------------------------------------------
    def command_endpoints(self, cmd: list[str]) -> None:
        """endpoints: Lists the endpoints of the cluster in use, with the instances that each leads to now"""
        self.arguments("endpoints", cmd, 0, 0)
        self.show(records_table(self.require_in_use().cluster.endpoints(), ENDPOINTS, width=self.screen_width()))

    def command_instances(self, cmd: list[str]) -> None:
        """instances: Lists the instances of the cluster in use, the writer first"""
        self.arguments("instances", cmd, 0, 0)
        self.show(records_table(self.require_in_use().cluster.instances(), INSTANCES, width=self.screen_width()))

    def command_failover(self, cmd: list[str]) -> None:
        """failover ?TARGET? ?--yes?: Promotes a reader of the cluster in use to be its writer

        TARGET defaults to the reader with the lowest tier. Uncommitted
        changes of other connections are lost; the shell connects again
        through the same endpoint. Asks on a terminal; elsewhere --yes is
        needed.
        """
        yes = self.flag(cmd, "--yes")
        words = self.arguments("failover", cmd, 0, 1)
        in_use = self.require_in_use()
        cluster = in_use.cluster
        self.require_changes("fail it over")
        if any(instance.role == "reader" for instance in cluster.instances()):  # else failover() fails
            self.confirm(f"Fail {cluster.name} over, and end all connections to its writer?", yes=yes)
        with postponed():
            former = next((instance.name for instance in cluster.instances() if instance.role == "writer"), None)
            writer = cluster.failover(words[0] if words else None)
            self.use(cluster, in_use.endpoint)
        self.show(messages.promoted(cluster.name, writer, former) if self.interactive else f"the writer is {writer}")

    # --- apsw's own, where clusters differ from files ---------------------------------------------------------------
    def command_open(self, cmd: list[str]) -> None:
        """open NAME | ?OPTIONS? ?FILE?: Uses a cluster, or opens a plain database file

        A name with a slash or a dot is a file; without a name a memory
        database is opened. Options for files are:

        --wipe         Deletes the database file before opening

        --vfs VFS      Which vfs to use when opening

        --flags FLAGS  Open flags to use, in lower or upper case.  Use | to
                       combine. Default is  READWRITE|CREATE|URI
        """
        if len(cmd) == 1 and not cmd[0].startswith("-") and not set(cmd[0]) & set("/.:"):
            self.command_use(cmd)
            return
        self.require_no_transaction("open another database")
        former, self._db = self._db, None
        try:
            super().command_open(cmd)
        except BaseException:
            self._db = former
            raise
        self.in_use = None
        if former is not None:
            former.close()

    def command_close(self, cmd: list[str]) -> None:
        """close: Closes the cluster or file in use"""
        self.arguments("close", cmd, 0, 0)
        self.require_no_transaction("close it")
        self.leave()

    def command_once(self, cmd: list[str]) -> None:
        """once FILE: Writes the next result to FILE instead, or to standard output if it is -

        The result is that of the next statements, or of a command that lists
        something; .mode and other settings may come first:

          .once users.csv
          .mode csv
          SELECT * FROM users;
        """
        (file,) = self.arguments("once", cmd, 1, 1)
        self.write_once_to(file)

    def command_pager(self, cmd: list[str]) -> None:
        """pager on | off | COMMAND: Shows output that does not fit the terminal through a pager

        COMMAND is a program with its options, which is then on:

          .pager less -S

        The default is $CLUSTERDB_PAGER, else $PAGER, else less. In files and
        pipes there is no pager.
        """
        words = self.arguments("pager", cmd, 0, None)
        if [word.lower() for word in words] in (["on"], ["off"]):
            self.uses_pager = words[0].lower() == "on"
        elif words:
            self.pager, self.uses_pager = shlex.join(words), True
        else:
            self.show(f"{'on' if self.uses_pager else 'off'}: {self.pager}")

    def command_footer(self, cmd: list[str]) -> None:
        """footer ON|OFF: Controls the number of rows and the time after each statement

        It is on at a terminal; files and pipes never get it. The time ends when
        all rows are there, before they are shown.
        """
        self.shows_footer = self._boolean_command("footer", cmd)

    def command_connection(self, cmd: list[str]) -> None:
        """connection: Not supported: .use NAME uses another cluster"""
        raise self.Error(".connection is not supported, as the store has connections of its own: use .use NAME")

    def command_help(self, cmd: list[str]) -> None:
        """help ?COMMAND?: Shows list of commands and their usage

        If COMMAND is specified then shows detail about that COMMAND.
        ``.help all`` will show detailed help about all commands.
        """
        for word in cmd:
            self.require_command(word.lstrip("."), others=["all", "headers"])
        super().command_help(cmd)
        if not cmd:
            names = " ".join(f".{name}" for name in sorted(_OWN_COMMANDS))
            text = f"About clusters: {names}. For details: .help clone."
            self.write(self.stderr, textwrap.fill(text, self._terminal_width(32), break_on_hyphens=False) + "\n\n")

    # --- shared by the commands -------------------------------------------------------------------------------------
    def is_ours(self, command: str) -> bool:
        """Whether a line is a command for clusters."""
        return command[:1] == "." and bool(_OWN_COMMANDS.intersection(command[1:].split()[:1]))

    def _present(self) -> tuple[str, Point | None]:
        """The cluster in use and its point in time, as the default of NAME[@POINT]."""
        in_use = self.require_in_use()
        return in_use.cluster.name, in_use.at

    def _warn_of_transaction(self, cluster: Cluster) -> None:
        """Clones and snapshots have committed changes only: warn if the session has others in this cluster."""
        if self.in_transaction and self.in_use is not None and self.in_use.cluster.id == cluster.id:
            self.write(self.stderr, "(changes of the open transaction are not in it)\n")


_OWN_COMMANDS = frozenset(
    name.removeprefix("command_")
    for name in vars(ClusterShell)
    if name.startswith("command_") and not hasattr(apsw.shell.Shell, name)
)
