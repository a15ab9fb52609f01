"""Races, crashes and damage: what once went wrong, or could, where processes meet, die, or lose their power.

Most tests here make one unlucky moment happen on purpose.  They stop at a named point (vfs/failpoints.py) to let
another process act, to press Ctrl-C or to die there; they put a device under the pool that remembers what was synced
and then lose the power; or they damage a slot.  ``R1``, ``C1``, ``S1``, ``V1``, ``M1``, ``W1`` are the invariants at
the head of queue.py, cleanup.py, sessions.py, volume.py, slot_map.py and sweep.py.

At the end of each test every store it opened is clean, and its allocation map is the one that a rebuild from the heads
and pins makes (M4).
"""
