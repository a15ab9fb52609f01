"""Tests of the operations of Amazon RDS."""
