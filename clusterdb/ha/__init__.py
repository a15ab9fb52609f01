"""High availability: instances (:mod:`clusterdb.ha.instances`), endpoints (:mod:`clusterdb.ha.endpoints`), failover and
crashes (:mod:`clusterdb.ha.failover`), simulated faults (:mod:`clusterdb.ha.faults`), and the gate that applies lag
and faults in every process (:mod:`clusterdb.ha.gate`).

Names, limits and rules are Aurora's (Amazon Aurora User Guide: "Amazon Aurora endpoint connections", "High availability
for Amazon Aurora", "Testing Amazon Aurora PostgreSQL by using fault injection queries").
"""
