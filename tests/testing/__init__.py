"""Tests of the pytest plugin and of clusterdb.testing."""
