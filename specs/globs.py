"""Which paths a list of globs admits: for `reads`, `triggers.commits` and missing files.

A spec sees a file below its own folder by the path from there, and any other file as `//path`,
the path from the repository's root.
"""

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Final

ROOT: Final = "//"
"""The prefix of a path from the repository's root."""


def from_root(path: str, folder: str) -> str:
    """The path in the repository of a path as a spec in `folder` (empty for the root) sees it."""
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
    """A path or glob of a spec in `folder`, without `//` if it is below that folder."""
    plain = glob.removeprefix("!")
    return glob[: len(glob) - len(plain)] + seen_from(folder, from_root(plain, folder))


def admits(globs: Sequence[str], path: str, folder: str = "") -> bool:
    """Whether the last glob that matches `path` has no `!`; both are as seen from `folder`.

    `*` and `?` match within one folder, `**` matches across folders, and `folder/` matches all
    files below it. An empty list admits nothing.
    """
    for glob in reversed(globs):
        if sees(glob.removeprefix("!"), path, folder):
            return not glob.startswith("!")
    return False


def admits_link(globs: Sequence[str], path: str, folder: str = "") -> bool:
    """Like `admits`, for a symbolic link, which stands for everything it points to: a glob that
    leads through the link admits it as well, and one that excludes everything behind it excludes
    it. `**` matches a link, but never leads through one."""
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
    """Whether a glob matches something below `path` and names `path` before any `**`."""
    parts = (glob + "**" if glob.endswith("/") else glob).removeprefix(ROOT).split("/")
    fixed = parts.index("**") if "**" in parts else len(parts) - 1
    start = ROOT if glob.startswith(ROOT) else ""
    return any(sees(start + "/".join(parts[:end]), path, folder) for end in range(1, fixed + 1))


def sees(glob: str, path: str, folder: str = "") -> bool:
    """Whether a glob of a spec in `folder` matches a path as seen from there."""
    if glob.startswith(ROOT):
        return matches(glob.removeprefix(ROOT), from_root(path, folder))
    return not path.startswith(ROOT) and matches(glob, path)


def matches(glob: str, path: str) -> bool:
    """Whether a glob matches a path; takes time at most proportional to the product of their
    lengths."""
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
            # Only the last `**` has to match one more folder; earlier ones can stay as they are.
            mark += 1
            here, there = star + 1, mark
        else:
            return False
    return here == len(folders)


_NOTHING: Final = re.compile(r"(?!)")


def _top(glob: str) -> str:
    """The folder whose whole content a glob matches; otherwise the glob itself."""
    return glob.removesuffix("**").removesuffix("/") if glob.endswith(("/", "/**")) else glob


@lru_cache(maxsize=1024)
def _folders(glob: str) -> tuple[re.Pattern[str] | None, ...]:
    """A pattern for each part of the glob; None stands for `**`."""
    parts = (glob + "**" if glob.endswith("/") else glob).split("/")
    return tuple(None if part == "**" else re.compile(translate(part)) for part in parts)
