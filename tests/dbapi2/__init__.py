"""Tests of the DB-API and of the frameworks that stand on it."""
