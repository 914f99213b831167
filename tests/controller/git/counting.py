"""Counts the processes that a test starts."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.git.command import OPTIONS


@contextmanager
def git_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """The git commands that this process starts meanwhile, by name."""
    found: Counter[str] = Counter()
    start = subprocess.Popen.__init__

    def counted(self: Any, args: Any, *rest: Any, **options: Any) -> None:
        words = [str(word) for word in args]
        if words[0] == "git" and words[1 : 1 + len(OPTIONS)] == list(OPTIONS):
            own = words[1 + len(OPTIONS) :]
            while own[0] in ("--git-dir", "-c"):
                own = own[2:]
            found[own[0]] += 1
        start(self, args, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", counted)
        yield found


def readers_of(folder: Path) -> list[int]:
    """The processes that read objects of the mirror in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(folder).encode() in words and b"cat-file" in words:
                found.append(int(entry.name))
    return found
