"""Tests of stores and clusters: the control plane, processes, races, damage, errors, untrusted SQL."""
