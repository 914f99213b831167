"""PURE. What the symbolic links of a commit lead to: an edit of that is an edit of the link.

Git's own id of a link is that of its text. Who reads the link reads what it leads to, though: what
is compared, and what keys are made of, has to cover both.
"""

import hashlib
import posixpath
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

LINK = "symlink:"
"""What stands before the id of a link's text; see `parse_tree`."""
LONGEST_TEXT = 4096
"""Bytes of a link's text that Linux follows."""
MOST_HOPS = 40
"""Links that Linux follows for one path."""
MOST_ENTRIES = 1_000_000
"""Entries that all links of a commit lead to, counted once for each place that is led to."""


def texts_wanted(files: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of the links' texts."""
    return tuple({what.removeprefix(LINK): None for what in files.values() if is_link(what)})


def short_enough(output: bytes, most: int) -> tuple[str, ...]:
    """Of what `git cat-file --batch-check` printed, the ids of blobs of at most so many bytes."""
    lines = (line.split(" ") for line in output.decode("ascii").splitlines())
    return tuple(sha for sha, *rest in lines if rest[0] == "blob" and int(rest[1]) <= most)


def parse_texts(output: bytes) -> dict[str, str]:
    """Read what `git cat-file --batch` printed: texts by their ids, written as paths are."""
    found, start = {}, 0
    while start < len(output):
        end = output.index(b"\n", start)
        sha, _, size = output[start:end].decode("ascii").split(" ")
        start = end + 1 + int(size) + 1
        found[sha] = output[end + 1 : start - 1].decode("utf-8", "backslashreplace")
    return found


def is_link(what: str) -> bool:
    """Whether that entry of a tree is a symbolic link."""
    return what.startswith(LINK)


def followed(
    files: Mapping[str, str], texts: Mapping[str, str], most: int = MOST_ENTRIES
) -> dict[str, str]:
    """`files` with a digest of what it leads to after each link's own entry: `symlink:ID:DIGEST`.

    The digest covers a file's entry, or all that is below a folder, and in both what further links
    there lead to. A link that leads nowhere, in a circle or out of the repository is left as it is.
    Links that together lead to more than `most` entries count as leading to every file.
    """
    tree = _Tree(files, texts)
    digests: dict[str, str] = {}
    for path in sorted(tree.ends):
        end = tree.ends[path]
        if end not in digests:
            reached = tree.reached(end) if most > 0 else files.keys()
            most -= len(reached)
            digests[end] = _digest(files, end, reached)
    return {
        path: f"{what}:{digests[tree.ends[path]]}" if path in tree.ends else what
        for path, what in files.items()
    }


class _Tree:
    """The files of a commit, and where its links end."""

    def __init__(self, files: Mapping[str, str], texts: Mapping[str, str]) -> None:
        self._files = files
        self._texts = texts
        self._paths = sorted(files)
        ends = {path: self._end(path) for path, what in files.items() if is_link(what)}
        self.ends = {path: end for path, end in ends.items() if end is not None}
        """A file or a folder (`` for the top) by link; without those that lead to neither."""

    def reached(self, start: str) -> set[str]:
        """All that is read by who reads `start` with all that is below it, links followed."""
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = [path for path in self._below(waiting.pop()) if path not in found]
            found.update(new)
            waiting += {self.ends[path]: None for path in new if path in self.ends}
        return found

    def _end(self, path: str) -> str | None:
        """Where a link ends, as the kernel walks its text: part by part, other links included."""
        at: list[str] = []
        parts = path.split("/")[::-1]
        hops = 0
        while parts:
            part = parts.pop()
            if part == ".." and not at:
                return None
            if part == "..":
                at.pop()
            elif part not in ("", "."):
                here = "/".join([*at, part])
                what = self._files.get(here, "")
                if is_link(what):
                    text = self._texts.get(what.removeprefix(LINK), "")
                    hops += 1
                    if not text or text.startswith("/") or hops > MOST_HOPS:
                        return None
                    parts += text.split("/")[::-1]
                elif (what and parts) or not (what or self._is_folder(here)):
                    return None
                else:
                    at.append(part)
        return "/".join(at)

    def _is_folder(self, path: str) -> bool:
        first = bisect_left(self._paths, f"{path}/")
        return first < len(self._paths) and self._paths[first].startswith(f"{path}/")

    def _below(self, path: str) -> Iterable[str]:
        """A file, or all that is below a folder."""
        if path in self._files:
            return (path,)
        if not path:
            return self._paths
        # "0" comes next after "/".
        first, end = (bisect_left(self._paths, path + after) for after in "/0")
        return self._paths[first:end]


def _digest(files: Mapping[str, str], end: str, reached: Iterable[str]) -> str:
    """By paths as seen from the end, so that a folder that is moved as a whole stays the same."""
    lines = sorted(_lines(files, end, reached))
    return hashlib.sha256("\0".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _lines(files: Mapping[str, str], end: str, reached: Iterable[str]) -> Iterator[str]:
    below = f"{end}/" if end else ""
    for path in reached:
        inside = path.startswith(below)
        seen = path[len(below) :] if inside else posixpath.relpath(f"/{path}", f"/{end}")
        yield f"{seen}\0{files[path]}"
