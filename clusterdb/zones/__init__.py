"""Six copies of a cluster in three zones: commits are on four of six storage nodes before COMMIT returns.

Everything here is above the page pool: the copies have pages by their numbers in the database, never slots.
"""

from clusterdb.zones.status import NodeStatus

__all__ = ["NodeStatus"]
