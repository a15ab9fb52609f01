"""The life cycle of a cluster: one table of the verbs that each status allows, and the status after them."""

from __future__ import annotations

from clusterdb.errors import ClusterStateError

__all__ = ["AVAILABLE", "STOPPED", "after"]

AVAILABLE, STOPPED = "available", "stopped"

_VERBS = ("connect to", "fail over", "crash", "add an instance to", "backtrack", "reset", "pull", "clone")
_TRANSITIONS: dict[tuple[str, str], str] = {
    (AVAILABLE, "stop"): STOPPED,
    (STOPPED, "start"): AVAILABLE,
    **{(AVAILABLE, verb): AVAILABLE for verb in _VERBS},
    (STOPPED, "clone"): STOPPED,
}
_REMEDIES = {STOPPED: "start it", AVAILABLE: "stop it"}
_GERUNDS = {
    "connect to": "connecting",
    "fail over": "failing over",
    "crash": "crashing it",
    "add an instance to": "adding an instance",
    "backtrack": "backtracking",
    "reset": "resetting it",
    "pull": "pulling",
    "clone": "cloning it",
    "stop": "stopping it",
    "start": "starting it",
}


def after(name: str, status: str, verb: str) -> str:
    """The status of a cluster after a verb.

    Raises ClusterStateError if its status does not allow the verb (Aurora: InvalidDBClusterStateFault).
    """
    try:
        return _TRANSITIONS[status, verb]
    except KeyError:
        raise ClusterStateError(
            f"cluster '{name}' is {status}: {_REMEDIES.get(status, 'wait')} before {_GERUNDS.get(verb, verb)}"
        ) from None
