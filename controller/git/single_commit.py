"""A repository that holds one commit, and nothing of its files or history.

A step works in a copy of the files that it reads. Programs that note by which commit they were run
(`git rev-parse HEAD`, `git log -1`, GitPython) find it there; more of the repository than a step's
cache key covers they do not.
"""

import re
import shutil
import zlib
from pathlib import Path
from typing import Final

_PLAIN: Final = re.compile(
    r"(?!.*(\.\.|//|/\.|\.lock(/|$)))[A-Za-z0-9_][A-Za-z0-9._/-]*[A-Za-z0-9_-]"
)
_CONFIG: Final = (
    "[core]\n\trepositoryformatversion = {version}\n\tbare = false\n\tworktree = ../code\n"
)
_SHA256: Final = "[extensions]\n\tobjectformat = sha256\n"


def write_single_commit(folder: Path, sha: str, commit: bytes, branch: str) -> None:
    """Make `.git` in `folder`, whose work tree is the folder `code` beside it. It holds the commit
    `sha`, whose raw object is `commit`: as the head of `branch`, or detached for a name that no
    branch plainly has. Complete or not there. Raises `OSError`."""
    own = folder / ".git.new"
    shutil.rmtree(own, ignore_errors=True)
    place = own / "objects" / sha[:2]
    place.mkdir(parents=True)
    stored = zlib.compress(b"commit %d\0" % len(commit) + commit)
    (place / sha[2:]).write_bytes(stored)
    (own / "shallow").write_text(f"{sha}\n")  # its parents are not there, and not missed
    is_long = len(sha) == 64
    config = _CONFIG.format(version=1 if is_long else 0) + (_SHA256 if is_long else "")
    (own / "config").write_text(config)
    (own / "refs" / "heads").mkdir(parents=True)
    head = sha
    if _PLAIN.fullmatch(branch):
        head = f"ref: refs/heads/{branch}"
        (own / "refs" / "heads" / branch).parent.mkdir(parents=True, exist_ok=True)
        (own / "refs" / "heads" / branch).write_text(f"{sha}\n")
    (own / "HEAD").write_text(f"{head}\n")
    own.rename(folder / ".git")
