"""Tests of points in time, snapshots, retention and clocks."""
