"""Tests of the SQL of Aurora's engines, against the real servers where those are installed."""
