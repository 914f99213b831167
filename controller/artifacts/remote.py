"""Artifacts in an object store: `PREFIX/files/ab/cdef...`, named by the digest of their content.

Every problem with the store raises `StoreUnavailable`, which is tried again: a step that succeeded
does not fail because its outputs cannot be uploaded yet.
"""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from controller.blobs.objects import NotStored, Objects
from controller.buckets.stores import NO_BUCKET, CredentialsRefused, Stores, address_of
from specs.failures import Failure, NeedsHuman, TryAgain

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Kind = Literal["files", "folders"]
Mode = Literal["create", "overwrite"]
KINDS: tuple[Kind, ...] = ("folders", "files")
"""Deleted in this order and written in the reverse, so that the listing of a folder never names a
file that is missing."""

OWNER = "headgate-owner.json"
_PUBLISHED = "served"
_PARALLEL = 8
_BATCH = 500
_CHUNK = 2**20


class StoreUnavailable(TryAgain):
    """The store is unreachable or refuses a request. Nothing is lost, and it is tried again."""


class Damaged(NotStored):
    """The content of a stored object does not match its digest."""


class RemoteObject(NamedTuple):
    """An object in the store: its size in bytes and the time it was written, in seconds since the
    epoch."""

    size: int
    written: float


class RemoteArtifacts:
    """The artifacts below `uri`. They belong to one installation, whose identity is `owner`; None
    for one that only reads. Blocking; thread-safe.

    Only the owner writes and deletes, as it alone knows what is needed. Raises `StoreUnavailable`.
    """

    def __init__(
        self, uri: str, stores: Stores, owner: str | None, renew_after: float | None = None
    ) -> None:
        """What is stored again and is older than `renew_after` seconds is written again, so that
        a sweep of another process, which knows ages only, does not take it for unused."""
        self.renew_after = renew_after
        self._young: dict[str, float] = {}
        self.uri = uri.rstrip("/")
        self._stores = stores
        self._owner = owner
        self._prefix = address_of(self.uri).path
        self._is_ours = False
        self._damaged: set[str] = set()
        # Makes marking an artifact as used and deleting unused ones mutually exclusive.
        self._lock = threading.Lock()
        self._asked: set[str] | None = None

    @property
    def identity(self) -> str:
        """The identity of the installation."""
        assert self._owner is not None, "who only reads writes nothing"
        return self._owner

    def address(self, digest: str) -> str:
        """The address of a stored file."""
        name = digest.removeprefix("sha256:")
        return f"{self.uri}/files/{name[:2]}/{name[2:]}"

    def ask(self, digests: Iterable[str]) -> None:
        """Keep a sweep that has begun from deleting these."""
        with self._lock:
            if self._asked is not None:
                self._asked.update(digests)

    def keep(self, kind: Kind, paths: Mapping[str, Path]) -> None:
        """Upload the files, by their digests, except those that are there. Large ones in parts."""
        self.claim()
        self.ask(paths)
        _each(lambda digest: self._keep(kind, digest, paths[digest]), paths)

    def renew(self, kind: Kind, paths: Mapping[str, Path]) -> None:
        """As `keep`, for what is there as far as this process knows, and is about to be used."""
        now = time.time()
        self._young = {one: until for one, until in self._young.items() if until > now}
        self.keep(kind, {one: path for one, path in paths.items() if one not in self._young})

    def fetch(self, kind: Kind, digests: Collection[str], into: Objects) -> bool:
        """Download these into `into`; whether all were there. Raises `Damaged`."""
        return all(_each(lambda digest: self._fetch(kind, digest, into), digests))

    def claim(self) -> None:
        """Make sure that the prefix belongs to this installation; the first to come claims it.
        Raises `StoreUnavailable` if it belongs to another."""
        if self._is_ours:
            return
        said = self.owner()
        if said is None:
            mine = json.dumps({"home": self.identity, "host": socket.gethostname()})
            # Some servers accept a second `create`, so read back who owns it. A sweep checks again,
            # days later, and deletes nothing newer than that.
            self.write(OWNER, mine.encode(), mode="create")
            said = self.owner() or {}
        self._check_owner(said)
        self._is_ours = True

    def _check_owner(self, said: Mapping[str, str]) -> None:
        if self._owner is None or said.get("home") != self._owner:
            host = said.get("host", "an unknown machine")
            raise StoreUnavailable(
                f"{self.uri} belongs to another controller, started on {host}: set `artifacts` to "
                "another prefix; or, if that controller is stopped and this one replaces it, "
                f"delete {self.uri}/{OWNER}",
                human=True,
            )

    def owner(self) -> Mapping[str, str] | None:
        """The owner that is recorded at the prefix; None if there is none."""
        content = self.read(OWNER)
        with suppress(ValueError):
            return None if content is None else dict(json.loads(content))
        return {}

    @contextmanager
    def sweeping(self) -> Iterator[Mapping[Kind, Mapping[str, RemoteObject]]]:
        """A complete listing; within the block, `ask` protects artifacts from `discard`."""
        self._is_ours = False
        self.claim()
        with self._lock:
            self._asked = set()
        try:
            yield {kind: self._listed(kind) for kind in KINDS}
        finally:
            with self._lock:
                self._asked = None

    def discard(self, kind: Kind, digests: Sequence[str], spare: Callable[[str], bool]) -> set[str]:
        """Delete these, except those that were asked for since the sweep began and those for which
        `spare` is true; the deleted ones."""
        import obstore

        gone: set[str] = set()
        for begin in range(0, len(digests), _BATCH):
            with self._lock:
                asked = self._asked or set()
                batch = digests[begin : begin + _BATCH]
                doomed = [one for one in batch if one not in asked and not spare(one)]
                with self._store() as store:
                    obstore.delete(store, [self._key(kind, one) for one in doomed])
                gone.update(doomed)
        return gone

    def publish(self, folder: str, files: Mapping[str, Path]) -> str:
        """Store files under their own names in a folder, for those who know no digests; the
        folder's address. What is there already is not written again."""
        self.claim()
        top = self._path(f"{_PUBLISHED}/{folder}")
        _each(lambda name: self._put(f"{top}/{name}", files[name]), files)
        return f"{self.uri}/{_PUBLISHED}/{folder}"

    def withdraw(self, keep: Collection[str], before: float) -> int:
        """Delete what was published in other folders, and written before then; how many files."""
        import obstore

        self.claim()
        top = self._path(f"{_PUBLISHED}/")
        with self._store() as store:
            doomed = [
                each["path"]
                for objects in obstore.list(store, top)
                for each in objects
                if each["path"].removeprefix(top).partition("/")[0] not in keep
                and each["last_modified"].timestamp() < before
            ]
            for begin in range(0, len(doomed), _BATCH):
                obstore.delete(store, doomed[begin : begin + _BATCH])
        return len(doomed)

    def _put(self, key: str, path: Path) -> None:
        import obstore

        with self._store() as store:
            with suppress(FileNotFoundError):
                if obstore.head(store, key)["size"] == path.stat().st_size:
                    return
            obstore.put(store, key, path)

    def self_test(self) -> None:
        """Write, list, read and delete an object, without claiming the prefix. Raises
        `StoreUnavailable`, also if the prefix belongs to another controller."""
        import obstore

        said = self.owner()
        if said is not None:
            self._check_owner(said)
        name = f"headgate-doctor-{token_hex(8)}"
        self.write(name, name.encode())
        with self._store() as store:
            obstore.list_with_delimiter(store, self._path("files"))
        if self.read(name) != name.encode():
            raise StoreUnavailable(f"{self.uri} does not return what was written there")
        with self._store() as store:
            obstore.delete(store, self._path(name))

    def write(self, name: str, content: bytes, mode: Mode = "overwrite") -> None:
        """Write a small object below the prefix; `create` does not overwrite one."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._store() as store, suppress(AlreadyExistsError, PreconditionError):
            obstore.put(store, self._path(name), content, mode=mode)

    def read(self, name: str) -> bytes | None:
        """Read a small object below the prefix; None if there is none."""
        import obstore

        with self._store() as store:
            try:
                return bytes(obstore.get(store, self._path(name)).bytes())
            except FileNotFoundError as error:
                _reraise_if_no_bucket(error)
                return None

    def _keep(self, kind: Kind, digest: str, path: Path) -> None:
        import obstore

        with self._store() as store:
            if digest not in self._damaged:
                with suppress(FileNotFoundError):
                    found = obstore.head(store, self._key(kind, digest))
                    written = found["last_modified"].timestamp()
                    if found["size"] == path.stat().st_size and self._is_young(digest, written):
                        return
            obstore.put(store, self._key(kind, digest), path)
            self._is_young(digest, time.time())
            self._damaged.discard(digest)

    def _is_young(self, digest: str, written: float) -> bool:
        if self.renew_after is None:
            return True
        self._young[digest] = written + self.renew_after
        return self._young[digest] > time.time()

    def _fetch(self, kind: Kind, digest: str, into: Objects) -> bool:
        import obstore

        key = self._key(kind, digest)
        with self._store() as store:
            try:
                found = obstore.get(store, key)
            except FileNotFoundError as error:
                _reraise_if_no_bucket(error)
                return False
            chunks = (bytes(chunk) for chunk in found.stream(min_chunk_size=_CHUNK))
            try:
                into.put_chunks(_verified(chunks, digest))
            except Damaged:
                self._damaged.add(digest)
                where = f"{address_of(self.uri).root}/{key}"
                _log().error("an artifact is damaged in the object store", at=where)
                raise Damaged(
                    f"artifact {digest[:19]} is damaged: the content of {where} does not match its "
                    "digest. `retry` the run that made it"
                ) from None
        return True

    def _listed(self, kind: Kind) -> dict[str, RemoteObject]:
        import obstore

        found = {}
        with self._store() as store:
            for objects in obstore.list(store, self._path(kind) + "/"):
                for each in objects:
                    parts = each["path"].rsplit("/", 2)
                    name = "".join(parts[1:])
                    written: datetime = each["last_modified"]
                    if len(name) == 64:
                        found[f"sha256:{name}"] = RemoteObject(each["size"], written.timestamp())
        return found

    @contextmanager
    def _store(self) -> Iterator["ObjectStore"]:
        try:
            with self._stores.failing(self.uri):
                yield self._stores.store(self.uri)
        except Damaged:
            raise
        except Failure as failure:
            human = isinstance(failure, NeedsHuman)
            refused = isinstance(failure, CredentialsRefused)
            how = "refuses access" if refused else "is unreachable"
            message = f"the store of `artifacts` {how}: {failure}"
            raise StoreUnavailable(message, human=human) from None

    def _key(self, kind: Kind, digest: str) -> str:
        name = digest.removeprefix("sha256:")
        return self._path(f"{kind}/{name[:2]}/{name[2:]}")

    def _path(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


def _each(call: Callable[[str], object], digests: Collection[str]) -> list[object]:
    """Call it for each, in parallel; waits for all before it raises the first failure."""
    if len(digests) < 2:
        return [call(one) for one in digests]
    with ThreadPoolExecutor(min(_PARALLEL, len(digests)), "artifacts-remote") as pool:
        return list(pool.map(call, digests))


def _verified(chunks: Iterable[bytes], digest: str) -> Iterator[bytes]:
    """The chunks; after the last, raises `Damaged` if they do not match the digest."""
    hashed = hashlib.sha256()
    for chunk in chunks:
        hashed.update(chunk)
        yield chunk
    if "sha256:" + hashed.hexdigest() != digest:
        raise Damaged(digest)


def _reraise_if_no_bucket(error: FileNotFoundError) -> None:
    """Raise the error again if it is the bucket that is missing, not the object."""
    if any(code in str(error) for code in NO_BUCKET):
        raise error


def _log() -> Any:
    """Imported when needed: the import would double the start-up time of short commands."""
    import structlog

    return structlog.get_logger("headgate.artifacts")
