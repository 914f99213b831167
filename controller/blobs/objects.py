"""Files stored by the digest of their content: `ab/cdef...`, written elsewhere and renamed.

The stamp: a stored file's modification time is set to a fixed time plus its size in nanoseconds.
Any write to the file, or a power cut that loses its content, breaks the stamp, which a `stat`
shows. Then the content is hashed, and deleted if it does not match its digest.

`link` hands out a clone if the file system supports it (FICLONE), otherwise a copy up to COPY_UP_TO
bytes, and above that a read-only hard link. Root can write through a hard link; the stamp shows it.
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, NamedTuple

from controller.blobs.last_use import discard, discard_all, mode, move_into_place, use
from specs.failures import NeedsHuman

COPY_UP_TO = 2**20
"""Size in bytes up to which a copy is about as cheap as a link, and safer."""

_CHUNK = 2**20
_STAMP = 946_684_800_000_000_000  # 2000-01-01 in nanoseconds
_FICLONE = 0x40049409  # ioctl_ficlone(2)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NotStored(NeedsHuman):
    """The requested artifact is not in the store, or not any more."""


class StoredBlob(NamedTuple):
    """A stored file; `size` in bytes."""

    digest: str
    size: int


class Objects:
    """The files below `folder`. Blocking; may be used by several threads and processes.

    Raises `OSError` as the operating system does; `explained` turns that into a message for users.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scratch = folder / "scratch"

    def put_bytes(self, content: bytes) -> StoredBlob:
        """Store `content`."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if self.is_intact(digest, touch=True):
            return StoredBlob(digest, len(content))
        return self._write((content,))

    def put_file(self, path: Path) -> StoredBlob:
        """Store the content of a file. Exactly what was hashed is stored, even if the file is
        written to at the same time.

        Raises `OSError` (ELOOP) for a symbolic link.
        """
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb", buffering=0) as source:
            return self.put_open(source)

    def put_open(self, source: BinaryIO) -> StoredBlob:
        """Like `put_file`, for an open file, from its current position."""
        if os.fstat(source.fileno()).st_size <= COPY_UP_TO:
            return self.put_bytes(source.read())
        return self._write(iter(lambda: source.read(_CHUNK), b""))

    def put_chunks(self, chunks: Iterable[bytes]) -> StoredBlob:
        """Store the chunks as one file, once the last has come. Raises what iterating raises."""
        return self._write(chunks)

    def read(self, digest: str) -> bytes:
        """The content, verified against its digest. Raises `NotStored`."""
        path = self._place(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise lost(digest) from None
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            path.unlink(missing_ok=True)
            raise lost(digest)
        return content

    def link(self, digest: str, destination: Path, *, executable: bool = False) -> None:
        """Replace the file at `destination` by a clone, copy or link. Raises `NotStored`."""
        if not self.is_intact(digest):
            raise lost(digest)
        handle, temporary = _make_temporary(f"{destination.parent}/.link-")
        try:
            with os.fdopen(handle, "wb", buffering=0) as file:
                copied = self._copied(digest, file, always=executable)
                os.fchmod(handle, mode(0o555 if executable else 0o444))
            if not copied:
                _hard_link(self._place(digest), Path(temporary))
            os.replace(temporary, destination)  # noqa: PTH105 - text, for speed: a step waits
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def is_intact(self, digest: str, *, touch: bool = False) -> bool:
        """Whether it is there unmodified, according to its stamp or else its content. `touch` marks
        it as used, which keeps `sweep` from deleting it.
        """
        path = self._place(digest)
        try:
            about = path.stat()
            if about.st_mtime_ns != _STAMP + about.st_size and not self.is_whole(digest):
                return False
        except FileNotFoundError:
            return False
        return not touch or use(path)

    def is_whole(self, digest: str) -> bool:
        """Whether it is there and matches its digest. If it does not match, it is deleted."""
        path = self._place(digest)
        try:
            with path.open("rb", buffering=0) as file:
                whole = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest() == digest
                if whole:
                    os.utime(path, ns=(_STAMP, _STAMP + os.fstat(file.fileno()).st_size))
                    return True
        except FileNotFoundError:
            return False
        path.unlink(missing_ok=True)
        return False

    def path(self, digest: str) -> Path:
        """Its path, whether it is there or not; for reading only."""
        return self._place(digest)

    def has_any(self, digest: str) -> bool:
        """Whether there is a file for this digest, damaged or not."""
        return self._place(digest).exists()

    def all(self) -> Iterator[str]:
        """The digests of all stored files."""
        return (digest for digest, _ in self._all())

    def recent(self, since: float) -> tuple[str, ...]:
        """The digests of files stored or used since then (seconds since the epoch)."""
        found = []
        for digest, path in self._all():
            with suppress(FileNotFoundError):
                if path.stat().st_ctime >= since:
                    found.append(digest)
        return tuple(found)

    def sweep(self, keep: Collection[str], before: float) -> int:
        """Delete files that are not in `keep` and were last used before then; the bytes freed."""
        freed = 0
        for digest, path in self._all():
            with suppress(FileNotFoundError):
                size = path.stat().st_size
                if digest not in keep and discard(path, before):
                    freed += size
        discard_all(self._scratch, before)
        return freed

    def _write(self, chunks: Iterable[bytes]) -> StoredBlob:
        hashed, size = hashlib.sha256(), 0
        handle, temporary = self._temporary()
        try:
            with os.fdopen(handle, "wb", buffering=0) as file:
                for chunk in chunks:
                    hashed.update(chunk)
                    size += len(chunk)
                    _write_all(file, chunk)
                os.fchmod(handle, mode(0o444))
                os.utime(handle, ns=(_STAMP, _STAMP + size))
                os.fsync(handle)
            digest = "sha256:" + hashed.hexdigest()
            _move(Path(temporary), self._place(digest))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return StoredBlob(digest, size)

    def _copied(self, digest: str, file: BinaryIO, *, always: bool) -> bool:
        with self._place(digest).open("rb", buffering=0) as stored:
            with suppress(OSError):
                fcntl.ioctl(file.fileno(), _FICLONE, stored.fileno())
                return True
            if always or os.fstat(stored.fileno()).st_size <= COPY_UP_TO:
                shutil.copyfileobj(stored, file, _CHUNK)
                return True
        return False

    def _place(self, digest: str) -> Path:
        kind, _, name = digest.partition(":")
        if kind != "sha256" or len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise ValueError(f"expected a digest such as sha256:..., found {digest[:80]!r}")
        return self._folder / name[:2] / name[2:]

    def _all(self) -> Iterator[tuple[str, Path]]:
        for path in self._folder.glob("??/*"):
            yield f"sha256:{path.parent.name}{path.name}", path

    def _temporary(self) -> tuple[int, str]:
        try:
            return _make_temporary(f"{self._scratch}/")
        except FileNotFoundError:
            self._scratch.mkdir(parents=True, exist_ok=True)
            return _make_temporary(f"{self._scratch}/")


def lost(digest: str) -> NotStored:
    """The error for a missing artifact."""
    return NotStored(
        f"artifact {digest[:19]} is not in the store, or was damaged and deleted: `retry` the run "
        "that made it"
    )


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn errors of the operating system into `NeedsHuman` with the fix."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NeedsHuman(
                f"no space left below {folder} ({error.strerror}): free some space or raise the "
                "quota, then `retry`"
            ) from None
        raise NeedsHuman(
            f"{error.filename or folder}: {error.strerror}: make sure that it exists and that "
            "Headgate may read it (and write, in its own folders), then `retry`"
        ) from None


def _make_temporary(prefix: str) -> tuple[int, str]:
    """A new file that only its owner may access, open for writing, and its path."""
    path = f"{prefix}{token_hex(8)}"
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path


def _write_all(file: BinaryIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _move(temporary: Path, target: Path) -> None:
    try:
        move_into_place(temporary, target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        move_into_place(temporary, target)


def _hard_link(source: Path, temporary: Path) -> None:
    """Replace `temporary` by a link to `source`, or by a copy on another file system."""
    temporary.unlink()
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
        temporary.chmod(mode(0o444))
