"""``python -m clusterdb``, ``cldb`` and ``clusterdb``: the command line as a process of its own.

The process gets what the command line takes for granted: three standard streams, UTF-8, and no traceback for a Ctrl-C
while modules are imported.
"""

from __future__ import annotations

import io
import os
import sys

__all__ = ["main"]


class _Output(io.TextIOWrapper):
    """Standard output, whose errors name it.  An error is raised once; what is written afterwards is discarded."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)
            raise

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._fail(error)
            raise

    def _fail(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            error.filename = "standard output"
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


def main() -> None:
    """The entry point of the commands."""
    try:
        _require_utf8()
        _complete_streams()
        from clusterdb.cli import main as run

        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        _ignore_interrupts()


def _require_utf8() -> None:
    """Start again in UTF-8 mode under the locale C, as Python does by default, since names and data are UTF-8."""
    if sys.getfilesystemencoding() == "ascii" and not sys.flags.utf8_mode and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _complete_streams() -> None:
    """Replace standard streams that were closed: no other file may get their numbers.

    Reading gets nothing, writing to standard output fails, writing to standard error is discarded.
    """
    if sys.stdin is None:
        sys.stdin = open(os.open(os.devnull, os.O_RDONLY), encoding="utf-8")
    former = sys.stdout
    output = former.buffer if former is not None else open(os.open(os.devnull, os.O_RDONLY), "wb")
    if sys.stderr is None:
        sys.stderr = open(os.open(os.devnull, os.O_RDWR), "w", encoding="utf-8")
    encoding = former.encoding if former is not None else "utf-8"
    errors = "surrogateescape" if encoding == "utf-8" else "backslashreplace"  # bytes of file names; no such character
    sys.stdout = _Output(output, encoding, errors, line_buffering=output.isatty())


def _ignore_interrupts() -> None:
    """The result is out: what is left is the end of the interpreter, where Ctrl-C would only print a traceback."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
