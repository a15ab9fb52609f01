"""Dot commands in general: arguments, questions, output, suggestions for unknown names, completion."""

from __future__ import annotations

import apsw

from clusterdb.errors import Error
from clusterdb.rules.names import suggestion
from clusterdb.shell.conversation import Conversation
from clusterdb.views.text import no_terminal_text

__all__ = ["Dotted"]


class Dotted(Conversation):
    """A conversation with the parts that dot commands for clusters share."""

    confirms_all = False
    """Whether every question is answered with yes."""

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
            if not self.in_transaction or self.db.txn_state("main") != apsw.SQLITE_TXN_NONE:
                if self.may_have_changed:
                    self._completion_cache = None
                    self.may_have_changed = False
            elif self._completion_cache is None:
                return []
            words: list[str] = super().complete_sql(line, token, beg, end)
            return sorted(words, key=lambda word: word.upper() in self._sqlite_keywords)
        except (apsw.Error, self.Error, Error):
            return []

    def complete_command(self, line: str, token: str, beg: int, end: int) -> list[str]:
        """Completions of a word of a dot command: clusters, snapshots, endpoints, instances."""
        words = line[:beg].split()
        try:
            names = self._names(words) if words else None
        except (Error, self.Error):
            names = []
        if names is None:
            return super().complete_command(line, token, beg, end)
        return sorted(name for name in names if name.startswith(token))

    def _names(self, words: list[str]) -> list[str] | None:
        """The names that can follow the words of a dot command; None for apsw's own commands."""
        command = words[0].removeprefix(".")
        if words[-1] == "--endpoint":
            cluster = self.store.cluster(words[1]) if len(words) > 2 else self.require_in_use().cluster
            return [endpoint.name for endpoint in cluster.endpoints()]
        if command in ("use", "clone", "storage", "diff", "open"):
            return [cluster.name for cluster in self.store.clusters()] if len(words) == 1 else []
        if command == "reset":
            return [snapshot.name for snapshot in self.store.snapshots()]
        if command == "failover":
            instances = self.require_in_use().cluster.instances()
            return [instance.name for instance in instances if instance.role == "reader"]
        return None
