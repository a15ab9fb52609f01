"""Signals that end a command reach it in whichever thread they arrive."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from clusterdb.cli.stopping import catching, pausing

_ELSEWHERE = """
import signal, sys, threading
from clusterdb.cli.stopping import catching, pausing

threading.Thread(target=threading.Event().wait, daemon=True).start()  # the only thread that takes the signal:
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
"""
_CATCHING = """
with catching(signal.SIGINT, signal.SIGTERM) as wait:
    print("ready", flush=True)
    wait()
print("ended")
"""
_PAUSING = """
try:
    with pausing() as pause:
        print("ready", flush=True)
        pause.wait(600)
    print("paused")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(
    "script, number, expected",
    [
        (_CATCHING, signal.SIGTERM, "ended\n"),
        (_CATCHING, signal.SIGINT, "ended\n"),
        (_PAUSING, signal.SIGINT, "interrupted\n"),
    ],
)
def test_signals_that_another_thread_takes_wake_the_main_thread(
    script: str, number: signal.Signals, expected: str
) -> None:
    process = subprocess.Popen([sys.executable, "-c", _ELSEWHERE + script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.communicate(timeout=60)[0] == expected
    finally:
        process.kill()
        process.communicate()


def test_signals_before_the_wait_end_it_at_once() -> None:
    with catching(signal.SIGTERM) as wait:
        signal.raise_signal(signal.SIGTERM)
        wait()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_pauses_end_with_their_time() -> None:
    with pausing() as pause:
        assert not pause.wait(0.001)
