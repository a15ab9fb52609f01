"""The models of AWS's services, as botocore has them; loaded on first use and kept.

botocore is the only source of shapes, required members, enumerations, error codes and statuses.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from clusterdb.server.faults import Fault

if TYPE_CHECKING:
    from botocore.model import ServiceModel
else:
    ServiceModel = Any

__all__ = [
    "OperationModel",
    "ServiceModel",
    "Shape",
    "error_name",
    "error_statuses",
    "fault",
    "operation_names",
    "service_model",
    "shape_named",
]

OperationModel: TypeAlias = Any
"""A ``botocore.model.OperationModel``; botocore has no types."""
Shape: TypeAlias = Any
"""A ``botocore.model.Shape``."""


@cache
def service_model(name: str) -> ServiceModel:
    """The model of a service by botocore's name of it, e.g. ``rds`` or ``cloudwatch``."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


@cache
def shape_named(name: str, shape: str) -> Shape:
    """A shape of a service's model; the same object each time, so that its members are resolved once."""
    return service_model(name).shape_for(shape)


@cache
def operation_names(name: str) -> frozenset[str]:
    """The operations of a service, whether implemented here or not."""
    return frozenset(service_model(name).operation_names)


@cache
def error_statuses(name: str) -> dict[str, int]:
    """The HTTP status of every modelled error of a service, by its code and by the name of its shape."""
    model = service_model(name)
    statuses: dict[str, int] = {}
    for shape in model.error_shapes:
        error = shape.metadata.get("error", {})
        status = int(error.get("httpStatusCode", 500 if shape.metadata.get("fault") else 400))
        statuses.setdefault(shape.name, status)
        statuses.setdefault(shape.error_code, status)
    return statuses


def error_name(model: ServiceModel | None, code: str) -> str:
    """The name of the shape of an error with a code; the code itself if the model has no such error."""
    shape = model.shape_for_error_code(code) if model is not None else None
    return code if shape is None else str(shape.name)


def fault(name: str, code: str, message: str) -> Fault:
    """An error of a service with the status that its model states; 400 for the codes that all services share."""
    return Fault(code, message, error_statuses(name).get(code, 400))
