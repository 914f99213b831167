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
    folder = path[: path.rfind("/") + 1]
    names = names_in(folder, glob)
    return names is not None and names.match(path, len(folder)) is not None


@lru_cache(maxsize=4096)
def names_in(folder: str, glob: str) -> re.Pattern[str] | None:
    """A pattern for the names of the files directly in a folder that a glob matches; None if there
    can be none. The folder is empty or ends with a slash."""
    parts = _parts(glob)
    last = len(parts) - 1
    reached = {0}
    for name in folder.split("/")[:-1]:
        reached = _enter(parts, reached, name)
    before = _through(parts, reached)
    if last not in before:
        return None
    return parts[last] or _ANYTHING


def _enter(parts: "_Parts", reached: set[int], name: str) -> set[int]:
    """The positions in a glob after one more folder, from those before it."""
    after: set[int] = set()
    for at in _through(parts, reached):
        part = parts[at] if at < len(parts) else _NOTHING
        if part is None:
            after |= {at, at + 1}
        elif part.match(name):
            after.add(at + 1)
    return after


def _through(parts: "_Parts", reached: set[int]) -> set[int]:
    """These positions, and those after any `**` there, which may match no folder at all."""
    found = set(reached)
    for at in reached:
        here = at
        while here < len(parts) and parts[here] is None:
            here += 1
            found.add(here)
    return found


_Parts = tuple[re.Pattern[str] | None, ...]
_NOTHING: Final = re.compile(r"(?!)")
_ANYTHING: Final = re.compile(r"")


def _top(glob: str) -> str:
    """The folder whose whole content a glob matches; otherwise the glob itself."""
    return glob.removesuffix("**").removesuffix("/") if glob.endswith(("/", "/**")) else glob


@lru_cache(maxsize=1024)
def _parts(glob: str) -> _Parts:
    """A pattern for each part of the glob; None stands for `**`."""
    parts = (glob + "**" if glob.endswith("/") else glob).split("/")
    return tuple(None if part == "**" else re.compile(translate(part)) for part in parts)
