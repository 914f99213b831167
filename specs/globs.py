"""Which paths a list of globs admits: for `reads`, `triggers.commits` and missing files."""

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache


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
    """Whether one glob matches one path; takes time proportional to their lengths' product."""
    folders = _folders(glob)
    # Which prefixes of the glob can match what has been read of the path so far.
    live = _skip_empty({0}, folders)
    for part in path.split("/"):
        live = _skip_empty({place for i in live for place in _step(folders, i, part)}, folders)
    return len(folders) in live


@lru_cache(maxsize=1024)
def _folders(glob: str) -> tuple[re.Pattern[str] | None, ...]:
    """The glob by folder; None stands for `**`."""
    parts = (glob + "**" if glob.endswith("/") else glob).split("/")
    return tuple(None if part == "**" else re.compile(translate(part)) for part in parts)


def _step(folders: Sequence[re.Pattern[str] | None], place: int, part: str) -> set[int]:
    """Where one more part of the path leads from a place in the glob."""
    if place == len(folders):
        return set()
    folder = folders[place]
    if folder is None:
        return {place, place + 1}
    return {place + 1} if folder.match(part) else set()


def _skip_empty(live: set[int], folders: Sequence[re.Pattern[str] | None]) -> set[int]:
    """Add the places after each `**` that may match no folder at all; a last one may not."""
    found = set(live)
    for place in range(len(folders) - 1):
        if place in found and folders[place] is None:
            found.add(place + 1)
    return found
