"""A copy of the spec's folder for one reader: what it writes there, nobody else will ever read.

Permissions alone do not keep a shared checkout as it was committed: its owner and root may write
whatever they say.
"""

import os
import shutil
from pathlib import Path
from secrets import token_hex

from controller.artifacts.objects import COPY_UP_TO


def own_copy(checkout: Path, folder: str, target: Path) -> Path:
    """Lay out the commit at `target` once, and return where the spec's folder is there.

    The spec's folder is copied; what lies beside it on the way up is linked to the checkout. Files
    above `COPY_UP_TO` bytes are hard links and stay read-only, so a copy stays cheap. Raises
    `OSError`.
    """
    inside = target / folder
    if target.exists():
        return inside
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".code-{token_hex(8)}")
    try:
        source, copy = checkout, scratch
        for part in Path(folder).parts:
            copy.mkdir()
            for entry in os.scandir(source):
                if entry.name != part:
                    (copy / entry.name).symlink_to(entry.path)
            source, copy = source / part, copy / part
        _copy(str(source), str(copy))
        try:
            scratch.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return inside


def _copy(source: str, target: str) -> None:
    os.mkdir(target)  # noqa: PTH102 - text all the way: this is on the way of every step
    with os.scandir(source) as entries:
        for entry in entries:
            to = f"{target}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), to)  # noqa: PTH211, PTH115 - as above
            elif entry.is_dir():
                _copy(entry.path, to)
            else:
                _copy_file(entry, to)


def _copy_file(entry: "os.DirEntry[str]", target: str) -> None:
    about = entry.stat()
    if about.st_size > COPY_UP_TO:
        try:
            os.link(entry.path, target)
        except OSError:  # another file system
            shutil.copyfile(entry.path, target)
        return
    shutil.copyfile(entry.path, target)
    if about.st_mode & 0o100:
        os.chmod(target, 0o755)  # noqa: PTH101, S103 - as above; a program stays one
