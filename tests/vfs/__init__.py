"""Tests of storage and of the SQLite boundary: files, locks, versions, power failures, interrupts, full disks."""
