"""The services of Amazon RDS over HTTP, on the clusters of a store.

faults.py  errors that a client is told
call.py    one call of an operation
"""
