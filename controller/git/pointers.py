"""PURE. What a commit refers to but does not contain: Git LFS objects and submodules.

To git, a file in Git LFS is a pointer: a small text with the digest and size of its content. Its
entry in a tree is marked, so that comparisons and cache keys distinguish it from an ordinary file
with the same text.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

POINTER = "lfs:"
"""The prefix of a pointer's entry: `lfs:SIZE:OID:`, before the entry from `parse_tree`."""
SUBMODULE = "submodule:"

MAX_POINTER = 1024
"""The longest text that Git LFS accepts as a pointer, in bytes."""
MAX_ATTRIBUTES = 2**20
"""The largest `.gitattributes` that is read, in bytes."""

_POINTER = re.compile(
    r"version https://git-lfs\.github\.com/spec/v1\n"
    r"oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n?",
    re.ASCII,
)


class Pointer(NamedTuple):
    """The object that a pointer refers to."""

    oid: str
    """The SHA-256 of its content."""
    size: int


def attributes_wanted(files: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of the `.gitattributes` files, which say which paths are in Git LFS."""
    found = (what for path, what in files.items() if path.rpartition("/")[2] == ".gitattributes")
    return tuple(dict.fromkeys(what for what in found if ":" not in what))


def uses_lfs(attributes: Iterable[str]) -> bool:
    """Whether one of these texts puts files into Git LFS."""
    return any("filter=lfs" in text for text in attributes)


def blobs_wanted(files: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of all files that may be pointers, if they are short enough."""
    plain = (what.removeprefix("exec:") for what in files.values())
    return tuple(dict.fromkeys(sha for sha in plain if ":" not in sha))


def mark_pointers(files: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """`files` with pointers marked; `texts` are contents by their ids."""
    found = dict(files)
    for path, what in files.items():
        match = _POINTER.fullmatch(texts.get(what.removeprefix("exec:"), ""))
        if match:
            found[path] = f"{POINTER}{match[2]}:{match[1]}:{what}"
    return found


def pointers(files: Mapping[str, str]) -> dict[str, Pointer]:
    """The pointers among the entries of a tree, by path."""
    found = {}
    for path, what in files.items():
        if what.startswith(POINTER):
            size, oid = what.split(":")[1:3]
            found[path] = Pointer(oid, int(size))
    return found


def explain_absent(files: Mapping[str, str], lfs: bool) -> dict[str, str]:
    """The paths whose content is not available, each with the reason and the fix. `lfs`: whether
    git-lfs is installed. A submodule's path ends with `/`."""
    found = {}
    for path, what in files.items():
        if what.startswith(SUBMODULE):
            found[f"{path}/"] = (
                f"a submodule at {what.removeprefix(SUBMODULE)[:12]}, which is not fetched: commit "
                "the files that are needed, or install them as a package"
            )
    for path, pointer in pointers(files).items():
        if not lfs:
            found[path] = (
                f"a Git LFS pointer to {pointer.size:,} bytes, and git-lfs is not installed here: "
                "install git-lfs, and restart the controller"
            )
    return found
