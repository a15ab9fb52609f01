"""Tests of the house rules: architecture, documentation, examples, regular expressions."""
