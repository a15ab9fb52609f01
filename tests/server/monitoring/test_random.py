"""Random inputs of CloudWatch's operations in every protocol: an answer, or a modelled error; never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.compat import urlencode
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clusterdb
from clusterdb.server.api import Api
from clusterdb.server.call import Serving
from clusterdb.server.models import error_statuses, service_model
from clusterdb.server.monitoring import OPERATIONS
from clusterdb.server.namespaces import Namespaces
from clusterdb.server.protocol.encoding import encoded
from clusterdb.server.protocol.messages import Reply, Request
from tests.server.monitoring.watching import at, query
from tests.server.shapes import values_of

SCOPE = "AWS4-HMAC-SHA256 Credential=a/20260131/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=0"
PROTOCOLS = ["smithy-rpc-v2-cbor", "json", "query"]
COMMON = {
    *("MissingParameter", "InvalidParameterValue", "InvalidParameterCombination", "ValidationError"),
    *("MalformedInput", "SerializationException"),
}
PLAUSIBLE: dict[str, Any] = {
    "Namespace": ["AWS/RDS"],
    "MetricName": ["VolumeBytesUsed", "CommitThroughput"],
    "StartTime": [at(-60), at(0)],
    "EndTime": [at(60)],
    "Period": [60, 300, 1 << 30, (1 << 31) - 8],
    "Statistics": [["Sum", "Average"]],
    "ExtendedStatistics": [[]],
    "Unit": ["Bytes", "Count/Second"],
    "Dimensions": [[], [{"Name": "DBClusterIdentifier", "Value": "prod"}]],
    "MetricDataQueries": [[query("VolumeBytesUsed")], [query("CommitThroughput", id="b"), query("VolumeBytesUsed")]],
    "MaxDatapoints": [1, 1000],
    "NextToken": [""],
    "LabelOptions": [{}],
}
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def api() -> Iterator[Api]:
    """A server's operations on a store with a cluster."""
    with clusterdb.open(":memory:") as store:
        store.create_cluster("prod").add_instance("prod-1")
        namespaces = Namespaces(store, "123456789012", "us-east-1")
        serving = Serving()
        yield Api(namespaces, serving, "123456789012")
        serving.close()
        namespaces.close()


def asked(name: str, protocol: str, body: Any) -> Request:
    """A request of an operation."""
    headers = {"authorization": SCOPE}
    if protocol == "query":
        return Request("POST", "/", {**headers, "content-type": "application/x-www-form-urlencoded"}, body)
    if protocol == "json":
        return Request("POST", "/", {**headers, "x-amz-target": f"GraniteServiceVersion20100801.{name}"}, body)
    headers["smithy-protocol"] = "rpc-v2-cbor"
    return Request("POST", f"/service/GraniteServiceVersion20100801/operation/{name}", headers, body)


def require_answer(reply: Reply, protocol: str, name: str) -> None:
    """botocore parses the reply; an error has a code of the model, or one that all operations share."""
    response = {"body": reply.body, "headers": HeadersDict(reply.headers), "status_code": reply.status, "context": {}}
    parsed = create_parser(protocol).parse(response, service_model("cloudwatch").operation_model(name).output_shape)
    if reply.status == 200:
        assert "Error" not in parsed
        return
    assert 400 <= reply.status < 500, reply.body
    code = parsed["Error"]["Code"]
    assert code in COMMON or code in error_statuses("cloudwatch"), code
    assert parsed["Error"]["Message"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", sorted(OPERATIONS))
@given(data=st.data())
@SETTINGS
def test_valid_inputs_are_answered_or_refused_as_the_model_allows(
    api: Api, name: str, protocol: str, data: st.DataObject
) -> None:
    operation = service_model("cloudwatch").operation_model(name)
    shape = operation.input_shape
    values = {
        key: data.draw(st.sampled_from(PLAUSIBLE[key])) if key in PLAUSIBLE and data.draw(st.integers(0, 4)) else value
        for key, value in data.draw(values_of(shape)).items()
    }
    raw = create_serializer(protocol, include_validation=False).serialize_to_request(values, operation)
    body = urlencode(raw["body"], doseq=True) if isinstance(raw["body"], dict) else raw["body"]
    reply = api.reply(asked(name, protocol, body.encode() if isinstance(body, str) else bytes(body)))
    require_answer(reply, protocol, name)


_SCALARS = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | st.text(max_size=8)
_JUNK = st.recursive(
    _SCALARS | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@given(data=st.data())
@SETTINGS
def test_members_of_wrong_types_are_refused(api: Api, name: str, data: st.DataObject) -> None:
    members = sorted(service_model("cloudwatch").operation_model(name).input_shape.members)
    document = data.draw(st.dictionaries(st.sampled_from(members), _JUNK, max_size=5))
    for value in (document, data.draw(_JUNK)):
        require_answer(api.reply(asked(name, PROTOCOLS[0], encoded(value))), PROTOCOLS[0], name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@SETTINGS
def test_arbitrary_bodies_are_refused(api: Api, protocol: str, body: bytes) -> None:
    name = "GetMetricStatistics"
    content = b"Action=GetMetricStatistics&" + body if protocol == "query" else body
    reply = api.reply(asked(name, protocol, content))
    assert reply.status == 400
    require_answer(reply, protocol, name)
