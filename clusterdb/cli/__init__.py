"""The command line ``clusterdb``, also called ``cldb``.

Exit codes: 0 success; 1 an error of clusterdb, of SQL or of a file, or a check or a comparison found something; 2 wrong
usage, or a confirmation is needed and there is no terminal to ask on; 130 interrupted.  Results go to standard output;
errors, questions and progress to standard error.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click

from clusterdb.access.command import invoked
from clusterdb.cli import (
    care,
    clusters,
    differences,
    extras,
    history,
    instances,
    past,
    remote,
    serve,
    shell,
    statements,
    zones,
)
from clusterdb.cli.app import Common, cli

__all__ = ["cli", "main"]

_MODULES = (care, clusters, instances, differences, extras, history, past, remote, serve, shell, statements, zones)
assert {module.cli for module in _MODULES} == {cli}


def main() -> None:
    """Run the command in ``sys.argv``.  Raises SystemExit with the exit code."""
    options = Common()
    try:
        code = _run(options)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _complain("interrupted")
        code = 130
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as error:
        with suppress(OSError):  # standard error itself failed
            error.show()
        code = error.exit_code
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BrokenPipeError:
        code = 1  # the reader of the pipe has closed it
    except Exception as error:
        if _flush() is None:
            _complain(f"clusterdb: {_message(error, options)}")
        code = 1
    sys.exit(_flush() or code)


def _run(options: Common) -> int:
    instruction = os.environ.get(extras.COMPLETION_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        from clusterdb.cli import completion

        completion.register()
        return shell_complete(cli, {}, invoked(), extras.COMPLETION_VARIABLE, instruction)
    with cli.make_context(invoked(), sys.argv[1:], obj=options) as context:
        cli.invoke(context)
    return 0


def _flush() -> int | None:
    """Write buffered output; the exit code if it cannot be written, which is reported, and the output discarded."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            _complain(f"clusterdb: {error.strerror}: standard output")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter fails as it ends
        return 1
    return None


def _complain(line: str) -> None:
    """Print a line to standard error, which may be full or closed too."""
    with suppress(OSError):
        click.echo(line, err=True)


def _message(error: Exception, options: Common) -> str:
    from clusterdb.access.sqlite import SQLError
    from clusterdb.cli.flags import message_of
    from clusterdb.errors import Error

    if isinstance(error, Error | SQLError | OSError):
        return message_of(error)
    if isinstance(error, UnicodeDecodeError):
        return "a text is not valid UTF-8: read it as CAST(... AS BLOB)"
    if isinstance(error, UnicodeEncodeError):
        return "an argument, or the input, is not valid UTF-8"
    if isinstance(error, MemoryError):
        return "out of memory"
    if options.is_verbose:
        import traceback

        traceback.print_exception(error)
    return f"BUG: {type(error).__name__}: {error} (--verbose prints the traceback)"
