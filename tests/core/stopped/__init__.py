"""Stopped processes: one that is suspended in mid-work (SIGSTOP, a debugger, a laptop lid) blocks nobody else.

A :class:`~tests.core.stopped.stopper.Stopper` is another process that stops itself at a named point (vfs/failpoints.py)
and has told the test so before.  While it is stopped the test works in other clusters of the same store, in the stopped
one's own cluster, and in the store as a whole; then the process goes on, must end well, and everybody's data is looked
at.  A wait without end is the failure, and its message says where it waits.

At the end of each test the store is clean, and with its last cluster goes the last slot.
"""
