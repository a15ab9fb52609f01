"""Input and output of the shell: reading statements, Ctrl-C, errors.

A statement ends where SQLite's ends (``sqlite3_complete``); in a cluster of another engine, where it ends for that
engine's client: ``DELIMITER`` changes it, and the data of COPY belongs to the statement.  Input comes from a terminal
(``interactive``), from standard input, or from files.

An error is one line on standard error.  At a prompt, SQLite's errors are followed by lines that point at the place; in
a file or a pipe, the line begins with the place in the input.
"""

from __future__ import annotations

import io
import re
import sys
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol, TextIO

import apsw

from clusterdb.shell.interrupts import interruptible
from clusterdb.shell.session import Session

if TYPE_CHECKING:
    from clusterdb.store import Store

__all__ = ["Conversation", "Terminal"]

_NO_SQL = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*(?!!).*?\*/|;)*+\Z", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[\d*m")
_SETTINGS = """
    autoimport bail cd changes close color colour connection dbconfig echo encoding exceptions exit footer header
    headers load log mode nullvalue once open output pager prompt py quit read separator shell timeout timer use width
"""
_WITHOUT_RESULT = frozenset(_SETTINGS.split())
"""Commands that print no result: ``.once`` and the pager are for others."""
_WORDS = {"exit": ".exit", "quit": ".exit", "help": ".help"}


class _UnreadableError(Exception):
    """Nothing more can be read; the error was reported."""


class Terminal(Protocol):
    """Reads lines that the user types."""

    def read(self, prompt: str) -> str:
        """A line, without its end.  Raises EOFError, KeyboardInterrupt."""

    def remember(self, entry: str) -> None:
        """Add an entry, with all its lines, to the history."""


