"""The services of Amazon RDS over HTTP, on the clusters of a store.

background.py  a server in a thread
app.py         the HTTP application: guards, AWS's services, pages
pages.py       the routes of the console and of metrics
api.py         one request, from the bytes of HTTP to those of the reply
services.py    which services there are
namespaces.py  the stores of accounts and regions
guard.py       rules for hosts, origins and signatures
scope.py       the credential scope
models.py      botocore's models
protocol/      the protocols of AWS
call.py        one call of an operation
faults.py      errors that clients get
rds/           Amazon RDS
sts/           the identity of the caller
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterdb.server.background import Running, running

__all__ = ["Running", "running"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from clusterdb.server import background as module

        return getattr(module, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
