"""Dot commands in general: their arguments, what is asked and said, which one was meant, how words complete."""

from __future__ import annotations

import apsw

from clusterdb.errors import Error
from clusterdb.rules.names import suggestion
from clusterdb.shell.conversation import Conversation

__all__ = ["Dotted"]


class Dotted(Conversation):
    """What dot commands for clusters need."""

    is_sure = False
    """Whether questions are answered with yes."""

    # --- running them -----------------------------------------------------------------------------------------------
    def process_command(self, command: str) -> None:
        """Run a dot command."""
        self.require_command(command[1:].split(maxsplit=1)[0] if command[1:].strip() else "")
        super().process_command(command)

    def require_command(self, word: str, others: list[str] | None = None) -> None:
        """Raises Shell.Error with the nearest name if there is no such command."""
        known = [name.removeprefix("command_").replace("_", "-") for name in dir(self) if name.startswith("command_")]
        if word.replace("_", "-") not in [*known, *(others or [])]:
            near = suggestion(word, known).replace("'", "").replace("mean ", "mean .")
            raise self.Error(f"no command '.{word}'{near or ': .help lists the commands'}")

    def arguments(self, name: str, words: list[str], least: int, most: int | None) -> list[str]:
        """The words of a command.  Raises Shell.Error that says how it is used."""
        wrong = [word for word in words if word.startswith("--")]
        if wrong or len(words) < least or (most is not None and len(words) > most):
            usage = str(getattr(self, f"command_{name}").__doc__).partition(":")[0]
            raise self.Error(f"{f'no option {wrong[0]}; ' if wrong else ''}usage: .{usage} (.help {name} says more)")
        return words

    def option(self, words: list[str], name: str) -> str | None:
        """Take an option with its value out of words."""
        for at, word in enumerate(words):
            if word.startswith(f"{name}="):
                return words.pop(at)[len(name) + 1 :]
            if word == name and at + 1 < len(words):
                del words[at]
                return words.pop(at)
        return None

    def flag(self, words: list[str], name: str) -> bool:
        """Take an option without a value out of words."""
        found = name in words
        words[:] = [word for word in words if word != name]
        return found

    def require_writing(self, what: str) -> None:
        """Raises Shell.Error if the shell only reads."""
        if self.read_only:
            raise self.Error(f"this shell only reads: leave out --read-only to {what}")

    def require_changes(self, what: str) -> None:
        """Raises Shell.Error if the cluster in use cannot be changed as a whole from here."""
        self.require_writing(what)
        if self.at is not None:
            raise self.Error(f"{self.described()} is past: .use {self.in_use().name} to {what}")
        self.require_no_transaction(what)

    def confirm(self, question: str, is_sure: bool) -> None:
        """Ask before something is lost.  Raises Shell.Error where there is nobody to ask, and for a no."""
        if is_sure or self.is_sure:
            return
        if not self.interactive:
            raise self.Error(f"there is no terminal to ask on ({question}): add --yes")
        if not self.says_yes(question):
            raise self.Error("nothing was done")

    def show(self, text: str) -> None:
        """Print a line, or a table."""
        self.write(self.stdout, text + "\n")

    def say(self, text: str) -> None:
        """Say to a person what has been done; scripts take silence for success."""
        if self.interactive:
            self.show(text)

    # --- completion -------------------------------------------------------------------------------------------------
    def complete_sql(self, line: str, token: str, beg: int, end: int) -> list[str]:
        """Words that go on with a statement, names before keywords; none while nothing can be asked.

        Behind BEGIN, before a statement has looked at anything, only those that are known already: to look at the
        schema would fix what the transaction sees.
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
        """Words that go on with a dot command: names of clusters, snapshots, endpoints, instances."""
        words = line[:beg].split()
        try:
            names = self._names(words) if words else None
        except (Error, self.Error):
            names = []
        if names is None:
            return super().complete_command(line, token, beg, end)
        return sorted(name for name in names if name.startswith(token))

    def _names(self, words: list[str]) -> list[str] | None:
        """What may follow the words of a dot command; None if it is not ours."""
        command = words[0].removeprefix(".")
        if words[-1] == "--endpoint":
            named = self.store.cluster(words[1]) if len(words) > 2 else self.in_use()
            return [each.name for each in named.endpoints()]
        if command in ("use", "clone", "storage", "diff", "open"):
            return [each.name for each in self.store.clusters()] if len(words) == 1 else []
        if command == "reset":
            return [each.name for each in self.store.snapshots()]
        if command == "failover":
            return [each.name for each in self.in_use().instances() if each.role == "reader"]
        return None
