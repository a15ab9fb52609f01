"""The actions of the console, by name: what a form sends is performed here, and shown as code.

record.py     an action
clusters.py   create, clone, change, stop, start, rename, delete
past.py       snapshots, backtracks, resets, changesets
instances.py  instances, endpoints, failover, faults
zones.py      storage nodes of clusters with zones
"""

from __future__ import annotations

from collections.abc import Mapping

from clusterdb.server.console.actions import clusters, instances, past, zones
from clusterdb.server.console.actions.record import Action

__all__ = ["ACTIONS"]

ACTIONS: Mapping[str, Action] = {
    action.name: action for action in (*clusters.ACTIONS, *past.ACTIONS, *instances.ACTIONS, *zones.ACTIONS)
}
