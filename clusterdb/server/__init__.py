"""The services of Amazon RDS over HTTP, on the clusters of a store.

background.py  a server in a thread
aws.py         boto3 against such a server, for tests
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
data/          its Data API
monitoring/    Amazon CloudWatch, and metrics for Prometheus
sts/           the identity of the caller
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterdb.server.aws import mock_aws, session
    from clusterdb.server.background import Running, running

__all__ = ["Running", "mock_aws", "running", "session"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from clusterdb.server import aws, background

        return getattr(background if name in background.__all__ else aws, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
