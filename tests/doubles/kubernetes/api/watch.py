"""Watches: the changes of objects as a stream, from a revision on."""

import threading
import time
from collections.abc import Iterator

from tests.doubles.kubernetes.api.calls import ApiCall
from tests.doubles.kubernetes.api.verbs import Verbs, matching
from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.base.refusals import (
    StatusError,
    expired,
    forbidden_field,
    options_error,
)
from tests.doubles.kubernetes.storage.selectors import Match
from tests.doubles.kubernetes.storage.store import ObjectChange, encoded

_TEMPLATE = {"metadata": {}, "spec": {"containers": None}}
_EMPTY: dict[str, Obj] = {
    "Pod": {"spec": {"containers": None}, "status": {}},
    "Job": {"spec": {"template": _TEMPLATE}, "status": {}},
    "Deployment": {"spec": {"selector": None, "template": _TEMPLATE, "strategy": {}}, "status": {}},
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
}
"""What a bookmark carries besides its revision: an empty object, as Go writes it."""


class Watches:
    """Serves watches, and cuts them when told to."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self.ending = threading.Event()
        self.bookmark_every = 60.0
        """Real seconds between bookmarks."""
        self.wanted = 0
        """Bookmarks that were asked for."""
        self.cuts = 0
        """Times that all watches were cut."""

    def bookmark(self) -> None:
        """Send a bookmark to every watch that allows them, now."""
        with self._verbs.store.written:
            self.wanted += 1
            self._verbs.store.written.notify_all()

    def cut(self) -> None:
        """Cut the connections of all watches."""
        with self._verbs.store.written:
            self.cuts += 1
            self._verbs.store.written.notify_all()

    def end(self) -> None:
        self.ending.set()
        with self._verbs.store.written:
            self._verbs.store.written.notify_all()

    def stream(self, call: ApiCall) -> "WatchStream":
        return WatchStream(self, self._verbs, call)


class WatchStream:
    """One watch: an iterator of lines. A cut raises ConnectionResetError."""

    def __init__(self, watches: Watches, verbs: Verbs, call: ApiCall) -> None:
        self._watches, self._verbs, self._call = watches, verbs, call
        self._fits = matching(call)
        self._cuts = watches.cuts
        self._bookmarked = watches.wanted
        timeout = int(call.query.get("timeoutSeconds") or 0) or 3000
        self._until = time.monotonic() + timeout
        self._next_bookmark = time.monotonic() + watches.bookmark_every
        if call.query.get("sendInitialEvents") == "true" and not call.flag("allowWatchBookmarks"):
            why = "sendInitialEvents is forbidden unless allowWatchBookmarks is set"
            raise options_error("ListOptions", forbidden_field("sendInitialEvents", why))

    def __iter__(self) -> Iterator[bytes]:
        try:
            revision, first = self._begin()
        except StatusError as error:
            yield _line("ERROR", error.body())
            return
        yield from first
        while not self._watches.ending.is_set():
            changes, compacted = self._wait(revision)
            if revision < compacted:
                yield _line(
                    "ERROR", expired(f"too old resource version: {revision} ({compacted})").body()
                )
                return
            for change in changes:
                revision = change.revision
                event = event_of(change, self._call.kind, self._call.namespace, self._fits)
                if event:
                    yield _line(*event)
            now = time.monotonic()
            if self._call.flag("allowWatchBookmarks") and self._bookmark_is_due(now):
                yield _line("BOOKMARK", empty(self._call.kind, revision))
            if now >= self._until:
                return

    def _begin(self) -> tuple[int, list[bytes]]:
        call, store = self._call, self._verbs.store
        asked = call.query.get("resourceVersion", "")
        initial = call.query.get("sendInitialEvents")
        with store.lock:
            if asked not in ("", "0") and initial != "true":
                revision = int(asked) if asked.isdigit() else -1
                if revision < 0:
                    raise StatusError(400, "BadRequest", f"invalid resource version: {asked}")
                if revision < store.compacted:
                    raise expired(f"too old resource version: {revision} ({store.compacted})")
                return revision, []
            if initial == "false":
                return store.revision, []
            found = [obj for obj in store.all(call.kind, call.namespace) if self._fits(obj)]
            lines = [_line("ADDED", obj) for obj in found]
            if initial == "true":
                lines.append(_line("BOOKMARK", empty(call.kind, store.revision, end=True)))
            return store.revision, lines

    def _wait(self, revision: int) -> tuple[list[ObjectChange], int]:
        """The next changes, once there are some or something else is due."""
        watches, store = self._watches, self._verbs.store
        with store.written:
            while True:
                if watches.cuts != self._cuts:
                    raise ConnectionResetError("the watch was cut")
                now = time.monotonic()
                due = min(self._until, self._next_bookmark)
                if (
                    store.revision > revision
                    or revision < store.compacted
                    or watches.ending.is_set()
                    or watches.wanted != self._bookmarked
                    or now >= due
                ):
                    return store.since(revision), store.compacted
                store.written.wait(due - now)

    def _bookmark_is_due(self, now: float) -> bool:
        wanted = self._watches.wanted
        due = wanted != self._bookmarked or now >= min(self._next_bookmark, self._until)
        if due:
            self._bookmarked = wanted
            self._next_bookmark = now + self._watches.bookmark_every
        return due


def event_of(
    change: ObjectChange, kind: Kind, namespace: str, fits: Match
) -> tuple[str, Obj] | None:
    """How a watch tells of a change: an object that no longer fits is DELETED for it."""
    if change.kind != kind or (namespace and change.address.namespace != namespace):
        return None
    before = change.before is not None and fits(change.before)
    if change.after is None:
        return ("DELETED", change.last) if before else None
    if fits(change.after):
        return ("MODIFIED" if before else "ADDED"), change.after
    if before and change.before is not None:
        version = {"resourceVersion": str(change.revision)}
        return "DELETED", {**change.before, "metadata": {**change.before["metadata"], **version}}
    return None


def empty(kind: Kind, revision: int, end: bool = False) -> Obj:
    """A bookmark's object."""
    meta: Obj = {"resourceVersion": str(revision)}
    if end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    rest = {} if kind.custom else _EMPTY.get(kind.name, {})
    return {"kind": kind.name, "apiVersion": kind.api_version, "metadata": meta, **rest}


def _line(type_: str, obj: Obj) -> bytes:
    return b'{"type":"' + type_.encode() + b'","object":' + encoded(obj) + b"}\n"
