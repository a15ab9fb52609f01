"""The command line.  One small function per command; errors on standard error, exit codes below.

Exit codes: 0 done; 1 clusterdb or SQL refused, one line on standard error says why; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clusterdb.cli_settings import chosen, settings_options
from clusterdb.format import bytes_text, table

if TYPE_CHECKING:
    import clusterdb

__all__ = ["cli", "main", "opened", "progress_bar", "split_point"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clusterdb")
@click.option(
    "--store",
    "store_path",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    help="The store's directory; default: $CLUSTERDB_STORE, else ./.clusterdb.",
)
@click.pass_context
def cli(context: click.Context, store_path: Path | None) -> None:
    """Clusters of SQLite databases that clone in constant time."""
    context.obj = store_path


@contextmanager
def opened(context: click.Context, *, create: bool = False) -> Iterator[clusterdb.Store]:
    from clusterdb.store import open

    with open(context.obj, create=create) as store:
        yield store


@contextmanager
def progress_bar(label: str) -> Iterator[Any]:
    """A progress callback that draws a bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield show


@cli.command()
@click.argument("name")
@click.option("--from", "from_file", metavar="FILE", type=click.Path(path_type=Path), help="Import a SQLite database.")
@click.option("--page-size", type=int, help="Bytes, 512 to 65536; only for an empty cluster.  [default: 4096]")
@click.option("--engine", help="sqlite, or aurora-mysql, aurora-postgresql: the SQL it understands.  [default: sqlite]")
@settings_options
@click.pass_context
def create(
    context: click.Context, /, name: str, from_file: Path | None, page_size: int | None, **settings: Any
) -> None:
    """Create a cluster NAME, empty or with the content of a database file."""
    with opened(context, create=True) as store, progress_bar("importing") as progress:
        store.create_cluster(
            name,
            from_file=from_file,
            page_size=page_size,
            progress=progress,
            **chosen(settings),
        )


@cli.command()
@click.argument("source")
@click.argument("name")
@click.option("--full-copy", is_flag=True, help="Share no pages; takes as long as the database is large.")
@settings_options
@click.pass_context
def clone(context: click.Context, /, source: str, name: str, full_copy: bool, **settings: Any) -> None:
    """Clone the cluster SOURCE as NAME, in constant time.

    A point in its past: prod@1234 (a version), prod@'5 minutes ago', prod@2026-01-31T12:00:00, or prod@SNAPSHOT.
    """
    with opened(context) as store:
        cluster, point = split_point(source)
        copy_type = "full-copy" if full_copy else "copy-on-write"
        store.cluster(cluster).clone(name, at=point, copy_type=copy_type, **chosen(settings))


def split_point(text: str) -> tuple[str, Any]:
    """``prod@5 minutes ago`` as a name and a point.  Raises UsageError."""
    from clusterdb.points import parse

    name, at, point = text.partition("@")
    if at and not point.strip():
        raise click.UsageError(f"'{text}': say which point in time behind the @, or leave it out")
    return name, parse(point) if point else None


@cli.command()
@click.pass_context
def ls(context: click.Context) -> None:
    """List the clusters with what each holds."""
    with opened(context) as store:
        rows = []
        for cluster in store.clusters():
            stats = cluster.stats()
            sizes = (stats.logical_bytes, stats.own_bytes, stats.shared_bytes)
            created = stats.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            rows.append((stats.name, stats.source, stats.version, *map(bytes_text, sizes), created))
        click.echo(table(rows, ("cluster", "cloned from", "version", "logical", "own", "shared", "created")))


@cli.command()
@click.argument("name")
@click.argument("statements", required=False)
@click.option("--read-only", is_flag=True, help="Refuse writes.")
@click.option("--endpoint", default="writer", show_default=True, help="writer, reader, an instance, a custom endpoint.")
@click.pass_context
def sql(context: click.Context, name: str, statements: str | None, read_only: bool, endpoint: str) -> None:
    """Run SQL STATEMENTS (or standard input) in the cluster NAME and print what they answer."""
    from clusterdb.sqlite import results

    text = statements if statements is not None else sys.stdin.read()
    with opened(context) as store:
        cluster = store.cluster(name)
        connection = cluster.connect(endpoint, read_only=read_only)
        if cluster.settings.engine != "sqlite":
            from clusterdb.flavours import flavour_of

            flavour = flavour_of(cluster.settings.engine)
            flavour.install(connection)
            text = flavour.translate_script(text)
        for headers, rows in results(connection, text):
            if headers:
                click.echo(table(rows, headers))


@cli.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.pass_context
def export(context: click.Context, name: str, file: Path, overwrite: bool) -> None:
    """Write the cluster NAME as a plain SQLite database FILE."""
    with opened(context) as store, progress_bar("exporting") as progress:
        store.cluster(name).export(file, overwrite=overwrite, progress=progress)


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def rm(context: click.Context, names: tuple[str, ...], yes: bool) -> None:
    """Delete clusters; clones of them live on."""
    with opened(context) as store:
        clusters = [store.cluster(name) for name in names]  # all are known before any goes
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("standard input is no terminal to ask on: add --yes to delete")
            click.confirm(f"Delete {', '.join(names)} from {store.path}?", abort=True)
        for cluster in clusters:
            cluster.delete()


@cli.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Check everything in the store against its checksums; exits with 1 if something is damaged."""
    with opened(context) as store, progress_bar("checking") as progress:
        report = store.check(progress)
    _report(report)


@cli.command()
@click.pass_context
def repair(context: click.Context) -> None:
    """Rebuild what is derived in the store, which nobody else may have open, and check it."""
    from clusterdb.store import repair as rebuild

    with progress_bar("checking") as progress:
        report = rebuild(context.obj, progress=progress)
    _report(report)


@cli.command()
@click.argument("name", required=False)
@click.option("--slot", type=click.IntRange(0), help="A slot of the pool instead of clusters.")
@click.pass_context
def dump(context: click.Context, name: str | None, slot: int | None) -> None:
    """Print what the cluster NAME (or every cluster, or a slot) is made of, in words."""
    with opened(context) as store:
        click.echo(store.dump(cluster=name, slot=slot))


def _report(report: clusterdb.CheckReport) -> None:
    for problem in report.problems:
        click.echo(problem, err=True)
    leaked = f", {report.leaked_count} leaked" if report.leaked_count else ""
    click.echo(f"{report.checked_count} slots checked{leaked}: {'no damage' if report.ok else 'damaged'}")
    if not report.ok:
        sys.exit(1)


@cli.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Import real data, clone it, change the clone, drop the source, and show what each holds.

    Works in ./demo-store unless --store says otherwise.
    """
    from clusterdb.demo import run

    with progress_bar("importing") as progress:
        run(context.obj, click.echo, progress)


def main() -> None:
    """The entry point ``clusterdb``."""
    from clusterdb import cli_control, cli_diff  # their commands register themselves

    try:
        assert cli_control.cli is cli_diff.cli is cli
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone: nothing to say, nobody to say it to
        sys.exit(1)
    except Exception as error:
        from clusterdb.errors import Error
        from clusterdb.sqlite import SQLError

        if not isinstance(error, Error | SQLError):
            raise
        click.echo(f"clusterdb: {error}", err=True)
        sys.exit(1)
