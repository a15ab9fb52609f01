"""What our writers write, botocore's parsers read; what botocore's serializers write, our parsers read."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest

pytest.importorskip("botocore", reason="needs the extra [server]")
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusterdb.server.faults import Fault
from clusterdb.server.models import service_model
from clusterdb.server.protocol.cbor import CborCodec
from clusterdb.server.protocol.encoding import decoded, encoded
from clusterdb.server.protocol.json import JsonCodec, RestJsonCodec
from clusterdb.server.protocol.messages import Codec, Reply, Request
from clusterdb.server.protocol.query import QueryCodec
from tests.server.shapes import values_of

CODECS: list[tuple[str, str, Codec]] = [
    ("rds", "query", QueryCodec()),
    ("sts", "query", QueryCodec()),
    ("cloudwatch", "query", QueryCodec()),
    ("rds-data", "rest-json", RestJsonCodec()),
    ("cloudwatch", "json", JsonCodec()),
    ("cloudwatch", "smithy-rpc-v2-cbor", CborCodec()),
]
IDS = [f"{service}-{protocol}" for service, protocol, _ in CODECS]
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def parsed(reply: Reply, protocol: str, shape: Any) -> dict[str, Any]:
    """A reply as botocore parses it."""
    response = {"body": reply.body, "headers": HeadersDict(reply.headers), "status_code": reply.status, "context": {}}
    result: dict[str, Any] = create_parser(protocol).parse(response, shape)
    return result


def without_empty(value: Any) -> Any:
    """A value without what protocols cannot distinguish from absence: empty lists, maps and structures."""
    if isinstance(value, dict):
        cleaned = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in ({}, [])}
    if isinstance(value, list):
        return [item for item in map(without_empty, value) if item not in ({}, [])]
    return value


@pytest.mark.parametrize(("service", "protocol", "codec"), CODECS, ids=IDS)
@given(data=st.data())
@SETTINGS
def test_outputs_survive_our_writer_and_botocores_parser(
    service: str, protocol: str, codec: Codec, data: st.DataObject
) -> None:
    model = service_model(service)
    operation = model.operation_model(data.draw(st.sampled_from(model.operation_names)))
    if operation.output_shape is None:
        return
    output = data.draw(values_of(operation.output_shape, xml=protocol == "query"))
    reply = codec.answer(operation, output, "id-1")
    result = parsed(reply, protocol, operation.output_shape)
    metadata = result.pop("ResponseMetadata")
    assert metadata["HTTPStatusCode"] == 200
    assert without_empty(result) == without_empty(output)


@pytest.mark.parametrize(("service", "protocol", "codec"), CODECS, ids=IDS)
@given(data=st.data())
@SETTINGS
def test_inputs_survive_botocores_serializer_and_our_parser(
    service: str, protocol: str, codec: Codec, data: st.DataObject
) -> None:
    model = service_model(service)
    name = data.draw(st.sampled_from(model.operation_names))
    operation = model.operation_model(name)
    if operation.input_shape is None:
        return
    values = data.draw(values_of(operation.input_shape, xml=False))
    request = request_of(values, operation, protocol)
    assert codec.action(request, model) == name
    parsed_values, expected = without_empty(codec.parse(request, operation)), without_empty(values)
    if protocol != "query":  # some releases of botocore write whole seconds
        parsed_values, expected = in_seconds(parsed_values), in_seconds(expected)
    assert parsed_values == expected


def in_seconds(value: Any) -> Any:
    """A value with times in whole seconds."""
    if isinstance(value, dict):
        return {key: in_seconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [in_seconds(item) for item in value]
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def request_of(values: dict[str, Any], operation: Any, protocol: str) -> Request:
    """The request that botocore sends for an input."""
    raw = create_serializer(protocol, include_validation=False).serialize_to_request(values, operation)
    headers = {key.lower(): value for key, value in raw["headers"].items()}
    body = raw["body"]
    if isinstance(body, dict):
        from botocore.compat import urlencode

        body = urlencode(body, doseq=True)
    content = body.encode() if isinstance(body, str) else bytes(body)
    return Request(raw["method"], raw["url_path"], headers, content)


@pytest.mark.parametrize(("service", "protocol", "codec"), CODECS, ids=IDS)
def test_faults_survive_our_writer_and_botocores_parser(service: str, protocol: str, codec: Codec) -> None:
    model = service_model(service)
    reply = codec.refusal(Fault("ResourceNotFound", "a <b> & 'c'", 404), "id-1", model)
    result = parsed(reply, protocol, None)
    assert result["Error"]["Message"] == "a <b> & 'c'"
    assert result["Error"]["Code"].startswith("ResourceNotFound")
    assert result["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.parametrize(("service", "protocol", "codec"), CODECS, ids=IDS)
@given(body=st.binary(max_size=200))
@SETTINGS
def test_arbitrary_bodies_are_parsed_or_refused(service: str, protocol: str, codec: Codec, body: bytes) -> None:
    model = service_model(service)
    for name in model.operation_names[:20]:
        try:
            codec.parse(Request("POST", "/", {}, body), model.operation_model(name))
        except Fault as fault:
            assert fault.status == 400


_CBOR = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=_CBOR)
@SETTINGS
def test_cbor_survives_a_round_trip(value: Any) -> None:
    assert decoded(encoded(value)) == value


def test_cbor_reads_the_forms_that_others_write() -> None:
    """Half and single floats, indefinite lengths, tags, undefined."""
    assert decoded(bytes.fromhex("f93c00")) == 1.0
    assert decoded(bytes.fromhex("fa47c35000")) == 100000.0
    assert decoded(bytes.fromhex("bf616101ff")) == {"a": 1}
    assert decoded(bytes.fromhex("9f010203ff")) == [1, 2, 3]
    assert decoded(bytes.fromhex("7f61616162ff")) == "ab"
    assert decoded(bytes.fromhex("c11a514b67b0")) == 1363896240
    assert decoded(bytes.fromhex("f7")) is None
    assert math.isnan(decoded(bytes.fromhex("f97e00")))
    for broken in ("", "ff", "1c", "6261", "81", "a101", "0000"):
        with pytest.raises(ValueError, match="CBOR"):
            decoded(bytes.fromhex(broken))
