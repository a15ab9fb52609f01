"""Tests of clusterdb and its storage, one directory for each part of the tree; README.md says where a test goes."""
