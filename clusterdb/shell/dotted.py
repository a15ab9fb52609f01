"""Dot commands in general: arguments, questions, output, suggestions for unknown names, completion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import apsw

from clusterdb.errors import Error
from clusterdb.rules.names import suggestion
from clusterdb.shell.completion import Names, completions
from clusterdb.shell.conversation import Conversation
from clusterdb.views.points import points
from clusterdb.views.text import no_terminal_text

__all__ = ["Dotted"]

_TABLES = """
    SELECT schema, name FROM pragma_table_list WHERE type IN ('table', 'view', 'virtual') AND name NOT LIKE 'sqlite\\_%'
    ESCAPE '\\' ORDER BY name
"""
_COLUMNS = "SELECT name FROM pragma_table_info(?, ?) ORDER BY cid"
_ARGUMENTS: dict[str, Sequence[str]] = {
    "autoimport": ["file", "table"],
    "backtrack": ["moment"],
    "backup": ["file"],
    "clone": ["point", ""],
    "create": ["", "file"],
    "diff": ["point", "point"],
    "dump": ["table"],
    "failover": ["reader"],
    "find": ["", "table"],
    "footer": ["on|off"],
    "import": ["file", "table"],
    "indices": ["table"],
    "load": ["file"],
    "once": ["file"],
    "open": ["cluster"],
    "output": ["file"],
    "pager": ["on|off|less -S"],
    "read": ["file"],
    "reset": ["snapshot"],
    "restore": ["file"],
    "schema": ["table"],
    "snapshot": ["", "moment"],
    "storage": ["cluster"],
    "tables": ["table"],
    "use": ["point"],
}
"""What the arguments of commands are: a kind of name, or the words themselves; nothing follows an empty text."""
_FUNCTIONS = "SELECT name, max(abs(narg)) FROM pragma_function_list GROUP BY name ORDER BY name"
_PRAGMA = re.compile(r"\A\s*pragma\s[^;]*\Z", re.IGNORECASE)


class Dotted(Conversation):
    """A conversation with the parts that dot commands for clusters share."""

    confirms_all = False
    """Whether every question is answered with yes."""
    _names: Names | None = None

    # --- running them -----------------------------------------------------------------------------------------------
    def process_command(self, command: str) -> None:
        """Run a dot command."""
        self.require_command(command[1:].split(maxsplit=1)[0] if command[1:].strip() else "")
        super().process_command(command)

    def require_command(self, word: str, others: list[str] | None = None) -> None:
        """Raises Shell.Error, with the nearest name, if the command does not exist; ``others`` are allowed too."""
        names = [name.removeprefix("command_").replace("_", "-") for name in dir(self) if name.startswith("command_")]
        if word.replace("_", "-") not in [*names, *(others or [])]:
            near = suggestion(word, names).replace("'", "").replace("mean ", "mean .")
            raise self.Error(f"no command '.{word}'{near or ': .help lists the commands'}")

    def arguments(self, name: str, words: list[str], least: int, most: int | None) -> list[str]:
        """The arguments of a command.  Raises Shell.Error with its usage if they are too few, too many or options."""
        unknown = [word for word in words if word.startswith("--")]
        if unknown or len(words) < least or (most is not None and len(words) > most):
            usage = str(getattr(self, f"command_{name}").__doc__).partition(":")[0]
            problem = f"no option {unknown[0]}; " if unknown else ""
            raise self.Error(f"{problem}usage: .{usage} (see .help {name})")
        return words

    def option(self, words: list[str], name: str) -> str | None:
        """Remove an option with its value from the words; the value."""
        for index, word in enumerate(words):
            if word.startswith(f"{name}="):
                return words.pop(index)[len(name) + 1 :]
            if word == name and index + 1 < len(words):
                del words[index]
                return words.pop(index)
        return None

    def flag(self, words: list[str], name: str) -> bool:
        """Remove an option without a value from the words; whether it was there."""
        is_set = name in words
        words[:] = [word for word in words if word != name]
        return is_set

    def require_writing(self, verb: str) -> None:
        """Raises Shell.Error if the shell is read-only."""
        if self.read_only:
            raise self.Error(f"this shell is read-only: start it without --read-only to {verb}")

    def require_changes(self, verb: str) -> None:
        """Raises Shell.Error if the cluster in use cannot be changed as a whole from this session."""
        self.require_writing(verb)
        if self.in_use is not None and self.in_use.at is not None:
            raise self.Error(
                f"{self.described()} is a point in the past: .use {self.in_use.cluster.name} before you {verb}"
            )
        self.require_no_transaction(verb)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is lost.  Raises Shell.Error without a terminal to ask on, and if the answer is no."""
        if yes or self.confirms_all:
            return
        if not self.interactive:
            raise self.Error(no_terminal_text(question))
        if not self.asks_yes(question):
            raise self.Error("cancelled: nothing was changed")

    def show(self, text: str) -> None:
        """Print a line, or a table."""
        self.write(self.stdout, text + "\n")

    def notify(self, text: str) -> None:
        """Print the outcome of a command at a prompt; scripts print nothing on success."""
        if self.interactive:
            self.show(text)

    # --- completion -------------------------------------------------------------------------------------------------
    def complete_sql(self, line: str, token: str, beg: int, end: int) -> list[str]:
        """Completions of a word of a statement, names before keywords; none if the schema cannot be read.

        In a transaction that has not read yet, completions come from the cache only: to read the schema would fix the
        version that the transaction sees.
        """
        try:
            may_read = not self.in_transaction or self.db.txn_state("main") != apsw.SQLITE_TXN_NONE
            if may_read and (self.may_have_changed or self._names is None):
                self._names = self._read_names()
                self._completion_cache = None
                self.may_have_changed = False
            if self._names is None:
                return []
            if _PRAGMA.search(line[:end]):
                words: list[str] = super().complete_sql(line, token, beg, end)
                return words
            typed = "".join(f"{typed_line}\n" for typed_line in self.typed_lines)
            return completions(typed + line, len(typed) + beg, len(typed) + end, self._names)
        except (apsw.Error, self.Error, Error):
            return []

    def _read_names(self) -> Names:
        """The names in the databases of the connection.  Raises apsw.Error."""
        db = self.db
        schemas = [row[1] for row in db.execute("PRAGMA database_list")]
        tables: dict[str, list[str]] = {}
        for schema, name in db.execute(_TABLES).fetchall():
            with suppress(apsw.Error):  # a view of a table that was deleted
                tables[str(name)] = [column for (column,) in db.execute(_COLUMNS, (name, schema))]
        if self.flavour is None:
            calls = [f"{name}{'()' if count == 0 else '('}" for name, count in db.execute(_FUNCTIONS)]
        else:
            calls = sorted(f"{name}(" for name in self.flavour.functions.by_name)
        others = [row[1] for row in db.execute("PRAGMA collation_list")]
        others += [row[0] for row in db.execute("PRAGMA module_list")]
        quote = "`" if self.flavour is not None and self.flavour.engine == "aurora-mysql" else '"'
        return Names(
            tables, schemas, calls, sorted(self._sqlite_keywords), [*self._sqlite_special_names, *others], quote
        )

    def complete_command(self, line: str, token: str, beg: int, end: int) -> list[str]:
        """Completions of a word of a dot command: clusters and points in time, snapshots, endpoints, files, tables."""
        words = line[:beg].split()
        try:
            following = self._completed(words, line[:beg]) if words else None
        except (Error, self.Error, apsw.Error):
            following = []
        if following is None:
            return super().complete_command(line, token, beg, end)
        if isinstance(following, _Files):
            return following.beginning(token)
        return [name for name in following if name.startswith(token)]

    def _completed(self, words: list[str], before: str) -> Sequence[str] | _Files | None:
        """What can follow the words of a dot command; None for apsw's own commands."""
        command = words[0].removeprefix(".").replace("_", "-")
        if words[-1] == "--endpoint":
            cluster = self.store.cluster(words[1]) if len(words) > 2 else self.require_in_use().cluster
            return [endpoint.name for endpoint in cluster.endpoints()]
        kinds = _ARGUMENTS.get(command)
        if kinds is None:
            return None
        if before.endswith("@"):
            return self._points(words[-1][:-1]) if "point" in kinds else []
        if len(words) > len(kinds):
            return []
        kind = kinds[len(words) - 1]
        if kind == "file":
            return _Files()
        if kind in ("cluster", "point"):
            return [cluster.name for cluster in self.store.clusters()]
        if kind == "snapshot":
            return [snapshot.name for snapshot in self.store.snapshots()]
        if kind == "moment":
            return self._points(self.require_in_use().cluster.name, with_snapshots=command == "snapshot")
        if kind == "reader":
            instances = self.require_in_use().cluster.instances()
            return [instance.name for instance in instances if instance.role == "reader"]
        if kind == "table":
            return sorted(self._read_names().tables)
        return kind.split("|") if "|" in kind else []

    def _points(self, name: str, *, with_snapshots: bool = True) -> list[str]:
        """Points in the past of a cluster."""
        cluster = self.store.cluster(name)
        snapshots = self.store.snapshots() if with_snapshots else []
        now = datetime.now(timezone.utc)
        return [point.text for point in points(name, snapshots, cluster.versions(5), cluster.restorable()[0], now)]


class _Files:
    """The files in a directory, and directories with a slash."""

    def beginning(self, token: str) -> list[str]:
        """The paths that begin with a text."""
        folder, slash, name = token.rpartition("/")
        with suppress(OSError):
            entries = sorted(Path(folder + slash or ".").expanduser().iterdir())
            return [
                f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
                for entry in entries
                if entry.name.startswith(name) and (name or not entry.name.startswith("."))
            ]
        return []
