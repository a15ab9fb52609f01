"""A terminal (tmux) that tests type into."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

__all__ = ["Screen"]


class Screen:
    """A session of tmux, with a shell in it."""

    def __init__(self, folder: Path, command: str, columns: int = 100) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self._do("new-session", "-d", "-x", str(columns), "-y", "30", f"{command}; echo exit code $?; cat")

    def _do(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True).stdout

    def type(self, text: str, *keys: str) -> None:
        """Type a text as it is, then keys by their names."""
        if text:
            self._do("send-keys", "-l", "--", re.sub(r";\Z", r"\\;", text))  # tmux ends its own commands so
        if keys:
            self._do("send-keys", *keys)

    def wait_for(self, end: str, *having: str) -> str:
        """What is on the screen, once that has some texts and ends with one."""
        deadline = time.monotonic() + 30
        while True:
            shown = self._do("capture-pane", "-p").rstrip()
            if shown.endswith(end) and all(text in shown for text in having):
                return shown
            assert time.monotonic() < deadline, f"{having} and at the end '{end}' are not in:\n{shown}"
            time.sleep(0.05)

    def wait_for_prompts(self, prompt: str, count: int) -> None:
        """Wait until so many lines, all but the last with a command, begin with a prompt."""
        deadline = time.monotonic() + 60
        while sum(line.startswith(prompt.rstrip()) for line in self.transcript().splitlines()) < count:
            assert time.monotonic() < deadline, f"no {count} prompts in:\n{self.transcript()}"
            time.sleep(0.05)

    def transcript(self) -> str:
        """All that was shown, also what has left the screen; lines that were broken are joined."""
        return self._do("capture-pane", "-p", "-J", "-S", "-").rstrip() + "\n"

    def has_colour(self, word: str) -> bool:
        """Whether a word is on the screen in another colour than what is before it."""
        return bool(re.search(rf"\x1b\[[0-9;]*m{word}", self._do("capture-pane", "-p", "-e")))

    def end(self) -> None:
        """Let go of it, and end what runs there."""
        self._do("kill-server")
