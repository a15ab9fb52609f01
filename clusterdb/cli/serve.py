"""The command ``serve``; it imports the server (``clusterdb/server``) when it runs."""

from __future__ import annotations

import os
import re
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from clusterdb.cli.app import cli, opened
from clusterdb.cli.output import json_option

__all__ = ["cli"]

_NEEDED = ("starlette", "uvicorn", "jinja2", "botocore")
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def _account(context: click.Context, parameter: click.Parameter, account: str) -> str:
    if not re.fullmatch(r"\d{12}", account):
        raise click.BadParameter("use twelve digits")
    return account


def _region(context: click.Context, parameter: click.Parameter, region: str | None) -> str:
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    if not re.fullmatch(r"[a-z]{2,4}(-[a-z]{2,12}){1,3}-\d{1,2}", region):
        raise click.BadParameter(f"'{region}' is not the name of a region, such as us-east-1")
    return region


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8033, show_default=True, help="The port; 0: any free port."
)
@click.option("--read-only", is_flag=True, help="Refuse everything that changes the store.")
@click.option("--credentials", type=_FILE, help="Verify signatures by the access keys in FILE, as ~/.aws/credentials.")
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="Answer to this host name too; may be repeated."
)
@click.option("--region", callback=_region, help="The region of the store.  [default: $AWS_REGION or us-east-1]")
@click.option("--account", callback=_account, default="123456789012", show_default=True, help="The account's number.")
@click.option(
    "--delay",
    "delay_s",
    type=click.FloatRange(0, 3600),
    default=0,
    metavar="SECONDS",
    help="How long statuses such as creating last.  [default: until the next call]",
)
@click.option(
    "--clone-limit",
    type=click.IntRange(0, 10_000),
    help="Copy-on-write clones of a cluster before clones are full copies (AWS: 15).  [default: no limit]",
)
@click.option("--strict-secrets", is_flag=True, help="The Data API accepts only secrets that were issued.")
@click.option(
    "--metrics-interval",
    "metrics_interval_s",
    type=click.FloatRange(1, 3600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How often metrics are sampled for CloudWatch.",
)
@json_option
@click.pass_context
def serve(
    context: click.Context,
    host: str,
    port: int,
    read_only: bool,
    credentials: Path | None,
    names: tuple[str, ...],
    region: str,
    account: str,
    delay_s: float,
    clone_limit: int | None,
    strict_secrets: bool,
    metrics_interval_s: float,
    as_json: bool,
) -> None:
    """Serve the store as Amazon RDS and its Data API, for boto3, the AWS CLI and others, until Ctrl-C.

    The store is created if it does not exist. When the server is ready, it prints its URL; with --json, as JSON.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise click.ClickException('clusterdb serve needs the extra [server]: pip install "clusterdb[server]"')
    import json

    from clusterdb.cli.stopping import catching
    from clusterdb.server.background import running
    from clusterdb.server.call import Serving
    from clusterdb.server.guard import read_credentials, require_guarded

    keys = read_credentials(credentials) if credentials is not None else None
    require_guarded(host, keys)
    serving = Serving(
        read_only=read_only,
        delay_s=delay_s,
        clone_limit=clone_limit,
        strict_secrets=strict_secrets,
        metrics_interval_s=metrics_interval_s,
    )
    with (
        catching(signal.SIGINT, signal.SIGTERM) as wait_for_signal,
        opened(context, create=not read_only) as store,
        running(
            store,
            host=host,
            port=port,
            account=account,
            region=region,
            names=names,
            credentials=keys,
            serving=serving,
        ) as server,
    ):
        if as_json:
            ready = json.dumps(
                {
                    "url": server.url,
                    "console": f"{server.url}/",
                    "metrics": f"{server.url}/metrics",
                    "health": f"{server.url}/healthz",
                    "store": store.path,
                    "account": account,
                    "region": region,
                    "pid": os.getpid(),
                }
            )
        else:
            ready = (
                f"serving store '{store.path}' at {server.url} (AWS_ENDPOINT_URL; region {region}, account {account}); "
                "Ctrl-C stops"
            )
        click.echo(ready)
        sys.stdout.flush()
        wait_for_signal()
