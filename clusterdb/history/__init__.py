"""The history of a cluster: its versions and what happened to it, and the version in which an answer changed.

log.py     the versions that are retained, with what they changed and what refers to them
bisect.py  the version since which a query has another answer
text.py    both as text
"""

from __future__ import annotations

from clusterdb.history.bisect import Answer, Bisection
from clusterdb.history.log import LogEntry

__all__ = ["Answer", "Bisection", "LogEntry"]
