"""What an input must be: botocore's own validator, and the enumerations and upper limits that it does not check.

Errors have the codes that AWS uses in the protocol: ``MissingParameter`` and ``InvalidParameterValue`` where the query
protocol is at home, ``BadRequestException`` for the Data API, ``ValidationError`` for others.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from clusterdb.server.faults import Fault
from clusterdb.server.models import OperationModel, Shape

if TYPE_CHECKING:
    from botocore.validate import ParamValidator

__all__ = ["require_valid"]

_CODES = {
    "rds": ("MissingParameter", "InvalidParameterValue"),
    "cloudwatch": ("MissingParameter", "InvalidParameterValue"),
    "rds-data": ("BadRequestException", "BadRequestException"),
}
_OTHERS = ("ValidationError", "ValidationError")
_MISSING = "Missing required parameter in "


@cache
def _validator() -> ParamValidator:
    from botocore.validate import ParamValidator

    return ParamValidator()


_ARN_MAX = 570
"""Models of botocore before 1.44 allow 100 characters for ARNs of rds-data; those of managed secrets have 108."""


def require_valid(operation: OperationModel, values: dict[str, Any]) -> None:
    """Check an input.  Raises Fault."""
    shape = operation.input_shape
    if shape is None:
        return
    missing, invalid = _CODES.get(operation.service_model.service_name, _OTHERS)
    report = _validator().validate(values, shape)
    if report.has_errors():
        lines = report.generate_report().splitlines()
        absent = [line.rpartition(": ")[2].strip('"') for line in lines if line.startswith(_MISSING)]
        if absent:
            raise Fault(missing, f"The request must contain the parameter {absent[0]}", 400)
        raise Fault(invalid, lines[0], 400)
    for problem in _problems(shape, values, ""):
        raise Fault(invalid, problem, 400)


def _problems(shape: Shape, value: Any, name: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        for key, item in value.items():
            if key in shape.members:
                yield from _problems(shape.members[key], item, f"{name}.{key}" if name else key)
    elif kind == "list":
        yield from _too_large(shape, len(value), name, "members")
        for number, item in enumerate(value, 1):
            yield from _problems(shape.member, item, f"{name}.{number}")
    elif kind == "map":
        for key, item in value.items():
            yield from _problems(shape.value, item, f"{name}.{key}")
    elif kind == "string":
        values = shape.metadata.get("enum")
        if values and value not in values:
            yield f"Invalid value {value[:100]!r} for {name}. Valid values: {', '.join(values)}"
        yield from _too_large(shape, len(value), name, "characters")
    elif kind == "blob":
        yield from _too_large(shape, len(value), name, "bytes")
    elif kind in ("integer", "long", "double", "float"):
        highest = shape.metadata.get("max")
        if highest is not None and value > highest:
            yield f"Invalid value {value} for {name}: at most {highest}"
        if kind == "integer" and not -(1 << 31) <= value < 1 << 31:
            yield f"Invalid value {value} for {name}: not an integer of 32 bits"


def _too_large(shape: Shape, size: int, name: str, unit: str) -> Iterator[str]:
    highest = shape.metadata.get("max")
    if highest is not None and shape.name == "Arn":
        highest = max(highest, _ARN_MAX)
    if highest is not None and size > highest:
        yield f"Invalid length for {name}: {size} {unit}, at most {highest}"
