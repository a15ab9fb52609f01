"""What may be done with a cluster in which status, in one table."""

from __future__ import annotations

from clusterdb.errors import ClusterStateError

__all__ = ["AVAILABLE", "STOPPED", "after"]

AVAILABLE, STOPPED = "available", "stopped"

_VERBS = ("connect to", "fail over", "crash", "add an instance to", "backtrack", "reset")
_TRANSITIONS: dict[tuple[str, str], str] = {
    (AVAILABLE, "stop"): STOPPED,
    (STOPPED, "start"): AVAILABLE,
    **{
        (AVAILABLE, verb): AVAILABLE
        for verb in ("connect to", "fail over", "crash", "add an instance to", "backtrack", "reset")
    },
    (STOPPED, "clone"): STOPPED,
    (AVAILABLE, "clone"): AVAILABLE,
}
_REMEDY = {STOPPED: "start it first", AVAILABLE: "stop it first"}


def after(name: str, status: str, verb: str) -> str:
    """The status of a cluster after a verb.

    Raises ClusterStateError if its status does not allow that (Aurora: InvalidDBClusterStateFault).
    """
    try:
        return _TRANSITIONS[status, verb]
    except KeyError:
        raise ClusterStateError(
            f"cluster '{name}' is {status}, so one cannot {verb} it: {_REMEDY.get(status, 'wait')}"
        ) from None
