"""Distrust: nothing that is read from a store is believed unchecked.

``tests/torture/damage.py`` damages bytes at random, which checksums catch.  Here the damage has structure: numbers that
make no sense under checksums that are right, nodes that contain themselves, catalog rows that contradict each other,
links where files belong.  Whatever a store holds, who uses it gets right data or an error of ``clusterdb`` or
``apsw``: never another exception, never a hang, never a crash of the interpreter, never wrong rows that ``check`` does
not report.

What might hang or crash runs in a child process (:func:`tests.core.distrust.family.in_child`).
"""
