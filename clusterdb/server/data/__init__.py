"""The RDS Data API (``rds-data``): SQL over HTTP on the clusters of a store.

service.py       the operations of a running server
api.py           what they do
settings.py      their limits
gatekeeper.py    what the rest of the server decides: enabled endpoints, issued secrets
resources.py     from resourceArn to cluster
sessions.py      a connection and its thread; idle ones are kept for the next statement
transactions.py  transactions by id, their limits and their fate
work.py          what runs in a session's thread
statements.py    one statement, or a batch, on a connection
parameters.py    parameters and type hints to values
columns.py       the types of result columns, and columnMetadata
fields.py        values to Fields and to JSON, within the limits of a response
problems.py      errors of engines and of the service, with AWS's codes and texts

Sources: botocore's model ``rds-data/2018-08-01``; "Using the Amazon RDS Data API" in the Amazon Aurora User Guide, its
pages on troubleshooting, JSON, and the comparison with Aurora Serverless v1.
"""

from clusterdb.server.data.api import DataApi
from clusterdb.server.data.gatekeeper import Gatekeeper, OpenGate, RdsGate
from clusterdb.server.data.service import OPERATIONS, data_api
from clusterdb.server.data.settings import DataSettings

__all__ = ["OPERATIONS", "DataApi", "DataSettings", "Gatekeeper", "OpenGate", "RdsGate", "data_api"]
