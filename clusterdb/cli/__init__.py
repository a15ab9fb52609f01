"""The command line ``clusterdb``.

Exit codes: 0 success; 1 an error of clusterdb, of SQL or of a file, or a check or a comparison found something; 2 wrong
usage, or a confirmation is needed and there is no terminal to ask on; 130 interrupted.  Results go to standard output;
errors, questions and progress to standard error.
"""

from __future__ import annotations

import os
import sys

import click

from clusterdb.cli import care, clusters, differences, extras, history, instances, past, shell, statements
from clusterdb.cli.app import cli

__all__ = ["cli", "main"]

_MODULES = (care, clusters, instances, differences, extras, history, past, shell, statements)
assert {module.cli for module in _MODULES} == {cli}


def main() -> None:
    """The entry point ``clusterdb``."""
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        _discard_output()  # the reader of the pipe has closed it
        sys.exit(1)
    except Exception as error:
        from clusterdb.access.sqlite import SQLError
        from clusterdb.errors import Error

        if not isinstance(error, Error | SQLError | OSError):
            raise
        click.echo(f"clusterdb: {_message(error)}", err=True)
        try:
            sys.stdout.flush()
        except OSError:  # standard output itself failed
            _discard_output()
        sys.exit(1)


def _discard_output() -> None:
    """Send buffered output to /dev/null, so that the interpreter's exit does not fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _message(error: Exception) -> str:
    from clusterdb.cli.flags import message_of

    if not isinstance(error, OSError):
        return message_of(error)
    file = f": {error.filename}" if error.filename is not None else ""
    return f"{error.strerror or error}{file}"
