"""Files and folders stored by digest, on top of `Objects`.

A folder is a stored listing of stored files. So is an executable file, as its digest must cover
the permission. With an object store, the local files are a cache of it: an artifact is uploaded
before its digest is returned, and what is missing here is downloaded.
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
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from controller.artifacts.remote import KINDS, Damaged, Kind, RemoteArtifacts
from controller.blobs.objects import NotStored, Objects, explained, lost
from specs.digests import canonical_json
from specs.failures import NeedsHuman

T = TypeVar("T")

# Distinguishes the digest of a folder from that of a file with the same text.
_HEADING = b"headgate folder\n"
_ITSELF = "."
"""The path of an executable file in its listing."""


class Artifact(BaseModel):
    """A stored file or folder. `size` is in bytes, for a folder the total of its files."""

    model_config = ConfigDict(frozen=True)

    digest: str
    size: int
    kind: Literal["file", "folder"]


class StoredBlobs(NamedTuple):
    """The digests of the files and of the folders' listings that artifacts consist of."""

    files: set[str]
    folders: set[str]


class _Entry(BaseModel):
    path: str
    digest: str
    size: int
    executable: bool


class _Listing(BaseModel):
    files: list[_Entry]
    empty: list[str]
    """Empty folders, which some model formats need."""

    @property
    def program(self) -> str | None:
        """The digest of an executable file's content; None for a folder."""
        return self.files[0].digest if self.files and self.files[0].path == _ITSELF else None


