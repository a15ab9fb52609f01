"""How results are shown: tables that fit the screen, the pager, where output goes, and a footer after each statement.

Tables (``.mode box``, ``table``, ``qbox``) are drawn by :mod:`clusterdb.views.grid`.  The footer has the number of rows
and the time, which ends when the rows are there: neither drawing nor a pager that waits for its reader counts.  Footer
and pager are for terminals; what scripts print does not depend on them.
"""

from __future__ import annotations

import inspect
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TextIO

import apsw
import apsw.shell

from clusterdb.shell.pager import Page, PagerLeft, default_pager
from clusterdb.views.grid import ASCII, BOX, Cell, Kind, cut, grid, is_whole, markdown, width_of
from clusterdb.views.messages import statement_done

__all__ = ["Counted", "Output"]

_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*+([a-z]+)", re.DOTALL | re.IGNORECASE)
_READING = frozenset(("select", "values", "with", "show", "table", "describe", "desc"))
_WRITING = frozenset(("insert", "update", "delete", "replace"))
_COLOURS: dict[Kind | Literal["header"], tuple[str, str]] = {  # those of apsw's tables
    "header": ("\x1b[7m\x1b[1m", "\x1b[27m\x1b[22m"),
    "null": ("\x1b[31m", "\x1b[39m"),
    "text": ("\x1b[33m", "\x1b[39m"),
    "blob": ("\x1b[34m", "\x1b[39m"),
    "number": ("\x1b[35m", "\x1b[39m"),
}


