"""One request for AWS's services, from the bytes of HTTP to those of the reply, without a web server.

A request passes: the codec of its protocol, the credential scope (and the signature, where it is verified), the
service, the operation, the input's shape, the namespace's store, the operation.  Whatever fails is a reply in the
protocol that was asked; an unexpected exception is logged once, and answered by 500.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping

from clusterdb.errors import Error, StoreBusyError, StoreReadOnlyError
from clusterdb.server.call import Call, Serving
from clusterdb.server.faults import Fault
from clusterdb.server.guard import Credential, require_signed
from clusterdb.server.models import ServiceModel, error_statuses, operation_names, service_model
from clusterdb.server.namespaces import Namespaces
from clusterdb.server.protocol.cbor import CborCodec
from clusterdb.server.protocol.json import JsonCodec, RestJsonCodec
from clusterdb.server.protocol.messages import Codec, Reply, Request
from clusterdb.server.protocol.query import QueryCodec
from clusterdb.server.protocol.validation import require_valid
from clusterdb.server.scope import Scope, scope_of
from clusterdb.server.services import SERVICES, Service

__all__ = ["Api", "codec_of", "is_api_path", "refusal"]

_log = logging.getLogger("clusterdb.server")
_PATHS = re.compile(
    r"/(?:|Execute|BatchExecute|BeginTransaction|CommitTransaction|RollbackTransaction|ExecuteSql|service/.*)/?\Z"
)
_READING = ("Describe", "List", "Get")
_QUERY, _REST_JSON, _JSON, _CBOR = QueryCodec(), RestJsonCodec(), JsonCodec(), CborCodec()
_PROTOCOLS: dict[int, str] = {
    id(_QUERY): "query",
    id(_REST_JSON): "rest-json",
    id(_JSON): "json",
    id(_CBOR): "smithy-rpc-v2-cbor",
}


def is_api_path(path: str) -> bool:
    """Whether a POST to a path is a request for AWS's services."""
    return _PATHS.match(path) is not None


def codec_of(request: Request) -> Codec:
    """The protocol that a request speaks."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor" or request.path.startswith("/service/"):
        return _CBOR
    if "x-amz-target" in request.headers:
        return _JSON
    if request.path.strip("/") or kind == "application/json":
        return _REST_JSON
    return _QUERY


def refusal(request: Request, fault: Fault) -> Reply:
    """The reply with an error to a request that was refused before its service was known."""
    return codec_of(request).refusal(fault, str(uuid.uuid4()), None)


class Api:
    """AWS's services on the stores of a server; threads may share it."""

    def __init__(
        self,
        namespaces: Namespaces,
        serving: Serving,
        account: str,
        credentials: Mapping[str, Credential] | None = None,
        services: Mapping[str, Service] = SERVICES,
    ) -> None:
        self._namespaces = namespaces
        self._serving = serving
        self._account = account
        self._credentials = credentials
        self._services = services

    def reply(self, request: Request) -> Reply:
        """The reply to a request; raises nothing."""
        request_id = str(uuid.uuid4())
        codec = codec_of(request)
        model: ServiceModel | None = None
        try:
            scope = scope_of(request.headers.get("authorization"))
            account = self._account_of(request, scope)
            service = self._services.get(scope.service)
            if service is None:
                raise Fault("InvalidAction", f"The service '{scope.service:.40}' is not implemented here", 400)
            model = service_model(service.model)
            return self._reply(codec, request, scope, account, service, model, request_id)
        except Exception as error:
            return codec.refusal(_fault_of(error, model, request), request_id, model)

    def _account_of(self, request: Request, scope: Scope) -> str:
        if self._credentials is None:
            return scope.account or self._account
        return require_signed(request, scope, self._credentials).account or self._account

    def _reply(
        self,
        codec: Codec,
        request: Request,
        scope: Scope,
        account: str,
        service: Service,
        model: ServiceModel,
        request_id: str,
    ) -> Reply:
        if _PROTOCOLS[id(codec)] not in (model.metadata.get("protocols") or [model.metadata["protocol"]]):
            raise Fault("UnknownOperationException", f"{scope.service} does not speak this protocol", 404)
        action = codec.action(request, model)
        operation = service.operations().get(action)
        if operation is None or action not in operation_names(service.model):
            version = model.metadata["apiVersion"]
            raise Fault("InvalidAction", f"Could not find operation {action:.100} for version {version}", 400)
        if self._serving.read_only and scope.service == "rds" and not action.startswith(_READING):
            raise Fault("AccessDenied", f"This server is read-only: {action} is refused", 403)
        operation_model = model.operation_model(action)
        values = codec.parse(request, operation_model)
        require_valid(operation_model, values)
        store = self._namespaces.store(account, scope.region, action)
        call = Call(store, account, scope.region, scope.service, action, request_id, self._serving)
        return codec.answer(operation_model, operation(call, values), request_id)


def _fault_of(error: Exception, model: ServiceModel | None, request: Request) -> Fault:
    """The fault that a client gets for an exception; an unexpected one is logged."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, Error) and error.aws_code is not None:
        statuses = error_statuses(model.service_name) if model is not None else {}
        return Fault(error.aws_code, str(error), statuses.get(error.aws_code, 400))
    if isinstance(error, StoreReadOnlyError):
        return Fault("AccessDenied", str(error), 403)
    if isinstance(error, StoreBusyError):
        return Fault("ServiceUnavailable", str(error), 503)
    _log.error("%s %s failed", request.method, request.path, exc_info=error)
    return Fault("InternalFailure", "The request failed because of an internal error: the server's log has it", 500)
