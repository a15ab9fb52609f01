"""Proofs by brute force: crash images, faults, signals, killed processes, damaged bytes, files of another moment.

``python -m tests.torture --minutes 10`` (``make torture``) runs all of them until the time is over and prints what it
tried; the tests run a seeded sample of each.
"""
