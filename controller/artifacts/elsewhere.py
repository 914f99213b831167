"""Stored files in an object store, too: `PREFIX/files/ab/cdef...`, by the digest of their content.

Whatever goes wrong there is `Away`: a step that ran well has not failed because its outputs could
not be brought there yet.
"""

import hashlib
import json
import socket
import threading
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
"""Deleted in this order, written in the other: a folder's listing never names a file that is not
there."""

OWNER = "headgate-owner.json"
_AT_ONCE = 8
_BATCH = 500
_CHUNK = 2**20


class Away(TryAgain):
    """The store does not answer, or refuses; nothing is lost by it, and it is tried again."""


class Damaged(NotStored):
    """What is stored there under a digest is something else."""


class RemoteObject(NamedTuple):
    """An object there: its bytes, and when it was written, in seconds since the epoch."""

    size: int
    written: float


class Elsewhere:
    """The objects below `uri`, which belong to the home that `owner` names (asked for when it is
    needed). Blocking; may be used by several threads.

    Only the owner writes and deletes: it alone knows what is needed. Raises `Away`.
    """

    def __init__(self, uri: str, stores: Stores, owner: Callable[[], str]) -> None:
        self.uri = uri.rstrip("/")
        self._stores = stores
        self._owner = owner
        self._prefix = address_of(self.uri).path
        self._is_ours = False
        self._damaged: set[str] = set()
        # Between "I use this" and "nobody used it, it goes": one comes first.
        self._turn = threading.Lock()
        self._asked: set[str] | None = None

    def ask(self, digests: Iterable[str]) -> None:
        """A sweep that has begun takes none of these any more, if they are there still."""
        with self._turn:
            if self._asked is not None:
                self._asked.update(digests)

    def keep(self, kind: Kind, paths: Mapping[str, Path]) -> None:
        """Upload the files, by their digests, in parts if they are large; not those that are
        there."""
        self.own()
        self.ask(paths)
        _each(lambda digest: self._keep(kind, digest, paths[digest]), paths)

    def fetch(self, kind: Kind, digests: Collection[str], into: Objects) -> bool:
        """Bring them into `into`; whether all were there. Raises `Damaged`: that one is not."""
        return all(_each(lambda digest: self._fetch(kind, digest, into), digests))

    def own(self) -> None:
        """See to it that it is ours: whoever comes first says so there. Raises `Away` if it is
        another's."""
        if self._is_ours:
            return
        said = self.owner()
        if said is None:
            mine = json.dumps({"home": self._owner(), "host": socket.gethostname()})
            # Some servers take a second `create` for the first, so what is there then counts. A
            # sweep looks again, days later, and deletes nothing younger than that.
            self.write(OWNER, mine.encode(), mode="create")
            said = self.owner() or {}
        self._expect_us(said)
        self._is_ours = True

    def _expect_us(self, said: Mapping[str, str]) -> None:
        if said.get("home") != self._owner():
            host = said.get("host", "an unknown machine")
            raise Away(
                f"{self.uri} belongs to another controller, begun on {host}: set `artifacts` to "
                f"a prefix of its own; or, if this controller takes over from that one, which is "
                f"stopped, delete {self.uri}/{OWNER}",
                human=True,
            )

    def owner(self) -> Mapping[str, str] | None:
        """What the object at the prefix says of whose it is; None: there is none."""
        content = self.read(OWNER)
        with suppress(ValueError):
            return None if content is None else dict(json.loads(content))
        return {}

    @contextmanager
    def sweeping(self) -> Iterator[Mapping[Kind, Mapping[str, RemoteObject]]]:
        """All that is there, read whole; while the block lasts, `ask` keeps things from it."""
        self._is_ours = False
        self.own()
        with self._turn:
            self._asked = set()
        try:
            yield {kind: self._listed(kind) for kind in KINDS}
        finally:
            with self._turn:
                self._asked = None

    def discard(self, kind: Kind, digests: Sequence[str], spare: Callable[[str], bool]) -> set[str]:
        """Delete them, but for those that were asked for meanwhile or that `spare` names; which
        went."""
        import obstore

        gone: set[str] = set()
        for begin in range(0, len(digests), _BATCH):
            with self._turn:
                asked = self._asked or set()
                batch = digests[begin : begin + _BATCH]
                doomed = [one for one in batch if one not in asked and not spare(one)]
                with self._store() as store:
                    obstore.delete(store, [self._key(kind, one) for one in doomed])
                gone.update(doomed)
        return gone

    def try_out(self) -> None:
        """Write, list, read and delete an object; begin nothing. Raises `Away`, also if it is
        another's."""
        import obstore

        said = self.owner()
        if said is not None:
            self._expect_us(said)
        name = f"headgate-doctor-{token_hex(8)}"
        self.write(name, name.encode())
        with self._store() as store:
            obstore.list_with_delimiter(store, self._path("files"))
        if self.read(name) != name.encode():
            raise Away(f"{self.uri} does not give back what was written there")
        with self._store() as store:
            obstore.delete(store, self._path(name))

    def write(self, name: str, content: bytes, mode: Mode = "overwrite") -> None:
        """Write a small object of that name below the prefix; `create` leaves one that is there."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._store() as store, suppress(AlreadyExistsError, PreconditionError):
            obstore.put(store, self._path(name), content, mode=mode)

    def read(self, name: str) -> bytes | None:
        """A small object of that name below the prefix; None: there is none."""
        import obstore

        with self._store() as store:
            try:
                return bytes(obstore.get(store, self._path(name)).bytes())
            except FileNotFoundError as error:
                _expect_a_bucket(error)
                return None

    def _keep(self, kind: Kind, digest: str, path: Path) -> None:
        import obstore

        with self._store() as store:
            if digest not in self._damaged:
                with suppress(FileNotFoundError):
                    if obstore.head(store, self._key(kind, digest))["size"] == path.stat().st_size:
                        return
            obstore.put(store, self._key(kind, digest), path)
            self._damaged.discard(digest)

    def _fetch(self, kind: Kind, digest: str, into: Objects) -> bool:
        import obstore

        key = self._key(kind, digest)
        with self._store() as store:
            try:
                found = obstore.get(store, key)
            except FileNotFoundError as error:
                _expect_a_bucket(error)
                return False
            chunks = (bytes(chunk) for chunk in found.stream(min_chunk_size=_CHUNK))
            try:
                into.put_chunks(_verified(chunks, digest))
            except Damaged:
                self._damaged.add(digest)
                where = f"{address_of(self.uri).root}/{key}"
                _log().error("an artifact is damaged in the object store", at=where)
                raise Damaged(
                    f"artifact {digest[:19]} is damaged: what is at {where} does not hash to its "
                    "name. `retry` the run that made it"
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
            how = "refuses" if isinstance(failure, CredentialsRefused) else "is away"
            raise Away(f"the store of `artifacts` {how}: {failure}", human=human) from None

    def _key(self, kind: Kind, digest: str) -> str:
        name = digest.removeprefix("sha256:")
        return self._path(f"{kind}/{name[:2]}/{name[2:]}")

    def _path(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


def _each(call: Callable[[str], object], digests: Collection[str]) -> list[object]:
    """Several at once; the first failure is raised after all have come to an end."""
    if len(digests) < 2:
        return [call(one) for one in digests]
    with ThreadPoolExecutor(min(_AT_ONCE, len(digests)), "artifacts-elsewhere") as pool:
        return list(pool.map(call, digests))


def _verified(chunks: Iterable[bytes], digest: str) -> Iterator[bytes]:
    """The chunks; then raises `Damaged` if they are not what the digest says."""
    hashed = hashlib.sha256()
    for chunk in chunks:
        hashed.update(chunk)
        yield chunk
    if "sha256:" + hashed.hexdigest() != digest:
        raise Damaged(digest)


def _expect_a_bucket(error: FileNotFoundError) -> None:
    """A bucket that is gone is not an object that is gone: raises the error again."""
    if any(code in str(error) for code in NO_BUCKET):
        raise error


def _log() -> Any:
    """Imported where something is said: half of what a command takes that says nothing."""
    import structlog

    return structlog.get_logger("headgate.artifacts")
