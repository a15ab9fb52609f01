"""Tests of instances, endpoints, failover and simulated faults."""
