"""Random inputs of every operation: an answer that botocore parses, or a modelled error; never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.compat import urlencode
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import clusterdb
from clusterdb.server.api import Api
from clusterdb.server.call import Serving
from clusterdb.server.models import error_statuses, service_model
from clusterdb.server.namespaces import Namespaces
from clusterdb.server.protocol.messages import Reply, Request
from clusterdb.server.rds import OPERATIONS
from tests.server.shapes import values_of

SCOPE = "AWS4-HMAC-SHA256 Credential=a/20260131/us-east-1/rds/aws4_request, SignedHeaders=host, Signature=0"
FORM = {"authorization": SCOPE, "content-type": "application/x-www-form-urlencoded"}
COMMON = {
    *("MissingParameter", "InvalidParameterValue", "InvalidParameterCombination", "MalformedInput", "ValidationError"),
    *("InvalidAction", "MissingAction"),
}
NAMES: dict[str, list[Any]] = {
    "DBClusterIdentifier": ["prod", "dev", "none", "arn:aws:rds:us-east-1:123456789012:cluster:prod"],
    "SourceDBClusterIdentifier": ["prod", "none"],
    "NewDBClusterIdentifier": ["prod", "live"],
    "DBInstanceIdentifier": ["prod-1", "prod-2", "new"],
    "TargetDBInstanceIdentifier": ["prod-1", "prod-2"],
    "DBClusterSnapshotIdentifier": ["snap", "new-snap"],
    "SourceDBClusterSnapshotIdentifier": ["snap"],
    "SnapshotIdentifier": ["snap"],
    "DBClusterEndpointIdentifier": ["ep", "new-ep"],
    "DBClusterParameterGroupName": ["mine", "default.aurora-mysql8.0"],
    "SourceDBClusterParameterGroupIdentifier": ["mine"],
    "DBParameterGroupFamily": ["aurora-mysql8.0", "aurora-postgresql16"],
    "DBSubnetGroupName": ["nets", "default"],
    "Engine": ["aurora-mysql", "aurora-postgresql", "sqlite"],
    "DBInstanceClass": ["db.r6g.large"],
    "MasterUsername": ["admin"],
    "MasterUserPassword": ["secret99"],
    "ResourceArn": ["arn:aws:rds:us-east-1:123456789012:cluster:prod"],
    "ResourceName": [
        "arn:aws:rds:us-east-1:123456789012:cluster:prod",
        "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:snap",
        "arn:aws:rds:us-east-1:123456789012:db:prod-1",
    ],
    "RestoreType": ["copy-on-write", "full-copy"],
    "AttributeName": ["restore"],
    "EndpointType": ["READER", "ANY"],
    "MaxRecords": [20, 100, 3],
    "BackupRetentionPeriod": [1, 7],
}


@pytest.fixture
def api() -> Iterator[Api]:
    """A server's operations on a store with a few of everything."""
    with clusterdb.open(":memory:") as store:
        prod = store.create_cluster("prod", engine="aurora-mysql", backtrack_window_s=60, backup_retention_days=1)
        for number in (1, 2):
            prod.add_instance(f"prod-{number}")
        prod.add_endpoint("ep")
        prod.snapshot("snap")
        namespaces = Namespaces(store, "123456789012", "us-east-1")
        yield Api(namespaces, Serving(), "123456789012")
        namespaces.close()
        assert store.check().ok


def call(api: Api, body: str) -> Reply:
    return api.reply(Request("POST", "/", FORM, body.encode()))


def require_answer(reply: Reply, operation: Any) -> None:
    """botocore parses the reply; an error has a code of the operation's model, or one that all share."""
    response = {"body": reply.body, "headers": HeadersDict(reply.headers), "status_code": reply.status, "context": {}}
    parsed = create_parser("query").parse(response, operation.output_shape)
    if reply.status == 200:
        assert "Error" not in parsed
        return
    assert 400 <= reply.status < 500, reply.body
    code = parsed["Error"]["Code"]
    assert code in COMMON or code in error_statuses("rds"), code
    assert parsed["Error"]["Message"]


def plausible(shape: Any, drawn: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """Values with some names that exist, so that not everything is refused at the door."""
    return {
        key: data.draw(st.sampled_from(NAMES[key])) if key in NAMES and data.draw(st.integers(0, 4)) else value
        for key, value in drawn.items()
        if key in shape.members
    }


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_valid_inputs_are_answered_or_refused_as_the_model_allows(api: Api, name: str, data: st.DataObject) -> None:
    operation = service_model("rds").operation_model(name)
    shape = operation.input_shape
    values = plausible(shape, data.draw(values_of(shape)), data)
    raw = create_serializer("query", include_validation=False).serialize_to_request(values, operation)
    require_answer(call(api, urlencode(raw["body"], doseq=True)), operation)


_KEYS = st.text("abAB.1Z&=% \x00é", max_size=12)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_invalid_inputs_are_refused_with_a_code(api: Api, name: str, data: st.DataObject) -> None:
    operation = service_model("rds").operation_model(name)
    members = [*sorted(operation.input_shape.members), "Unknown"]
    keys = st.sampled_from(
        [*members, *(f"{member}.member.1" for member in members), *(f"{member}.x" for member in members)]
    )
    fields = data.draw(st.dictionaries(keys | _KEYS, st.text(max_size=30), max_size=6))
    require_answer(call(api, urlencode({"Action": name, "Version": "2014-10-31", **fields})), operation)


@given(body=st.binary(max_size=300))
@example(body=b"")
@example(body=b"Action=DescribeDBClusters&Filters.Filter.x.Name=a")
@example(body=b"Action=\xff")
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_arbitrary_bodies_are_refused_with_a_code(api: Api, body: bytes) -> None:
    reply = api.reply(Request("POST", "/", FORM, body))
    require_answer(reply, service_model("rds").operation_model("DescribeDBClusters"))
