"""Proofs by brute force: crash images, injected faults, killed processes, damaged bytes.

``python -m torture --minutes 10`` (``make torture``) runs all of them until the time is over and prints what it tried;
the tests run a seeded sample of each.
"""
