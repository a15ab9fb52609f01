"""Test suites that others wrote, run on clusterdb and on what it stands in for: ``python -m tests.suites``."""
