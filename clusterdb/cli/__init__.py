"""The command line ``clusterdb``.

Exit codes: 0 done; 1 clusterdb, SQL or a file refused, or a check or a comparison found something; 2 wrong usage, or a
question that nobody could be asked; 130 interrupted.  What a command tells goes to standard output; errors, questions
and progress to standard error.
"""

from __future__ import annotations

import os
import sys

import click

from clusterdb.cli import care, clusters, differences, extras, instances, past, shell, statements
from clusterdb.cli.app import cli

__all__ = ["cli", "main"]

assert {module.cli for module in (care, clusters, instances, differences, extras, past, shell, statements)} == {cli}


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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: what is buffered goes nowhere
        sys.exit(1)
    except Exception as error:
        from clusterdb.access.sqlite import SQLError
        from clusterdb.errors import Error

        if not isinstance(error, Error | SQLError | OSError):
            raise
        click.echo(f"clusterdb: {_text(error)}", err=True)
        try:
            sys.stdout.flush()
        except OSError:  # it was standard output that failed: what is buffered goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _text(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    where = f": {error.filename}" if error.filename is not None else ""
    return f"{error.strerror or error}{where}"
