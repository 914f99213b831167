"""A repository with one commit object, without its files and history.

A step works in a copy of the files that it reads. With this, programs that record the current
commit (`git rev-parse HEAD`, `git log -1`, GitPython) work there, but the step cannot read more of
the repository than its cache key covers.
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
    """Create `.git` in `folder`, with the folder `code` beside it as its work tree, atomically.

    It has the commit `sha`, whose raw object is `commit`, as the head of `branch`, or detached for
    an unusual branch name. Raises `OSError`.
    """
    own = folder / ".git.new"
    shutil.rmtree(own, ignore_errors=True)
    place = own / "objects" / sha[:2]
    place.mkdir(parents=True)
    stored = zlib.compress(b"commit %d\0" % len(commit) + commit)
    (place / sha[2:]).write_bytes(stored)
    (own / "shallow").write_text(f"{sha}\n")  # so that git does not expect its parents
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
