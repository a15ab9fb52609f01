"""An open store, and volumes in it: :mod:`clusterdb.core.context`, :mod:`clusterdb.core.opening`,
:mod:`clusterdb.core.volumes`."""