class Artifacts:
    """The artifact store below `folder`; with `remote`, a cache of that. May be used by several
    tasks and processes at the same time.

    Every method may raise `NeedsHuman`: disk full, no permission, a lost artifact. With `remote`
    also `TryAgain` while that is unreachable; what is stored locally stays until it is back.
    """

    def __init__(
        self, folder: Path, remote: RemoteArtifacts | None = None, *, shared: bool = False
    ) -> None:
        """`shared` says that other processes sweep what is remote, and do not see uses here."""
        self._folder = folder
        self._shared = shared
        self._remote = remote
        self._files = Objects(folder / "files")
        self._folders = Objects(folder / "folders")
        # Few threads, as the disk is the limit; its own pool, as the loop's is shared.
        threads = 4 if remote is None else 16
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="artifacts")
        self._under_way: dict[Hashable, asyncio.Future[Any]] = {}

    async def put(self, path: Path) -> Artifact:
        """Store the file or folder at `path`. If it is stored already, this only hashes it.

        Raises `NeedsHuman` for symbolic links, devices and sockets, which have no content.
        """
        return await self._run(lambda: self._put(path), once=("put", path))

    async def storing(self, work: Callable[[Callable[[Path], Artifact]], T]) -> T:
        """Do `work` in one of the store's threads, with a function that is `put` there: for several
        files, which one change of threads is enough for."""
        return await self._run(lambda: work(self._put))

    async def put_bytes(self, content: bytes) -> Artifact:
        """Store a file with this content."""
        return await self._run(lambda: self._put_bytes(content))

    async def link(self, digest: str, destination: Path) -> None:
        """Put it read-only at `destination`, replacing what is there. Raises `NotStored`."""
        await self._run(lambda: self._link(digest, destination), once=(digest, destination))

    async def fetch(self, digest: str) -> None:
        """Make sure that nothing has to be downloaded for `place`. Raises `NotStored`."""
        if self._remote is not None:
            await self._run(lambda: self._require(digest), once=("fetch", digest))

    def place(self, digest: str, destination: Path) -> None:
        """Like `link`, for what was fetched and a thread of the caller's."""
        with explained(self._folder):
            self._place(digest, destination)

    async def read_bytes(self, digest: str) -> bytes:
        """The content of a stored file, verified against its digest. Raises `NotStored`."""
        return await self._run(lambda: self._read(digest))

    async def has(self, digest: str) -> bool:
        """Whether the file or folder is there with all its files. If so, a sweep that has begun
        does not delete it."""
        return await self._run(lambda: self._has(digest), once=("has", digest))

    async def lacking(self, digests: Collection[str]) -> set[str]:
        """Those for which `has` is false."""
        if not digests:
            return set()
        return await self._run(lambda: {each for each in digests if not self._has(each)})

    async def blobs(self, digests: Collection[str]) -> StoredBlobs:
        """What artifacts that are there consist of."""
        return await self._run(lambda: self._blobs(digests))

    async def verify(self, digest: str) -> bool:
        """Whether all of it is there and matches its digests; files that do not are deleted.

        Unlike `has`, this also notices a modification that restored the file's times.
        """

        return await self._run(lambda: self._verify(digest))

    async def sweep(self, keep: Collection[str], before: float, *, only_here: bool = False) -> int:
        """Delete everything that is neither in `keep` nor part of it; the number of bytes freed.
        With `only_here`, what is remote is left to another process.

        Keeps what was stored or asked for since `before` (seconds since the epoch), as a current
        run may be about to record it.
        """
        return await self._run(lambda: self._sweep(set(keep), before, only_here))

    def _has(self, digest: str) -> bool:
        try:
            parts = self._ensure_local(digest)
        except Damaged:
            return False
        if parts is not None and self._shared and self._remote is not None:
            self._renew(digest, parts)
        return parts is not None

    def _renew(self, digest: str, parts: Collection[str]) -> None:
        assert self._remote is not None
        self._remote.renew("files", {one: self._files.path(one) for one in parts})
        if self._folders.is_intact(digest):
            self._remote.renew("folders", {digest: self._folders.path(digest)})

    def _blobs(self, digests: Collection[str]) -> StoredBlobs:
        folders = {each for each in digests if self._folders.is_intact(each)}
        return StoredBlobs({part for each in digests for part in self._parts(each)}, folders)

    def _verify(self, digest: str) -> bool:
        parts = self._parts(digest)
        damaged = [one for one in parts if not self._files.is_whole(one)]
        return not damaged or (self._remote is not None and self._has(digest))

    def _put(self, path: Path) -> Artifact:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            entry = self._file(path, mode, _ITSELF)
            if entry.executable:
                return self._put_listing(_Listing(files=[entry], empty=[]), "file")
            self._keep_remote("files", (entry.digest,))
            return Artifact(digest=entry.digest, size=entry.size, kind="file")
        if not stat.S_ISDIR(mode):
            raise _odd(path, mode)
        return self._put_listing(self._listed(path), "folder")

    def _put_listing(self, listing: _Listing, kind: Literal["file", "folder"]) -> Artifact:
        """Store a listing of files that are stored already."""
        self._keep_remote("files", [entry.digest for entry in listing.files])
        content = _HEADING + canonical_json(listing.model_dump())
        size = sum(entry.size for entry in listing.files)
        digest = self._folders.put_bytes(content).digest
        self._keep_remote("folders", (digest,))
        return Artifact(digest=digest, size=size, kind=kind)

    def _file(self, path: Path, mode: int, name: str) -> _Entry:
        stored = self._files.put_file(path)
        executable = bool(mode & 0o100)
        return _Entry(path=name, digest=stored.digest, size=stored.size, executable=executable)

    def _put_bytes(self, content: bytes) -> Artifact:
        stored = self._files.put_bytes(content)
        self._keep_remote("files", (stored.digest,))
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
        if self._remote is not None:
            self._require(digest)
        self._place(digest, destination)

    def _require(self, digest: str) -> None:
        if self._ensure_local(digest) is None:
            raise lost(digest)

    def _place(self, digest: str, destination: Path) -> None:
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
            if self._remote is None or not self._fetch("files", (digest,)):
                raise
        return self._files.read(digest)

    def _listing(self, digest: str) -> _Listing:
        content = self._folders.read(digest).removeprefix(_HEADING)
        return _Listing.model_validate(json.loads(content))

    def _parts(self, digest: str) -> tuple[str, ...]:
        """The stored files that it consists of: those of a folder, or itself."""
        if not self._folders.is_intact(digest):
            return (digest,)
        return tuple(entry.digest for entry in self._listing(digest).files)

    # -- local and remote --------------------------------------------------------------------------

    def _ensure_local(self, digest: str) -> tuple[str, ...] | None:
        """Make sure that all of it is stored locally, and mark it as used; its files, or None if
        some are neither local nor remote. Raises `Damaged`.
        """
        self._ask((digest,))
        # First the listing: once that is marked as used, a sweep keeps its files.
        is_folder = self._folders.is_intact(digest, touch=True)
        if not is_folder and not self._files.is_intact(digest, touch=True):
            is_folder = self._fetch("folders", (digest,))
        parts = self._parts(digest) if is_folder else (digest,)
        self._ask(parts)
        missing = {one for one in parts if not self._files.is_intact(one, touch=True)}
        return parts if not missing or self._fetch("files", missing) else None

    def _ask(self, digests: Collection[str]) -> None:
        if self._remote is not None:
            self._remote.ask(digests)

    def _fetch(self, kind: Kind, digests: Collection[str]) -> bool:
        there = self._remote
        return there is not None and there.fetch(kind, digests, self._objects(kind))

    def _keep_remote(self, kind: Kind, digests: Collection[str]) -> None:
        if self._remote is not None:
            objects = self._objects(kind)
            self._remote.keep(kind, {digest: objects.path(digest) for digest in digests})

    def _objects(self, kind: Kind) -> Objects:
        return self._files if kind == "files" else self._folders

    def _sweep(self, keep: set[str], before: float, only_here: bool) -> int:
        if self._remote is None or only_here:
            return self._sweep_local(keep, before)
        with self._remote.sweeping() as there:
            for digest, found in there["folders"].items():
                wanted = digest in keep or found.written >= before
                if wanted and not self._folders.is_intact(digest):
                    self._fetch_listing(digest)  # it names the files to keep
            freed = self._sweep_local(keep, before)
            # Stored before there was an object store, or deleted in it from outside.
            for kind in reversed(KINDS):
                objects = self._objects(kind)
                missing = [one for one in objects.all() if one not in there[kind]]
                self._keep_remote(kind, [one for one in missing if objects.is_whole(one)])
            for kind in KINDS:
                objects = self._objects(kind)
                doomed = [
                    digest
                    for digest, found in there[kind].items()
                    if digest not in keep and found.written < before
                ]
                gone = self._remote.discard(kind, doomed, spare=objects.has_any)
                freed += sum(there[kind][digest].size for digest in gone)
        return freed

    def _fetch_listing(self, digest: str) -> None:
        with suppress(Damaged):  # then the folder is lost, and its files are not needed
            self._fetch("folders", (digest,))

    def _sweep_local(self, keep: set[str], before: float) -> int:
        """Sweep the local files; adds the parts of everything in `keep` to `keep`."""
        freed = self._folders.sweep(keep, before)
        for digest in keep.union(self._folders.recent(before)):
            keep.update(self._parts(digest))
        return freed + self._files.sweep(keep, before)

    async def _run(self, call: Callable[[], T], once: Hashable = None) -> T:
        """Call it in a thread. Calls with the same `once` join one that is still going on, as an
        upload may take longer than its first caller waits."""

        def explaining() -> T:
            with explained(self._folder):
                return call()

        if once is None:
            return await asyncio.get_running_loop().run_in_executor(self._threads, explaining)
        going: asyncio.Future[T] | None = self._under_way.get(once)
        if going is None:
            going = asyncio.get_running_loop().run_in_executor(self._threads, explaining)
            self._under_way[once] = going
            going.add_done_callback(lambda done: self._ended(once, done))
        return await asyncio.shield(going)

    def _ended(self, once: Hashable, done: "asyncio.Future[Any]") -> None:
        self._under_way.pop(once, None)
        if not done.cancelled():
            done.exception()  # marks it as retrieved, as perhaps nobody waits any more


def _odd(path: Path, mode: int) -> NeedsHuman:
    what = "a symbolic link" if stat.S_ISLNK(mode) else "a socket, pipe or device"
    return NeedsHuman(f"{path} is {what}, which cannot be stored: write a file or folder instead")


def _raise(error: OSError) -> None:
    raise error