class Conversation(Session):
    """A session that reads statements and reports errors.

    ``message_of`` makes the message of an error: the command line shows flags in place of parameters.
    """

    message_of: Callable[[Exception], str] = staticmethod(str)

    def __init__(
        self,
        store: Store,
        *,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        read_only: bool = False,
    ) -> None:
        self.terminal: Terminal | None = None
        self.has_failed = False
        self.may_have_changed = True  # the schema, since the completer last read it
        self._completion_cache: list[list[str]] | None = None
        self.typed_lines: list[str] = []
        """The lines before the present one of a statement that is being typed."""
        self._line = 0  # the first line of the running command
        self._has_lost_transaction = False
        super().__init__(store, stdin=stdin, stdout=stdout, stderr=stderr, read_only=read_only)

    # --- reading ----------------------------------------------------------------------------------------------------
    def is_complete(self, text: str) -> bool:
        """Whether a text can be run: it ends a statement, is a dot command, or is empty."""
        if self._is_no_statement(text):
            return True
        if self.flavour is None:
            return apsw.complete(text + "\n")
        return self.flavour.is_complete(self._preamble() + text)

    def _is_no_statement(self, text: str) -> bool:
        return bool(text.lstrip().startswith(".") or _NO_SQL.match(text) or self._word(text))

    def _preamble(self) -> str:
        return self.in_use.preamble if self.in_use is not None else ""

    def _completeness(self) -> Callable[[str], bool]:
        """A function that receives a statement's lines one by one and returns whether the last one ends it."""
        in_use, flavour = self.in_use, self.flavour
        if in_use is None or flavour is None:
            lines: list[str] = []

            def is_complete(line: str) -> bool:
                lines.append(line)
                return self.is_complete("\n".join(lines))

            return is_complete
        splitter = flavour.splitter()
        deque(splitter.feed(in_use.preamble), maxlen=0)

        def is_between(line: str) -> bool:  # looks at each line once
            deque(splitter.feed(line + "\n"), maxlen=0)
            if splitter.is_between:
                in_use.preamble = splitter.preamble
            return splitter.is_between

        return is_between

    def _word(self, text: str) -> str | None:
        return _WORDS.get(text.strip().rstrip(";").lower()) if self.interactive else None

    def get_line(self, prompt: str = "") -> str | None:
        """A line of input; None at its end."""
        try:
            self.stdout.flush()  # a process at the other end of a pipe may wait for the output before it writes
            if self.terminal is None or not self.interactive:
                return super().get_line(prompt)
            self.stderr.flush()
            return self.terminal.read(prompt)
        except EOFError:
            return None
        except BrokenPipeError:
            raise
        except (OSError, UnicodeError) as error:  # every further read would fail too
            self._append_input_description()
            self._report(error)
            raise _UnreadableError from error

    def asks_yes(self, question: str) -> bool:
        """Ask the user a question; the default answer is no."""
        answer = super().get_line(f"{question} [y/N] ")
        return (answer or "").strip().lower() in ("y", "yes")

    def get_complete_line(self) -> str | None:
        """A dot command or complete statements; None at the end.  The end of a file completes the last statement."""
        self._completion_first = True
        try:
            self._line = self.input_line_number + 1
            self.typed_lines = []
            command = self.get_line(self.prompt)
            if command is not None and not self._is_no_statement(command):
                command = self._rest_of_statement(command)
            if command is None:
                return None
        except KeyboardInterrupt:
            if not self.interactive:
                raise
            return ""  # discards the lines typed so far
        if self.interactive and self.terminal is not None:
            self.terminal.remember(command)
        command = self._word(command) or command
        dotted = command.strip()
        return dotted if dotted.startswith(".") else command

    def _rest_of_statement(self, first_line: str) -> str | None:
        """The preamble and all lines of a statement; None at the end of typed input."""
        self.typed_lines = lines = [first_line]
        is_complete, preamble = self._completeness(), self._preamble()
        while not is_complete(lines[-1]):
            self._completion_first = False
            line = self.get_line(self.moreprompt)
            if line is None and self.interactive:
                return None
            if line is None:
                break
            lines.append(line)
        return preamble + "\n".join(lines)

    def read_all(self, stdin: TextIO) -> None:
        """Run the content of a file, line by line, as if it were standard input."""
        self.push_input()
        self.stdin, self.interactive, self.input_line_number = stdin, False, 0
        try:
            self.cmdloop()
        finally:
            self.pop_input()

    def read_text(self, text: str, name: str) -> None:
        """Run a text; errors call it ``name``."""
        stdin = io.StringIO(text)
        stdin.name = name
        self.read_all(stdin)

    def cmdloop(self, intro: str | None = None, transient: str | None = None) -> None:
        """Run commands and statements until the end of input."""
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
            except _UnreadableError:
                self.has_failed = True
                break
            except BaseException:
                self._append_input_description()
                self.handle_exception()
        if self.interactive:
            self.write(self.stdout, "\n")

    # --- running ----------------------------------------------------------------------------------------------------
    def process_complete_line(self, command: str) -> None:
        """Run a dot command or statements.  Ctrl-C interrupts them; in a script it ends the script."""
        with self.shown() if self._has_result(command) else nullcontext():
            self._process(command)

    def _has_result(self, command: str) -> bool:
        """Whether a line may print a result."""
        words = command[1:].split() if command.startswith(".") else ["select"]
        return bool(command.strip() and words) and words[0].replace("_", "-") not in _WITHOUT_RESULT

    def _process(self, command: str) -> None:
        if self._db is None or self.is_ours(command):  # these handle Ctrl-C themselves
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
        """Whether a line is a dot command of the control plane, which SQLite cannot interrupt."""
        return False

    # --- errors -----------------------------------------------------------------------------------------------------
    def handle_interrupt(self) -> None:
        """Ctrl-C is reported as other errors are."""
        raise KeyboardInterrupt

    def handle_exception(self) -> None:
        """Report the current exception; raises it again if it ends the shell."""
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
            self._report(error)
        if self._has_lost_transaction:
            self._has_lost_transaction = False
            self.write_error("the transaction was rolled back\n")
        if self.bail:
            error._handle_exception_saw_this = True  # type: ignore[attr-defined]
            raise error

    def _report(self, error: BaseException) -> None:
        is_interrupt = isinstance(error, KeyboardInterrupt | apsw.InterruptError)
        message = self.message_of(error) if isinstance(error, Exception) else str(error)
        text = " ".join(message.split()) or ("interrupted" if is_interrupt else type(error).__name__)
        place = self._input_descriptions[0] if self._input_descriptions else ""
        begin = ("\n" if is_interrupt else "") if self.interactive else "clusterdb: "  # the terminal has shown ^C
        self.write_error(f"{begin}{place}{text}\n")

    def _append_input_description(self) -> None:
        """Note the place in the input of a script; of a file that another one reads, the inner one comes first."""
        if not self.interactive:
            name = getattr(self.stdin, "name", "<stdin>")
            line = "" if name == "-c" and self._line == 1 else f" line {self._line}"
            self._input_descriptions.append(f"{'' if name == '<stdin>' else name}{line}: ".lstrip())

    def write(self, dest: TextIO, text: str) -> None:
        """Write; standard error gets colours only if it is a terminal."""
        super().write(dest, text if dest is not self.stderr or dest.isatty() else _COLOUR.sub("", text))
