"""One store, many processes and threads: what each may do while others work, stop, or die.

An :class:`~tests.core.processes.agents.Agent` is another process that runs what a test tells it, one command at a time,
so that tests decide who does what when; nothing here waits for a clock.
"""
