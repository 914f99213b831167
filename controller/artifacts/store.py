"""Files and folders by digest, over `Objects`; a folder is a stored list of stored files, and so is
a program: its digest covers that it may be executed.

With an object store, those are a cache in front of it: what is put is there before anybody is told
its digest, and what is missing here is brought from there.
"""

import asyncio
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from controller.artifacts.elsewhere import KINDS, Damaged, Elsewhere, Kind
from controller.blobs.objects import NotStored, Objects, explained, lost
from specs.digests import canonical_json
from specs.failures import NeedsHuman

T = TypeVar("T")

# Keeps the digest of a folder apart from that of a file with the same text.
_HEADING = b"headgate folder\n"
_ITSELF = "."
"""The path of the one file in the list that is a program."""


class Artifact(BaseModel):
    """Something stored. `size` is in bytes; a folder's is that of all its files."""

    model_config = ConfigDict(frozen=True)

    digest: str
    size: int
    kind: Literal["file", "folder"]


class _Entry(BaseModel):
    path: str
    digest: str
    size: int
    executable: bool


class _Listing(BaseModel):
    files: list[_Entry]
    empty: list[str]
    """Folders that hold nothing: a model's format may want them."""

    @property
    def program(self) -> str | None:
        """The digest of the program's content; None for a folder."""
        return self.files[0].digest if self.files and self.files[0].path == _ITSELF else None


