"""Tests of differences, scripts and changesets."""
