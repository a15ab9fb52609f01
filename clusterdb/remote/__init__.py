"""Databases on object storage: pushing them to a repository, and copying them out of it."""

from clusterdb.remote.handle import Collected, Remote, RemoteDatabase
from clusterdb.remote.objects import Counts
from clusterdb.remote.pulling import Pulled
from clusterdb.remote.pushing import Pushed
from clusterdb.remote.repacking import Repacked

__all__ = ["Collected", "Counts", "Pulled", "Pushed", "Remote", "RemoteDatabase", "Repacked"]
