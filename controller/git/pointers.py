"""PURE. What a commit names and does not hold: files that Git LFS keeps elsewhere, and submodules.

A file of Git LFS is, for git, a small text with the digest and the size of what it stands for. Its
entry in a tree is marked, so that what is compared and what keys are made of tells it from a file
that merely says the same.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

POINTER = "lfs:"
"""What stands before a pointer's entry: `lfs:SIZE:OID:` and what `parse_tree` says of it."""
SUBMODULE = "submodule:"

LONGEST_POINTER = 1024
"""Bytes; Git LFS takes nothing longer for a pointer."""
LONGEST_ATTRIBUTES = 2**20
"""Bytes of a `.gitattributes` that is looked into."""

_POINTER = re.compile(
    r"version https://git-lfs\.github\.com/spec/v1\n"
    r"oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n?",
    re.ASCII,
)


class Pointer(NamedTuple):
    """What a pointer stands for."""

    oid: str
    """SHA-256 of its bytes."""
    size: int


def attributes_wanted(files: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of the files that say which paths are kept by Git LFS."""
    found = (what for path, what in files.items() if path.rpartition("/")[2] == ".gitattributes")
    return tuple(dict.fromkeys(what for what in found if ":" not in what))


def uses_lfs(attributes: Iterable[str]) -> bool:
    """Whether one of these texts hands files to Git LFS."""
    return any("filter=lfs" in text for text in attributes)


def blobs_wanted(files: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of all that may be a pointer, if it is short enough."""
    plain = (what.removeprefix("exec:") for what in files.values())
    return tuple(dict.fromkeys(sha for sha in plain if ":" not in sha))


def marked(files: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """`files` with the pointers among them marked; `texts` are contents by their ids."""
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


def absent(files: Mapping[str, str], lfs: bool) -> dict[str, str]:
    """What a reader will not find as it is meant, by path, and why with the mend; `lfs`: whether
    Git LFS is there to fetch what it keeps. A submodule's path ends with `/`."""
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
                f"a Git LFS pointer to {pointer.size:,} bytes, and git-lfs is not here to fetch "
                "them: install git-lfs, and start a controller again"
            )
    return found