class Artifacts:
    """The store below `folder`, which with `elsewhere` is a cache in front of that. May be used by
    several tasks and processes at once.

    Every method may raise NeedsHuman: no space left, no permission, an artifact that is lost. With
    `elsewhere` also TryAgain, while that is away: what was put stays here until it is back.
    """

    def __init__(self, folder: Path, elsewhere: Elsewhere | None = None) -> None:
        self._folder = folder
        self._elsewhere = elsewhere
        self._files = Objects(folder / "files")
        self._folders = Objects(folder / "folders")
        # Few threads: the disk is the limit, and the loop's default pool serves others too.
        threads = 4 if elsewhere is None else 16
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="artifacts")
        self._under_way: dict[Hashable, asyncio.Future[Any]] = {}

    async def put(self, path: Path) -> Artifact:
        """Store the file or folder at `path`; storing what is there already costs the hashing.

        Raises NeedsHuman for symbolic links, devices and sockets: they have no content.
        """
        return await self._run(lambda: self._put(path), once=("put", path))

    async def put_bytes(self, content: bytes) -> Artifact:
        """Store a file with this content."""
        return await self._run(lambda: self._put_bytes(content))

    async def link(self, digest: str, destination: Path) -> None:
        """Put it read-only at `destination`, in place of what was there. Raises `NotStored`."""
        await self._run(lambda: self._link(digest, destination), once=(digest, destination))

    async def read_bytes(self, digest: str) -> bytes:
        """The content of a stored file, hashed as it is read. Raises `NotStored`."""
        return await self._run(lambda: self._read(digest))

    async def has(self, digest: str) -> bool:
        """Whether the file or folder is there, with all its files; then no sweep that has begun
        takes it any more."""
        return await self._run(lambda: self._has(digest), once=("has", digest))

    async def verify(self, digest: str) -> bool:
        """Whether all of it is there and hashes to its name; what does not is dropped.

        `has` notices writes, this also those that hid their traces.
        """

        return await self._run(lambda: self._verify(digest))

    async def sweep(self, keep: Collection[str], before: float) -> int:
        """Delete all that is neither in `keep` nor part of it; the bytes that were freed.

        Leaves what was stored or asked for since `before` (seconds since the epoch): a run that
        is under way may be about to name it.
        """
        return await self._run(lambda: self._sweep(set(keep), before))

    def _has(self, digest: str) -> bool:
        try:
            parts = self._ask_for(digest)
        except Damaged:
            return False
        return parts is not None

    def _verify(self, digest: str) -> bool:
        parts = self._parts(digest)
        damaged = [one for one in parts if not self._files.is_whole(one)]
        return not damaged or (self._elsewhere is not None and self._has(digest))

    def _put(self, path: Path) -> Artifact:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            entry = self._file(path, mode, _ITSELF)
            if entry.executable:
                return self._put_listing(_Listing(files=[entry], empty=[]), "file")
            self._keep_elsewhere("files", (entry.digest,))
            return Artifact(digest=entry.digest, size=entry.size, kind="file")
        if not stat.S_ISDIR(mode):
            raise _odd(path, mode)
        return self._put_listing(self._listed(path), "folder")

    def _put_listing(self, listing: _Listing, kind: Literal["file", "folder"]) -> Artifact:
        """Store the list of files that are stored already."""
        self._keep_elsewhere("files", [entry.digest for entry in listing.files])
        content = _HEADING + canonical_json(listing.model_dump())
        size = sum(entry.size for entry in listing.files)
        digest = self._folders.put_bytes(content).digest
        self._keep_elsewhere("folders", (digest,))
        return Artifact(digest=digest, size=size, kind=kind)

    def _file(self, path: Path, mode: int, name: str) -> _Entry:
        stored = self._files.put_file(path)
        executable = bool(mode & 0o100)
        return _Entry(path=name, digest=stored.digest, size=stored.size, executable=executable)

    def _put_bytes(self, content: bytes) -> Artifact:
        stored = self._files.put_bytes(content)
        self._keep_elsewhere("files", (stored.digest,))
        return Artifact(digest=stored.digest, size=stored.size, kind="file")

    def _listed(self, folder: Path) -> _Listing:
        """Store every file below `folder`."""
        files, empty = [], []
        for parent, folders, names in os.walk(folder, onerror=_raise):
            inside = Path(parent).relative_to(folder)
            if not folders and not names and inside.parts:
                empty.append(inside.as_posix())
            for name in (*names, *folders):
                path = Path(parent, name)
                mode = path.lstat().st_mode
                if stat.S_ISDIR(mode):
                    continue
                if not stat.S_ISREG(mode):
                    raise _odd(path, mode)
                files.append(self._file(path, mode, (inside / name).as_posix()))
        return _Listing(files=sorted(files, key=lambda entry: entry.path), empty=sorted(empty))

    def _link(self, digest: str, destination: Path) -> None:
        if self._elsewhere is not None and self._ask_for(digest) is None:
            raise lost(digest)
        destination.parent.mkdir(parents=True, exist_ok=True)
        listing = self._listing(digest) if self._folders.is_intact(digest) else None
        file = digest if listing is None else listing.program
        if file is not None and not destination.is_dir():
            self._files.link(file, destination, executable=listing is not None)
            return
        beside = Path(tempfile.mkdtemp(prefix=".link-", dir=destination.parent))
        try:
            if file is not None:
                self._files.link(file, beside / "new", executable=listing is not None)
            elif listing is not None:
                self._fill(listing, beside / "new")
            if destination.exists():
                destination.rename(beside / "old")
            (beside / "new").replace(destination)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _fill(self, listing: _Listing, folder: Path) -> None:
        parents = {Path(entry.path).parent for entry in listing.files}
        for inside in (Path(), *parents, *map(Path, listing.empty)):
            (folder / inside).mkdir(parents=True, exist_ok=True)
        for entry in listing.files:
            self._files.link(entry.digest, folder / entry.path, executable=entry.executable)

    def _read(self, digest: str) -> bytes:
        if self._folders.is_intact(digest):
            digest = self._listing(digest).program or digest
        try:
            return self._files.read(digest)
        except NotStored:
            if self._elsewhere is None or not self._fetch("files", (digest,)):
                raise
        return self._files.read(digest)

    def _listing(self, digest: str) -> _Listing:
        content = self._folders.read(digest).removeprefix(_HEADING)
        return _Listing.model_validate(json.loads(content))

    def _parts(self, digest: str) -> tuple[str, ...]:
        """The stored files that make it up: those of a folder, or itself."""
        if not self._folders.is_intact(digest):
            return (digest,)
        return tuple(entry.digest for entry in self._listing(digest).files)

    # -- what is here, and what is elsewhere -------------------------------------------------------

    def _ask_for(self, digest: str) -> tuple[str, ...] | None:
        """See to it that all of it is here, in use; its files, or None if some are nowhere.

        Raises `Damaged`.
        """
        self._ask((digest,))
        # The listing first: once it is renewed, its files count as wanted by the next sweep.
        is_folder = self._folders.is_intact(digest, touch=True)
        if not is_folder and not self._files.is_intact(digest, touch=True):
            is_folder = self._fetch("folders", (digest,))
        parts = self._parts(digest) if is_folder else (digest,)
        self._ask(parts)
        missing = {one for one in parts if not self._files.is_intact(one, touch=True)}
        return parts if not missing or self._fetch("files", missing) else None

    def _ask(self, digests: Collection[str]) -> None:
        if self._elsewhere is not None:
            self._elsewhere.ask(digests)

    def _fetch(self, kind: Kind, digests: Collection[str]) -> bool:
        there = self._elsewhere
        return there is not None and there.fetch(kind, digests, self._objects(kind))

    def _keep_elsewhere(self, kind: Kind, digests: Collection[str]) -> None:
        if self._elsewhere is not None:
            objects = self._objects(kind)
            self._elsewhere.keep(kind, {digest: objects.path(digest) for digest in digests})

    def _objects(self, kind: Kind) -> Objects:
        return self._files if kind == "files" else self._folders

    def _sweep(self, keep: set[str], before: float) -> int:
        if self._elsewhere is None:
            return self._sweep_here(keep, before)
        with self._elsewhere.sweeping() as there:
            for digest, found in there["folders"].items():
                wanted = digest in keep or found.written >= before
                if wanted and not self._folders.is_intact(digest):
                    self._fetch_listing(digest)  # or nobody would know which files are its
            freed = self._sweep_here(keep, before)
            # Put here before there was a store, or deleted there by somebody else.
            for kind in reversed(KINDS):
                objects = self._objects(kind)
                missing = [one for one in objects.all() if one not in there[kind]]
                self._keep_elsewhere(kind, [one for one in missing if objects.is_whole(one)])
            for kind in KINDS:
                objects = self._objects(kind)
                doomed = [
                    digest
                    for digest, found in there[kind].items()
                    if digest not in keep and found.written < before
                ]
                gone = self._elsewhere.discard(kind, doomed, spare=objects.has_any)
                freed += sum(there[kind][digest].size for digest in gone)
        return freed

    def _fetch_listing(self, digest: str) -> None:
        with suppress(Damaged):  # of a folder that is lost, no file is anybody's
            self._fetch("folders", (digest,))

    def _sweep_here(self, keep: set[str], before: float) -> int:
        """Sweep the disk; adds to `keep` what is kept with what is in it."""
        freed = self._folders.sweep(keep, before)
        for digest in keep.union(self._folders.recent(before)):
            keep.update(self._parts(digest))
        return freed + self._files.sweep(keep, before)

    async def _run(self, call: Callable[[], T], once: Hashable = None) -> T:
        """Call it in a thread. Whoever asks for the same `once` again, as long as it takes, waits
        for the first: an upload may outlast the patience of whoever began it."""

        def explaining() -> T:
            with explained(self._folder):
                return call()

        going: asyncio.Future[T] | None = self._under_way.get(once) if once else None
        if going is None:
            going = asyncio.get_running_loop().run_in_executor(self._threads, explaining)
            if once:
                self._under_way[once] = going
                going.add_done_callback(lambda done: self._ended(once, done))
        return await asyncio.shield(going)

    def _ended(self, once: Hashable, done: "asyncio.Future[Any]") -> None:
        self._under_way.pop(once, None)
        if not done.cancelled():
            done.exception()  # perhaps nobody waits for it any more


def _odd(path: Path, mode: int) -> NeedsHuman:
    what = "a symbolic link" if stat.S_ISLNK(mode) else "a socket, pipe or device"
    return NeedsHuman(f"{path} is {what}, which cannot be stored: write a file or folder instead")


def _raise(error: OSError) -> None:
    raise error
