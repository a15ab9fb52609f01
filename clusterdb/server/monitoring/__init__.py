"""Amazon CloudWatch: the metrics of Amazon RDS, from samples of the store; and ``/metrics`` for Prometheus.

names.py       the metrics, their units and dimensions
series.py      the values of a metric by the minute, for three hours
sampling.py    takes samples, and keeps them while the server runs
ranges.py      the times and periods of a query
tokens.py      the tokens of pages
listing.py     ListMetrics
statistics.py  GetMetricStatistics
data.py        GetMetricData
page.py        ``/metrics``

Samples are a server's own: they are kept in its memory, begin when it starts and end with it.  Another server on the
same store has its own.

Sources: botocore's model ``cloudwatch/2010-08-01``; "Amazon CloudWatch metrics for Amazon Aurora" and "Amazon
CloudWatch dimensions for Aurora" in the Amazon Aurora User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping

from clusterdb.server.call import Operation
from clusterdb.server.monitoring.data import get_metric_data
from clusterdb.server.monitoring.listing import list_metrics
from clusterdb.server.monitoring.page import routes
from clusterdb.server.monitoring.sampling import KEY, Monitor, monitor_of
from clusterdb.server.monitoring.statistics import get_metric_statistics

__all__ = ["KEY", "OPERATIONS", "Monitor", "monitor_of", "routes"]

OPERATIONS: Mapping[str, Operation] = {
    "GetMetricData": get_metric_data,
    "GetMetricStatistics": get_metric_statistics,
    "ListMetrics": list_metrics,
}
