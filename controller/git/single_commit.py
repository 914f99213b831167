"""A repository with one commit object, without its files and history.

A step works in a copy of the files that it reads. With this, programs that record the current
commit (`git rev-parse HEAD`, `git log -1`, GitPython) work there, but the step cannot read more of
the repository than its cache key covers.
"""

import os
import re
import shutil
import stat
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_PLAIN: Final = re.compile(
    r"(?!.*(\.\.|//|/\.|\.lock(/|$)))[A-Za-z0-9_][A-Za-z0-9._/-]*[A-Za-z0-9_-]"
)
_CONFIG: Final = (
    "[core]\n\trepositoryformatversion = {version}\n\tbare = false\n\tworktree = ../code\n"
)
_SHA256: Final = "[extensions]\n\tobjectformat = sha256\n"


class SingleCommit(NamedTuple):
    """The files of such a repository by their paths; `HEAD`, which makes it one, comes last."""

    files: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, sha: str, commit: bytes, branch: str) -> "SingleCommit":
        """With the commit `sha`, whose raw object is `commit`, as the head of `branch`, or detached
        for an unusual branch name."""
        is_long = len(sha) == 64
        config = _CONFIG.format(version=1 if is_long else 0) + (_SHA256 if is_long else "")
        named = bool(_PLAIN.fullmatch(branch))
        head = f"ref: refs/heads/{branch}" if named else sha
        # Packed, as a file for the branch alone would need folders of its own.
        packed = (("packed-refs", f"{sha} refs/heads/{branch}\n".encode()),) if named else ()
        stored = zlib.compress(b"commit %d\0" % len(commit) + commit)
        return cls(
            (
                (f"objects/{sha[:2]}/{sha[2:]}", stored),
                ("shallow", f"{sha}\n".encode()),  # so that git does not expect its parents
                ("config", config.encode()),
                *packed,
                ("HEAD", f"{head}\n".encode()),
            )
        )

    def write(self, folder: Path) -> None:
        """Create `.git` in `folder`, with the folder `code` beside it as its work tree; unless it
        is there. Raises `OSError`."""
        own = f"{folder}/.git"
        with suppress(FileNotFoundError):
            if os.stat(f"{own}/HEAD").st_size:  # noqa: PTH116 - text, for speed: a step waits
                return
        shutil.rmtree(own, ignore_errors=True)  # the part that an interrupted call made
        for name in self._folders:
            os.mkdir(f"{own}/{name}".rstrip("/"))  # noqa: PTH102 - as above
        for name, content in self.files:
            with open(f"{own}/{name}", "xb", buffering=0) as file:  # noqa: PTH123 - as above
                file.write(content)

    def is_at(self, folder: str, mode: int) -> bool:
        """Whether `.git` in `folder` is just as `write` makes it, where new folders have these
        permissions. Raises `OSError` for what cannot be read."""
        own = f"{folder}/.git"
        there: set[str] = set()
        for name in self._folders:
            about = os.lstat(f"{own}/{name}".rstrip("/"))
            if not stat.S_ISDIR(about.st_mode) or stat.S_IMODE(about.st_mode) != mode:
                return False
            inside = f"{name}/" if name else ""
            there |= {f"{inside}{each}" for each in os.listdir(f"{own}/{name}")}  # noqa: PTH208 - text, for speed
        if there != {*self._folders[1:], *(name for name, _ in self.files)}:
            return False
        return all(_has(f"{own}/{name}", content, mode & 0o666) for name, content in self.files)

    @property
    def _folders(self) -> tuple[str, ...]:
        """In it, the topmost first."""
        return ("", "objects", self.files[0][0].rpartition("/")[0], "refs")


def _has(path: str, content: bytes, mode: int) -> bool:
    """Whether it is a file with that content and these permissions, and with no other name."""
    about = os.lstat(path)
    if not stat.S_ISREG(about.st_mode) or about.st_size != len(content):
        return False
    if about.st_nlink != 1 or stat.S_IMODE(about.st_mode) != mode:
        return False
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - text, for speed
        return file.read() == content