class Output(apsw.shell.Shell):
    """apsw's shell with other tables, a pager, ``.once``, and a footer after each statement."""

    interactive: bool

    def __init__(self, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        super().__init__(stdin=stdin, stdout=stdout, stderr=stderr)
        self.box_options: dict[str, object] = {}
        self.command_mode(["box", "--truncate", "4096"] if self._using_a_terminal() else ["list"])
        self.shows_footer = self.uses_pager = bool(self._using_a_terminal())
        self.pager = default_pager()
        self._column_widths: list[int] = []
        self._page: Page | None = None
        self._once: TextIO | None = None

    # --- tables -----------------------------------------------------------------------------------------------------
    def command_mode(self, cmd: list[str]) -> None:
        """mode MODE ?OPTIONS?: Sets output mode to one of"""
        super().command_mode(cmd)
        if not any(word.startswith("--width") for word in cmd):
            self.box_options["text_width"] = 0  # the screen's, whenever a table is drawn

    def output_box(self, column_names: Sequence[str], rows: Sequence[apsw.SQLiteValues]) -> None:
        """Outputs using line drawing and auto sizing columns

        Texts that do not fit the screen are cut; numbers, dates and
        headers never are.  Without a terminal nothing is cut, unless
        --width is given.
        """
        options = self.box_options
        width = int(str(options["text_width"])) or self.screen_width()
        drawn = grid(
            column_names,
            [[self._cell(value) for value in row] for row in rows],
            BOX if options["use_unicode"] else ASCII,
            width=width,
            paint=None if self.colour is self._colours["off"] else _painted,
        )
        if self._page is not None and drawn.width > self._page.columns:
            self._page.start()
        self.write(self.stdout, "\n".join(drawn.lines) + "\n")

    output_box.all_at_once = True  # type: ignore[attr-defined]

    def output_column(self, header: bool, line: Sequence[apsw.SQLiteValue]) -> None:
        """Items left aligned in space padded columns

        Texts that do not fit are cut, which a mark shows; numbers, dates
        and column names never are. If the width hasn't been specified for
        a column then 10 is used, or that of the column name. Use the
        .width command to change column sizes.
        """
        if header:
            given = [*self.widths, *[0] * len(line)]
            names = [width_of(self._fmt_text_col(name)) for name in line]
            self._column_widths = [
                (-1 if width < 0 else 1) * max(abs(width) or 10, name)
                for width, name in zip(given, names, strict=False)
            ]
            if not self.header:
                return
        cells = []
        for value, width in zip(line, self._column_widths, strict=True):
            text = self._fmt_text_col(value)
            if self.truncate and not header and _kind(value) == "text" and not is_whole(text):
                text = cut(text, abs(width))
            padding = " " * (abs(width) - width_of(text))
            text = padding + text if width < 0 else text + padding
            colour = self.colour
            cells.append(colour.header + text + colour.header_ if header else colour.colour_value(value, text))
        self.write(self.stdout, "  ".join(cells) + "\n")
        if header and self.colour is self._colours["off"]:
            self.write(self.stdout, "  ".join("-" * abs(width) for width in self._column_widths) + "\n")

    output_columns = output_column

    def output_markdown(self, column_names: Sequence[str], rows: Sequence[apsw.SQLiteValues]) -> None:
        """Tables in Markdown, as GitHub and others read them"""
        cells = [[Cell(self._fmt_text_col(value), _kind(value)) for value in row] for row in rows]
        self.write(self.stdout, "\n".join(markdown(column_names, cells)) + "\n")

    output_markdown.all_at_once = True  # type: ignore[attr-defined]

    def screen_width(self) -> int | None:
        """The width of the terminal that results are written to; None if they go elsewhere."""
        try:
            return os.get_terminal_size(self.stdout.fileno()).columns if self.stdout.isatty() else None
        except (OSError, ValueError):
            return None

    def _cell(self, value: apsw.SQLiteValue) -> Cell:
        options = self.box_options
        text = _sanitized(value, int(str(options["string_sanitize"]))) if isinstance(value, str) else value
        if options["quote"]:
            shown = apsw.format_sql_value(text)
        elif text is None:
            shown = str(options["null"])
        else:
            shown = f"[ {len(text)} bytes ]" if isinstance(text, bytes) else str(text)
        length_max = int(str(options["truncate"]))
        if _kind(value) == "text" and 0 < length_max < len(shown):
            shown = f"{apsw.unicode.grapheme_substr(shown, 0, length_max)}..."
        return Cell(shown, _kind(value))

    # --- where output goes ------------------------------------------------------------------------------------------
    def write_once_to(self, file: str) -> None:
        """Write the next result to a file, or to standard output for ``-``.  Raises OSError."""
        self.discard_once()
        encoding, errors = self.encoding
        self._once = self._original_stdout if file == "-" else Path(file).open("w", encoding=encoding, errors=errors)

    def discard_once(self) -> None:
        """Close the file of ``.once``, if no result has been written to it."""
        once, self._once = self._once, None
        if once is not None and once is not self._original_stdout:
            once.close()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show what is written in the block: in the file of ``.once``, or through the pager if it is long."""
        if self._once is not None:
            with self._shown_once():
                yield
        elif self.interactive and self.uses_pager and self.screen_width() is not None and self._page is None:
            with self._shown_in_page():
                yield
        else:
            yield

    @contextmanager
    def _shown_once(self) -> Iterator[None]:
        before, once = self.stdout, self._once
        assert once is not None
        self.stdout, self._once = once, None
        self._out_colour()
        try:
            yield
        finally:
            if self.stdout is once:  # else the block has called .output
                self.stdout = before
            if once is not self._original_stdout:
                once.close()
            self._out_colour()

    @contextmanager
    def _shown_in_page(self) -> Iterator[None]:
        terminal = self.stdout
        size = os.get_terminal_size(terminal.fileno())
        self._page = page = Page(terminal, self.pager, size)
        self.stdout = page
        try:
            yield
        except PagerLeft:
            pass
        finally:
            self._page = None
            if self.stdout is page:
                self.stdout = terminal
            page.finish()

    def write(self, dest: TextIO, text: str) -> None:
        """Write; what goes to standard error appears after the output before it."""
        if dest is self.stderr and self._page is not None:
            self._page.finish()
        super().write(dest, text)

    # --- the footer -------------------------------------------------------------------------------------------------
    @property
    def wants_footers(self) -> bool:
        """Whether a footer follows each statement."""
        return bool(self.interactive and self.shows_footer)

    @contextmanager
    def footer(self, sql: str) -> Iterator[Counted]:
        """Write the number of rows and the time after a statement, which the block runs."""
        waited_s = self._page.waited_s if self._page is not None else 0.0
        changes = self.db.total_changes()
        before, counted = self.output, Counted(self.output)
        self.output = counted
        begin = time.perf_counter()
        try:
            yield counted
        finally:
            end = counted.ended or time.perf_counter()
            if self.output is counted:
                self.output = before
        if self._page is not None:
            end -= self._page.waited_s - waited_s
        match = _FIRST_WORD.match(sql)
        if match is None:  # a comment
            return
        word = match[1].lower()
        rows = counted.count if counted.has_columns else 0 if word in _READING else None
        has_changed = self.db.total_changes() != changes
        changed = None
        if rows is None and (has_changed or word in _WRITING):
            changed = (self.db.changes() if counted.changed is None else counted.changed) if has_changed else 0
        self.write(self.stderr, f"{statement_done(rows, changed, max(end - begin, 0))}\n")


class Counted:
    """An output mode of apsw's shell, which calls it for the header and for each row, or once for all."""

    def __init__(self, output: Callable[..., None]) -> None:
        self._output = output
        self.all_at_once = getattr(output, "all_at_once", False)
        self.__signature__ = inspect.signature(output)
        self.has_columns = False
        self.count = 0
        self.ended: float | None = None
        """When all rows were there, before they are drawn."""
        self.changed: int | None = None
        """The number of rows changed, if statements that follow hide it from SQLite's ``changes()``."""

    def __call__(self, header: object, line: Sequence[object]) -> None:
        self.has_columns = True
        if self.all_at_once:
            self.ended = time.perf_counter()
            self.count += len(line)
        elif not header:
            self.count += 1
        self._output(header, line)


def _kind(value: apsw.SQLiteValue) -> Kind:
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return "blob"
    return "number" if isinstance(value, int | float) else "text"


def _painted(text: str, kind: Kind | Literal["header"]) -> str:
    begin, end = _COLOURS[kind]
    return f"{begin}{text}{end}"


def _sanitized(text: str, level: int) -> str:
    """A text with fewer special characters: 0 as it is, 1 with the names of those that are not ASCII, 2 with dots."""
    if level < 2:
        for characters, shown in (("\\", "\\\\"), ("\r\n", "\n"), ("\r", " "), ("\f", ""), ("\v", ""), ("\0", "\\0")):
            text = text.replace(characters, shown)
    if level == 0 or (text.isascii() and text.isprintable()):
        return text
    if level == 1:
        return "".join(
            char if char.isascii() else f"{{{apsw.unicode.codepoint_name(char) or hex(ord(char))}}}" for char in text
        )
    return "".join(char if char.isascii() and char.isprintable() and not char.isspace() else "." for char in text)
