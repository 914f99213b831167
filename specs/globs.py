"""Which paths a list of globs admits: for `reads`, `triggers.commits` and missing files."""

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Final


def admits(globs: Sequence[str], path: str) -> bool:
    """Whether the last glob that matches `path` is one without `!`.

    Paths are relative and use `/`. `*` and `?` stay inside one folder, `**` crosses folders, and
    `folder/` is all below it. Nothing is admitted by an empty list.
    """
    for glob in reversed(globs):
        if matches(glob.removeprefix("!"), path):
            return not glob.startswith("!")
    return False


def matches(glob: str, path: str) -> bool:
    """Whether one glob matches one path, in time of at most the product of their lengths."""
    folders = _folders(glob)
    parts = path.split("/")
    here = there = 0
    star, mark = -1, 0
    while there < len(parts):
        folder = folders[here] if here < len(folders) else _NOTHING
        if folder is None:
            star, mark = here, there
            here += 1
        elif folder.match(parts[there]):
            here += 1
            there += 1
        elif star >= 0:
            # Only the last `**` needs to take one folder more: the ones before it can stay.
            mark += 1
            here, there = star + 1, mark
        else:
            return False
    return here == len(folders)


_NOTHING: Final = re.compile(r"(?!)")


@lru_cache(maxsize=1024)
def _folders(glob: str) -> tuple[re.Pattern[str] | None, ...]:
    """The glob by folder; None stands for `**`."""
    parts = (glob + "**" if glob.endswith("/") else glob).split("/")
    return tuple(None if part == "**" else re.compile(translate(part)) for part in parts)
