"""What Git LFS keeps of a commit, fetched from the remote's own store and kept by its digest.

Which server that is, the remote's address says, or the controller's own git configuration
(GIT_CONFIG_GLOBAL). A `.lfsconfig` in the repository could name another, and a pull request's could
name any: git-lfs reads it from a work tree, the index or HEAD, and is run where there is none.
"""

import asyncio
import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from controller.blobs.shelf import discard_all, use
from controller.git.command import Remote, git
from controller.git.pointers import Pointer
from specs.failures import NeedsHuman, TryAgain

TIMEOUT = 3600.0
"""Seconds in which the objects of a commit have to be there; what came is kept for the next try."""

_NOT_THERE = re.compile(r"missing object|\[404\]|does not exist", re.IGNORECASE)


def is_installed() -> bool:
    """Whether git-lfs is on PATH."""
    return shutil.which("git-lfs") is not None


async def fetch(
    remote: Remote,
    own: Path,
    objects: Path,
    store: Path,
    commit: str,
    wanted: Mapping[str, Pointer],
) -> dict[str, Path]:
    """The files in `store` that hold what the pointers stand for, by their paths in the commit.

    `own` is a bare repository without a HEAD, `objects` where the commit's objects are. Raises
    NeedsHuman for what the remote does not have, and what `git` raises.
    """
    places = {path: _place(store, pointer) for path, pointer in wanted.items()}
    lacking = await asyncio.to_thread(_lacking, places, wanted)
    if not lacking:
        return places
    quoted = str(store).replace("\\", "\\\\").replace('"', '\\"')
    (own / "config").write_text(
        f'[core]\n\trepositoryformatversion = 0\n\tbare = true\n[lfs]\n\tstorage = "{quoted}"\n'
    )
    # Not by --git-dir: git-lfs hands its variable on to what reads a remote on this machine.
    extra = {"GIT_OBJECT_DIRECTORY": str(objects)}
    try:
        await git(remote, ("lfs", "fetch", "origin", commit), extra=extra, cwd=own, limit=TIMEOUT)
    except TryAgain as failure:
        if not _NOT_THERE.search(str(failure)):
            raise
    await asyncio.to_thread(_part, [places[path] for path in lacking])
    for path in await asyncio.to_thread(_lacking, places, wanted):
        raise NeedsHuman(
            f"{path} in commit {commit[:10]} is a Git LFS pointer to {wanted[path].size:,} bytes "
            f"that {remote.shown} does not have: `git lfs push --all origin` from a clone that has "
            "them"
        )
    return places


def _lacking(places: Mapping[str, Path], wanted: Mapping[str, Pointer]) -> list[str]:
    """The paths of what is not there. What is there and is not what its name says goes: a link to
    it lies where steps may be told to write."""
    found = []
    for path, place in places.items():
        if use(place):
            with place.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == wanted[path].oid:
                    continue
            place.unlink()
        found.append(path)
    return found


def _part(places: Iterable[Path]) -> None:
    """From a remote on this machine git-lfs fetches by hard links, and here modes are changed."""
    for place in places:
        if place.exists() and place.stat().st_nlink > 1:
            scratch = place.with_name(f".{place.name}")
            shutil.copyfile(place, scratch)
            scratch.replace(place)


def put(stored: Path, target: Path) -> None:
    """Put what a pointer stands for in its place: as a link, unless it is a program."""
    is_program = bool(target.stat().st_mode & 0o100)
    target.unlink()
    if not is_program:
        with suppress(OSError):  # another file system
            target.hardlink_to(stored)
            return
    shutil.copyfile(stored, target)
    if is_program:
        target.chmod(0o700)


def sweep(store: Path, before: float) -> int:
    """Delete what was not used since `before`; how many objects went."""
    return sum(discard_all(folder, before) for folder in store.glob("objects/??/??"))


def _place(store: Path, pointer: Pointer) -> Path:
    return store / "objects" / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid
