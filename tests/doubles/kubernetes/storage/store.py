"""The objects, with every revision that has not been compacted."""

import bisect
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pydantic_core import to_json

from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.base.refusals import expired


class ObjectAddress(NamedTuple):
    """Where an object is kept."""

    namespace: str
    name: str


@dataclass(frozen=True)
class ObjectChange:
    """One write."""

    revision: int
    kind: Kind
    address: ObjectAddress
    before: Obj | None
    after: Obj | None
    """None when it was deleted."""

    @property
    def last(self) -> Obj:
        """The object after the write, or as it was when it was deleted."""
        found = self.after if self.after is not None else self.before
        assert found is not None
        return found


class EtcdStore:
    """All objects by kind and address. What it hands out must not be changed."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.written = threading.Condition(self.lock)
        """Told of each write, of each compaction, and of whatever else watches must look at."""
        self.listeners: list[Callable[[ObjectChange], None]] = []
        """Called with each change, in order, under the lock."""
        self.revision = 1
        self.compacted = 0
        """The last revision whose past is forgotten."""
        self._objects: dict[Kind, dict[ObjectAddress, Obj]] = {}
        self._history: list[ObjectChange] = []
        self._places: dict[str, tuple[Kind, ObjectAddress]] = {}
        """Where objects are by their uids."""
        self._owned: dict[str, set[str]] = {}
        """The uids of dependents by that of each owner."""

    def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        with self.lock:
            return self._objects.get(kind, {}).get(ObjectAddress(namespace, name))

    def all(self, kind: Kind, namespace: str = "") -> list[Obj]:
        """All objects of a kind, of one namespace or of all, in order of their names."""
        with self.lock:
            found = self._objects.get(kind, {})
            return [
                found[each]
                for each in sorted(found)
                if not namespace or each.namespace == namespace
            ]

    def everything(self) -> Iterator[tuple[Kind, Obj]]:
        with self.lock:
            for kind, objects in list(self._objects.items()):
                for obj in list(objects.values()):
                    yield kind, obj

    def put(self, kind: Kind, obj: Obj) -> Obj:
        """Keep a new or changed object under the next revision, which is written into it."""
        with self.lock:
            address = ObjectAddress(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            self.revision += 1
            meta = {**obj["metadata"], "resourceVersion": str(self.revision)}
            whole = {"kind": kind.name, "apiVersion": kind.api_version, **obj, "metadata": meta}
            before = self._objects.setdefault(kind, {}).get(address)
            self._objects[kind][address] = whole
            self._tell(ObjectChange(self.revision, kind, address, before, whole))
            return whole

    def remove(self, kind: Kind, obj: Obj) -> Obj:
        """Delete an object; it is returned as watches see it, with the revision of its end."""
        with self.lock:
            address = ObjectAddress(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            self.revision += 1
            before = self._objects[kind].pop(address)
            meta = {**before["metadata"], "resourceVersion": str(self.revision)}
            self._tell(
                ObjectChange(self.revision, kind, address, {**before, "metadata": meta}, None)
            )
            return {**before, "metadata": meta}

    def by_uid(self, uid: str) -> tuple[Kind, Obj] | None:
        with self.lock:
            found = self._places.get(uid)
            return (found[0], self._objects[found[0]][found[1]]) if found else None

    def owned(self, uid: str) -> list[tuple[Kind, Obj]]:
        """The objects that name the one of that uid as an owner, in order of their names."""
        with self.lock:
            found = [self.by_uid(each) for each in self._owned.get(uid, ())]
            there = [each for each in found if each is not None]
            return sorted(there, key=lambda each: str(each[1]["metadata"]["name"]))

    def _index(self, change: ObjectChange) -> None:
        for obj in (change.before, change.after):
            if obj is None:
                continue
            uid = obj["metadata"]["uid"]
            for ref in obj["metadata"].get("ownerReferences", ()):
                dependents = self._owned.setdefault(ref["uid"], set())
                (dependents.add if obj is change.after else dependents.discard)(uid)
                if not dependents:
                    del self._owned[ref["uid"]]
            if change.after is None:
                self._places.pop(uid, None)
            else:
                self._places[uid] = (change.kind, change.address)

    def _tell(self, change: ObjectChange) -> None:
        self._index(change)
        self._history.append(change)
        for listener in self.listeners:
            listener(change)
        self.written.notify_all()

    def snapshot(self, kind: Kind, namespace: str, revision: int) -> list[Obj]:
        """The objects as they were at a revision; 410 if that is forgotten."""
        with self.lock:
            if revision < self.compacted:
                raise expired(
                    "The provided continue parameter is too old to display a consistent list "
                    "result. You can start a new list without the continue parameter, or use the "
                    "continue token in this response to retrieve the remainder of the results. "
                    "Continuing with the provided token results in an inconsistent list - objects "
                    "that were created, modified, or deleted between the time the first chunk was "
                    "returned and now may show up in the list."
                )
            objects = dict(self._objects.get(kind, {}))
            for change in reversed(self.since(revision)):
                if change.kind != kind:
                    continue
                if change.before is None:
                    objects.pop(change.address, None)
                else:
                    objects[change.address] = change.before
            return [
                objects[each]
                for each in sorted(objects)
                if not namespace or each.namespace == namespace
            ]

    def since(self, revision: int) -> list[ObjectChange]:
        """The changes after a revision, oldest first."""
        with self.lock:
            start = bisect.bisect_right(self._history, revision, key=lambda each: each.revision)
            return self._history[start:]

    def compact(self, revision: int | None = None) -> None:
        """Forget the past up to a revision; up to the latest, if none is given."""
        with self.written:
            self.compacted = self.revision if revision is None else revision
            self._history = self.since(self.compacted)
            self.written.notify_all()


def encoded(obj: Obj) -> bytes:
    return to_json(obj)
