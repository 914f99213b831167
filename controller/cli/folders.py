"""Files in folders as specs name them: relative, with `/`, without what tools keep there."""

import os
from collections.abc import Iterator
from pathlib import Path

_LEFT_OUT = {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".headgate"}


def below(folder: Path) -> Iterator[str]:
    """All files below a folder, in order."""
    for where, names, files in os.walk(folder):
        names[:] = sorted(set(names) - _LEFT_OUT)
        for name in sorted(files):
            yield (Path(where) / name).relative_to(folder).as_posix()
