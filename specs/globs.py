"""Which paths a list of globs admits: for `reads`, `triggers.commits` and missing files.

A path as a spec sees it is one below the spec's folder, or `//path`: one from the repository's
root, of a file that is elsewhere.
"""

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Final

ROOT: Final = "//"
"""What a path from the repository's root begins with."""


def from_root(path: str, folder: str) -> str:
    """The path in the repository of one that a spec in `folder` (`` for the top) sees."""
    if path.startswith(ROOT):
        return path.removeprefix(ROOT)
    return f"{folder}/{path}" if folder else path


def seen_from(folder: str, path: str) -> str:
    """How a spec in `folder` sees a path in the repository."""
    if not folder:
        return path
    below = path.removeprefix(f"{folder}/")
    return below if below != path else f"{ROOT}{path}"


def as_seen(glob: str, folder: str) -> str:
    """A path or glob that a spec in `folder` names, without `//` where it is below that."""
    plain = glob.removeprefix("!")
    return glob[: len(glob) - len(plain)] + seen_from(folder, from_root(plain, folder))


def admits(globs: Sequence[str], path: str, folder: str = "") -> bool:
    """Whether the last glob that matches `path` is one without `!`; both as seen from `folder`.

    `*` and `?` stay inside one folder, `**` crosses folders, and `folder/` is all below it.
    Nothing is admitted by an empty list.
    """
    for glob in reversed(globs):
        if sees(glob.removeprefix("!"), path, folder):
            return not glob.startswith("!")
    return False


def admits_link(globs: Sequence[str], path: str, folder: str = "") -> bool:
    """The same for a symbolic link, which stands for all that it leads to: a glob that leads
    through it admits it, too, and one that excludes all behind it excludes it. `**` takes a link,
    but leads through none."""
    for glob in reversed(globs):
        plain = glob.removeprefix("!")
        if sees(plain, path, folder):
            return plain == glob
        if plain == glob and leads_through(glob, path, folder):
            return True
        if plain != glob and sees(_top(plain), path, folder):
            return False
    return False


def leads_through(glob: str, path: str, folder: str = "") -> bool:
    """Whether a glob means something behind `path`, which it names without `**`."""
    parts = (glob + "**" if glob.endswith("/") else glob).removeprefix(ROOT).split("/")
    fixed = parts.index("**") if "**" in parts else len(parts) - 1
    start = ROOT if glob.startswith(ROOT) else ""
    return any(sees(start + "/".join(parts[:end]), path, folder) for end in range(1, fixed + 1))


def sees(glob: str, path: str, folder: str = "") -> bool:
    """Whether one glob of a spec in `folder` matches one path as seen from there."""
    if glob.startswith(ROOT):
        return matches(glob.removeprefix(ROOT), from_root(path, folder))
    return not path.startswith(ROOT) and matches(glob, path)


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


def _top(glob: str) -> str:
    """The folder that a glob takes all of; the glob itself if it takes less."""
    return glob.removesuffix("**").removesuffix("/") if glob.endswith(("/", "/**")) else glob


@lru_cache(maxsize=1024)
def _folders(glob: str) -> tuple[re.Pattern[str] | None, ...]:
    """The glob by folder; None stands for `**`."""
    parts = (glob + "**" if glob.endswith("/") else glob).split("/")
    return tuple(None if part == "**" else re.compile(translate(part)) for part in parts)
