"""The dot commands for clusters.  One method a command; its docstring is its help, in apsw's form."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import apsw.shell

from clusterdb.cli.app import split_point
from clusterdb.format import bytes_text, table
from clusterdb.listings import CLUSTERS, ENDPOINTS, INSTANCES, SNAPSHOTS, listing, sizes
from clusterdb.rules.points import parse
from clusterdb.shell.dotted import Dotted
from clusterdb.shell.interrupts import postponed

if TYPE_CHECKING:
    from clusterdb.store import Cluster

__all__ = ["ClusterShell"]


class ClusterShell(Dotted):
    """The shell of ``clusterdb shell``."""

    # --- clusters ---------------------------------------------------------------------------------------------------
    def command_clusters(self, cmd: list[str]) -> None:
        """clusters: Lists the clusters of the store with what each holds

        "own" is what nobody else has, "shared" what it has together with
        other clusters.
        """
        self.arguments("clusters", cmd, 0, 0)
        self.show(listing([cluster.stats() for cluster in self.store.clusters()], CLUSTERS))

    def command_use(self, cmd: list[str]) -> None:
        """use NAME[@POINT] ?--endpoint ENDPOINT?: Goes over to a cluster

        ENDPOINT is writer (the default), reader, an instance, or a custom
        endpoint; .endpoints lists them.

        POINT is one in its past, only to be read: a version, a time, so long
        ago, or a snapshot (.help clone has examples).
        """
        endpoint = self.option(cmd, "--endpoint") or "writer"
        words = self.arguments("use", cmd, 1, None if "@" in "".join(cmd) else 1)
        name, point = split_point(" ".join(words))
        cluster = self.store.cluster(name)
        self.require_no_transaction("use another cluster")
        with postponed():
            self.use(cluster, endpoint, point)

    def command_create(self, cmd: list[str]) -> None:
        """create NAME ?FILE?: Creates a cluster, empty or with the content of a SQLite database file

        The shell goes over to it if no other cluster is in use.
        """
        name, *files = self.arguments("create", cmd, 1, 2)
        self.require_writing("create")
        made = self.store.create_cluster(name, from_file=files[0] if files else None)
        if self._db is None:
            self.use(made)
        else:
            self.say(f"{name} is there: .use {name}")

    def command_clone(self, cmd: list[str]) -> None:
        """clone ?SOURCE[@POINT]? NAME: Clones a cluster, in constant time

        SOURCE is what is in use if it is not given. POINT is a point in its
        past: a version, a time, so long ago, or a snapshot:

          .clone prod dev
          .clone prod@1234 before
          .clone prod@'5 minutes ago' before
          .clone prod@2026-01-31T12:00:00 before
          .clone prod@nightly before
        """
        *source, name = self.arguments("clone", cmd, 1, None)
        named, point = split_point(" ".join(source)) if source else (self.in_use().name, self.at)
        cluster = self.store.cluster(named)
        self.require_writing("clone")
        with postponed():
            cluster.clone(name, at=point)
        self._note_transaction(cluster)
        self.say(f"{name} is a clone of {cluster.name}: .use {name}")

    def command_storage(self, cmd: list[str]) -> None:
        """storage ?NAME?: Shows what a cluster holds, alone and with others, and the pool"""
        names = self.arguments("storage", cmd, 0, 1)
        stats, pool = (self.store.cluster(names[0]) if names else self.in_use()).stats(), self.store.stats()
        used = [("pool, in use", bytes_text(pool.used_bytes)), ("pool, on disk", bytes_text(pool.pool_bytes))]
        self.show(table([("version", str(stats.version)), *sizes(stats), *used], (f"cluster {stats.name}", "")))

    # --- the past ---------------------------------------------------------------------------------------------------
    def command_snapshot(self, cmd: list[str]) -> None:
        """snapshot NAME ?POINT?: Keeps what the cluster in use has now, or had at POINT, until it is deleted"""
        name, *words = self.arguments("snapshot", cmd, 1, None)
        cluster = self.in_use()
        point = parse(" ".join(words)) if words else self.at
        self.require_writing("snapshot")
        with postponed():
            made = cluster.snapshot(name, at=point)
        self._note_transaction(cluster)
        self.say(f"{name} keeps version {made.version} of {cluster.name}")

    def command_snapshots(self, cmd: list[str]) -> None:
        """snapshots: Lists the snapshots of the store"""
        self.arguments("snapshots", cmd, 0, 0)
        self.show(listing(self.store.snapshots(), SNAPSHOTS))

    def command_reset(self, cmd: list[str]) -> None:
        """reset ?SNAPSHOT? ?--yes?: Gives the clone in use its source's present state again, or a snapshot's

        What was changed in it is lost, unless it keeps its past (then
        .backtrack brings it back). Asks on a terminal; elsewhere --yes is
        needed.
        """
        is_sure = self.flag(cmd, "--yes")
        words = self.arguments("reset", cmd, 0, 1)
        cluster = self.in_use()
        self.require_changes("reset it")
        source = cluster.stats().source
        to = f"the snapshot '{self.store.snapshot(words[0]).name}'" if words else f"the present state of '{source}'"
        if words or source is not None:  # else it is refused anyway
            self.confirm(f"Reset {cluster.name} to {to}, and lose its own changes?", is_sure)
        with postponed():
            cluster.reset(words[0] if words else None)
        self.say(f"{cluster.name} has {to} now")

    def command_backtrack(self, cmd: list[str]) -> None:
        """backtrack POINT ?--yes?: Lets the cluster in use go back in place, or forward again

        Asks on a terminal; elsewhere --yes is needed. POINT is a version or a
        time within the backtrack window:

          .backtrack 1234
          .backtrack 5 minutes ago
          .backtrack 2026-01-31T12:00:00
        """
        is_sure = self.flag(cmd, "--yes")
        words = self.arguments("backtrack", cmd, 1, None)
        point = parse(" ".join(words))
        cluster = self.in_use()
        self.require_changes("backtrack it")
        self.confirm(f"Let {cluster.name} go to {' '.join(words)}, for everybody who uses it?", is_sure)
        before = cluster.stats().version
        with postponed():
            cluster.backtrack(point)
        self.say(f"{cluster.name} was at version {before}: .backtrack {before} goes there again")

    def command_diff(self, cmd: list[str]) -> None:
        """diff BEFORE[@POINT] ?AFTER[@POINT]?: Shows what made of BEFORE what AFTER is

        AFTER is what is in use if it is not given. What the last five minutes
        have changed, and what a clone has changed:

          .diff prod@'5 minutes ago'
          .diff prod dev
        """
        before, *after = self.arguments("diff", cmd, 1, 2)
        (old, old_at), (new, new_at) = (
            split_point(before),
            split_point(after[0]) if after else (self.in_use().name, self.at),
        )
        self.show(self.store.diff(old, new, before_at=old_at, after_at=new_at).text())

    # --- instances --------------------------------------------------------------------------------------------------
    def command_endpoints(self, cmd: list[str]) -> None:
        """endpoints: Lists the endpoints of the cluster in use and where they lead now"""
        self.arguments("endpoints", cmd, 0, 0)
        self.show(listing(self.in_use().endpoints(), ENDPOINTS))

    def command_instances(self, cmd: list[str]) -> None:
        """instances: Lists the instances of the cluster in use, the writer first"""
        self.arguments("instances", cmd, 0, 0)
        self.show(listing(self.in_use().instances(), INSTANCES))

    def command_failover(self, cmd: list[str]) -> None:
        """failover ?TARGET? ?--yes?: Makes a reader of the cluster in use its writer

        Without a TARGET the reader with the lowest tier is taken. What the
        others have not committed is lost; the shell is connected again through
        the same endpoint. Asks on a terminal; elsewhere --yes is needed.
        """
        is_sure = self.flag(cmd, "--yes")
        words = self.arguments("failover", cmd, 0, 1)
        cluster = self.in_use()
        self.require_changes("fail over")
        if any(each.role == "reader" for each in cluster.instances()):  # else it is refused anyway
            self.confirm(f"Fail {cluster.name} over, and cut off who writes to it?", is_sure)
        with postponed():
            writer = cluster.failover(words[0] if words else None)
            self.use(cluster, self.endpoint)
        self.show(f"the writer is {writer}")

    # --- apsw's own, where clusters differ from files ---------------------------------------------------------------
    def command_open(self, cmd: list[str]) -> None:
        """open NAME | ?OPTIONS? ?FILE?: Goes over to a cluster, or opens a plain database file

        What has a slash or a dot in it is a file; without one a memory
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
        self.cluster = self.at = self.spoken = None
        if former is not None:
            former.close()

    def command_close(self, cmd: list[str]) -> None:
        """close: Uses no cluster or file any more"""
        self.arguments("close", cmd, 0, 0)
        self.require_no_transaction("close it")
        self.leave()

    def command_connection(self, cmd: list[str]) -> None:
        """connection: Is not here: .use goes over to another cluster"""
        raise self.Error("the connections of this process are the store's own too: .use NAME goes over to a cluster")

    def command_help(self, cmd: list[str]) -> None:
        """help ?COMMAND?: Shows list of commands and their usage

        If COMMAND is specified then shows detail about that COMMAND.
        ``.help all`` will show detailed help about all commands.
        """
        for word in cmd:
            self.require_command(word.lstrip("."), others=["all", "headers"])
        super().command_help(cmd)
        if not cmd:
            own = f"About clusters: {' '.join(f'.{name}' for name in sorted(_OWN))}. As .help clone: more about .clone."
            self.write(self.stderr, textwrap.fill(own, self._terminal_width(32), break_on_hyphens=False) + "\n\n")

    # --- what they share --------------------------------------------------------------------------------------------
    def is_ours(self, command: str) -> bool:
        """Whether a line is a command for clusters."""
        return command[:1] == "." and bool(_OWN.intersection(command[1:].split()[:1]))

    def _note_transaction(self, cluster: Cluster) -> None:
        """A clone and a snapshot have what is committed."""
        if self.in_transaction and self.cluster is not None and self.cluster.id == cluster.id:
            self.write(self.stderr, "(what the open transaction has changed is not in it)\n")


_OWN = frozenset(
    name.removeprefix("command_")
    for name in vars(ClusterShell)
    if name.startswith("command_") and not hasattr(apsw.shell.Shell, name)
)
