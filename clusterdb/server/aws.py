"""boto3 against a server of ours, for tests: a session, and a decorator like moto's ``mock_aws``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ContextDecorator, ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import Any

from clusterdb.server.background import DEFAULT_ACCOUNT, DEFAULT_REGION, Running, running
from clusterdb.store import open as open_store

__all__ = ["mock_aws", "session"]


def session(server: Running) -> Any:
    """A ``boto3.Session`` whose clients call a server, in its account and region.  Needs boto3."""
    import boto3

    made = boto3.Session(server.account, "secret", region_name=server.region)
    made.client = partial(made.client, endpoint_url=server.url)
    return made


@contextmanager
def _environment(server: Running) -> Iterator[None]:
    """The environment in which AWS's tools and SDKs call a server, while the body runs."""
    values = {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": server.account,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": server.region,
        "AWS_REGION": server.region,
    }
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class mock_aws(ContextDecorator):
    """A server on an empty store in memory, which clients of boto3 that are created in the body call.

        @mock_aws()
        def test_clones() -> None:
            rds = boto3.client("rds")

    As a context manager it gives the :class:`Running` server, whose ``store`` has the clusters.  ``settings``: those of
    :func:`clusterdb.server.running`.
    """

    def __init__(self, *, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION, **settings: Any) -> None:
        self._settings = {"account": account, "region": region, **settings}
        self._stacks: list[ExitStack] = []

    def __enter__(self) -> Running:
        stack = ExitStack()
        try:
            store = stack.enter_context(open_store(":memory:"))
            server = stack.enter_context(running(store, **self._settings))
            stack.enter_context(_environment(server))
        except BaseException:
            stack.close()
            raise
        self._stacks.append(stack)
        return server

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stacks.pop().close()
