"""The past of clusters: finding versions (:mod:`clusterdb.past.find`), retaining them
(:mod:`clusterdb.past.retention`), snapshots (:mod:`clusterdb.past.snapshots`), backtrack and
reset (:mod:`clusterdb.past.switching`)."""
