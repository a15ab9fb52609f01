"""What goes in and what comes out: reading statements, Ctrl-C, errors.

Statements end where SQLite says so (``sqlite3_complete``), in a cluster of another engine where that engine's client
has them end: ``DELIMITER`` changes it, and the data of COPY belongs to the statement.  Input comes from a person
(``interactive``), from standard input, or from files.

Errors are one line on standard error.  At a prompt SQLite's own are followed by lines that point at the place; from
a file or a pipe each line begins with where it comes from.
"""

from __future__ import annotations

import io
import re
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TextIO

import apsw

from clusterdb.shell.interrupts import interruptible
from clusterdb.shell.session import Session

__all__ = ["Conversation", "Terminal"]

_NOTHING = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*(?!!).*?\*/|;)*+\Z", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[\d*m")
_WORDS = {"exit": ".exit", "quit": ".exit", "help": ".help"}


class _Unreadable(Exception):
    """Nothing more can be read, as has been told."""


class Terminal(Protocol):
    """Who reads lines from a person."""

    def read(self, prompt: str) -> str:
        """A line, without its end.  Raises EOFError, KeyboardInterrupt."""

    def remember(self, entry: str) -> None:
        """Keep what was entered, all lines of it, in the history."""


class Conversation(Session):
    """A session that reads, and tells what went wrong."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.terminal: Terminal | None = None
        self.has_failed = False
        self.may_have_changed = True  # the schema, since words to complete were looked for
        self._completion_cache: list[list[str]] | None = None
        self._line = 0  # where the command begins that is being run
        self._has_lost_transaction = False
        super().__init__(*arguments, **named)

    # --- reading ----------------------------------------------------------------------------------------------------
    def is_complete(self, text: str) -> bool:
        """Whether a text can be run: it ends a statement, is a dot command, or is empty."""
        if self._is_no_statement(text):
            return True
        return apsw.complete(text + "\n") if self.flavour is None else self.flavour.is_complete(self.preamble + text)

    def _is_no_statement(self, text: str) -> bool:
        return bool(text.lstrip().startswith(".") or _NOTHING.match(text) or self._word(text))

    def _ending(self) -> Callable[[str], bool]:
        """What tells, line by line, whether statements are whole; of other engines each line is looked at once."""
        if self.flavour is None:
            lines: list[str] = []

            def is_complete(line: str) -> bool:
                lines.append(line)
                return self.is_complete("\n".join(lines))

            return is_complete
        splitter = self.flavour.splitter()
        deque(splitter.feed(self.preamble), maxlen=0)

        def is_between(line: str) -> bool:
            deque(splitter.feed(line + "\n"), maxlen=0)
            if splitter.is_between:
                self.preamble = splitter.preamble
            return splitter.is_between

        return is_between

    def _word(self, text: str) -> str | None:
        return _WORDS.get(text.strip().rstrip(";").lower()) if self.interactive else None

    def get_line(self, prompt: str = "") -> str | None:
        """A line of input, None at its end."""
        try:
            self.stdout.flush()  # whoever waits for an answer at the other end of a pipe gets it
            if self.terminal is None or not self.interactive:
                return super().get_line(prompt)
            self.stderr.flush()
            return self.terminal.read(prompt)
        except EOFError:
            return None
        except BrokenPipeError:
            raise
        except (OSError, UnicodeError) as error:  # would come again and again
            self._append_input_description()
            self._tell(error)
            raise _Unreadable from error

    def says_yes(self, question: str) -> bool:
        """Ask a person, no being the default."""
        answer = super().get_line(f"{question} [y/N] ")
        return (answer or "").strip().lower() in ("y", "yes")

    def get_complete_line(self) -> str | None:
        """A dot command or whole statements; None at the end.  What the end of a file cuts off is taken for whole."""
        self._completion_first = True
        try:
            self._line = self.input_line_number + 1
            command = self.get_line(self.prompt)
            if command is None:
                return None
            if not self._is_no_statement(command):
                lines, is_whole = [command], self._ending()
                preamble = self.preamble
                while not is_whole(lines[-1]):
                    self._completion_first = False
                    line = self.get_line(self.moreprompt)
                    if line is None and self.interactive:
                        return None
                    if line is None:
                        break
                    lines.append(line)
                command = preamble + "\n".join(lines)
        except KeyboardInterrupt:
            if not self.interactive:
                raise
            return ""  # what was typed is forgotten
        if self.interactive and self.terminal is not None:
            self.terminal.remember(command)
        command = self._word(command) or command
        dotted = command.strip()
        return dotted if dotted.startswith(".") else command

    def read_all(self, stdin: TextIO) -> None:
        """Run what a file holds, line by line, as if it were standard input."""
        self.push_input()
        self.stdin, self.interactive, self.input_line_number = stdin, False, 0
        try:
            self.cmdloop()
        finally:
            self.pop_input()

    def read_text(self, text: str, name: str) -> None:
        """Run a text; ``name`` is where errors say that they are."""
        stdin = io.StringIO(text)
        stdin.name = name
        self.read_all(stdin)

    def cmdloop(self, intro: str | None = None, transient: str | None = None) -> None:
        """Run everything that comes, until the end of input."""
        if self.interactive and intro:
            self.write(self.stdout, f"{self.colour.intro}{intro}{self.colour.intro_}")
        while True:
            self._input_descriptions: list[str] = []
            self.may_have_changed = True
            try:
                command = self.get_complete_line()
                if command is None:
                    break
                self.process_complete_line(command)
            except _Unreadable:
                self.has_failed = True
                break
            except BaseException:
                self._append_input_description()
                self.handle_exception()
        if self.interactive:
            self.write(self.stdout, "\n")

    # --- running ----------------------------------------------------------------------------------------------------
    def process_complete_line(self, command: str) -> None:
        """Run a dot command or statements; Ctrl-C interrupts them, and ends what is no conversation."""
        if self._db is None or self.is_ours(command):  # these look after Ctrl-C themselves
            super().process_complete_line(command)
            return
        was_open = self.in_transaction
        try:
            with interruptible(self._db):
                super().process_complete_line(command)
        except BaseException as error:
            self._has_lost_transaction = was_open and not self.in_transaction
            if isinstance(error, apsw.InterruptError) and not self.interactive:
                raise KeyboardInterrupt from None
            raise

    def is_ours(self, command: str) -> bool:
        """Whether a line is a dot command that does not work by SQL alone."""
        return False

    # --- errors -----------------------------------------------------------------------------------------------------
    def handle_interrupt(self) -> None:
        """Ctrl-C is told like other errors."""
        raise KeyboardInterrupt

    def handle_exception(self) -> None:
        """Tell the current error; raises it again if it ends the shell."""
        error = sys.exc_info()[1]
        assert error is not None
        if isinstance(error, SystemExit | BrokenPipeError) or (
            isinstance(error, KeyboardInterrupt) and not self.interactive
        ):
            raise error
        self.has_failed = True
        if self.exceptions:
            super().handle_exception()
        elif not getattr(error, "_handle_exception_saw_this", False):
            self._tell(error)
        if self._has_lost_transaction:
            self._has_lost_transaction = False
            self.write_error("the transaction was rolled back\n")
        if self.bail:
            error._handle_exception_saw_this = True  # type: ignore[attr-defined]
            raise error

    def _tell(self, error: BaseException) -> None:
        is_interrupt = isinstance(error, KeyboardInterrupt | apsw.InterruptError)
        text = " ".join(str(error).split()) or ("interrupted" if is_interrupt else type(error).__name__)
        place = self._input_descriptions[0] if self._input_descriptions else ""
        begin = ("\n" if is_interrupt else "") if self.interactive else "clusterdb: "  # ^C is on the screen
        self.write_error(f"{begin}{place}{text}\n")

    def _append_input_description(self) -> None:
        """Note where input comes from that is no conversation; a file that a file reads is told first."""
        if not self.interactive:
            name = getattr(self.stdin, "name", "<stdin>")
            line = "" if name == "-c" and self._line == 1 else f" line {self._line}"
            self._input_descriptions.append(f"{'' if name == '<stdin>' else name}{line}: ".lstrip())

    def write(self, dest: TextIO, text: str) -> None:
        """Write; colours go to terminals only."""
        super().write(dest, text if dest is not self.stderr or dest.isatty() else _COLOUR.sub("", text))
