"""The verbs of clusters: creating (:mod:`clusterdb.clusters.creating`), cloning (:mod:`clusterdb.clusters.cloning`),
changing and deleting (:mod:`clusterdb.clusters.changing`), expiring (:mod:`clusterdb.clusters.expiring`), connecting
(:mod:`clusterdb.clusters.connecting`), figures (:mod:`clusterdb.clusters.figures`, :mod:`clusterdb.clusters.billing`,
:mod:`clusterdb.clusters.metrics`), the care of the store (:mod:`clusterdb.clusters.care`) and the cleanup when it is
opened (:mod:`clusterdb.clusters.tidying`)."""
