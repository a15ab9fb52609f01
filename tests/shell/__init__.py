"""Tests of the SQL shell."""
