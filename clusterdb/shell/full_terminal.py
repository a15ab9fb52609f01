"""Typed lines through prompt_toolkit: SQL in colours, completion while typing, statements of several lines.

Enter runs a complete statement and begins a new line in others.  Completions come from the shell's own completer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History as ToolkitHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import DynamicLexer, Lexer, PygmentsLexer
from pygments.lexers.sql import MySqlLexer, PostgresLexer, SqlLexer

from clusterdb.shell.history import History

if TYPE_CHECKING:
    from clusterdb.shell.commands import ClusterShell

__all__ = ["FullTerminal"]

_LEXERS = {"aurora-mysql": MySqlLexer, "aurora-postgresql": PostgresLexer}
_TOKEN = re.compile(r"\w*\Z")
_DOT_TOKEN = re.compile(r"[^\s\"'@=]*\Z")


class FullTerminal:
    """A terminal, through prompt_toolkit."""

    def __init__(self, shell: ClusterShell, history: History | None = None) -> None:
        self._shell = shell
        self._lines: list[str] = []
        self._is_coloured = bool(shell.colour.prompt)
        self._session: PromptSession[str] = PromptSession(
            history=_SharedHistory(history or History()),
            lexer=DynamicLexer(self._lexer),
            completer=_ShellCompleter(shell),
            complete_while_typing=True,
            multiline=True,
            prompt_continuation=lambda width, line, wraps: shell.moreprompt if not wraps else " " * width,
            key_bindings=_keys(shell),
            reserve_space_for_menu=6,
        )

    def read(self, prompt: str) -> str:
        """A line, without its end; the further lines of an entry are returned by the next calls.

        Raises EOFError, KeyboardInterrupt.
        """
        if not self._lines:
            message: StyleAndTextTuples = [("bold" if self._is_coloured else "", prompt)]
            self._lines = self._session.prompt(message).split("\n")
        return self._lines.pop(0)

    def remember(self, entry: str) -> None:
        """Does nothing: the prompt session keeps its history itself."""

    def _lexer(self) -> Lexer | None:
        if not self._is_coloured:
            return None
        engine = self._shell.flavour.engine if self._shell.flavour is not None else ""
        return PygmentsLexer(_LEXERS.get(engine, SqlLexer))


class _SharedHistory(ToolkitHistory):
    """The shared history as prompt_toolkit's."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    def load_history_strings(self) -> Iterable[str]:
        yield from reversed(self._history.entries)

    def store_string(self, string: str) -> None:
        self._history.append(string)


class _ShellCompleter(Completer):
    """The shell's completer, for the text before the cursor."""

    def __init__(self, shell: ClusterShell) -> None:
        self._shell = shell

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        is_dotted = text.lstrip().startswith(".")
        if is_dotted:
            text = text.lstrip()
        match = (_DOT_TOKEN if is_dotted else _TOKEN).search(text)
        assert match is not None
        token, begin, end = match[0], match.start(), len(text)
        if is_dotted:
            words = self._shell.complete_command(text, token, begin, end)
        elif not (token or complete_event.completion_requested or text.endswith(".")):
            return
        else:
            words = self._shell.complete_sql(document.text, token, begin, end)
        for word in words:
            if word.rstrip() != token:
                yield Completion(word, start_position=-len(token), display=word.strip())


def _keys(shell: ClusterShell) -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None  # accepts the chosen completion only
        elif shell.is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    return bindings
