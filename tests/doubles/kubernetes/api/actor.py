"""How the cluster's own parts read and write: past HTTP and its faults."""

from collections.abc import Callable
from typing import Any

from tests.doubles.kubernetes.api import deletion
from tests.doubles.kubernetes.api.calls import ApiCall
from tests.doubles.kubernetes.api.verbs import Verbs
from tests.doubles.kubernetes.base.objects import Obj, copied, dig, short_hash

_NEWER = ("default-scheduler",)
"""Those who write events of the newer form: without a count, until it repeats."""


class Actor:
    """A controller's or kubelet's client, under a name of its own."""

    def __init__(self, verbs: Verbs, name: str) -> None:
        self.verbs = verbs
        self.store = verbs.store
        self.clock = verbs.clock
        self.kinds = verbs.kinds
        self.name = name

    def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        return self.store.get(self.kinds.of(kind), namespace, name)

    def all(self, kind: str, namespace: str = "") -> list[Obj]:
        return self.store.all(self.kinds.of(kind), namespace)

    def create(self, kind: str, namespace: str, obj: Obj) -> Obj:
        """Create it as a client would; StatusError if it is refused."""
        call = ApiCall("create", self.kinds.of(kind), namespace, body=copied(obj), agent=self.name)
        return self.verbs.create(call)

    def change(self, obj: Obj, how: Callable[[Obj], Any]) -> Obj | None:
        """Change the object as it is now by a function that works on a copy.

        None if it is gone. The writer is trusted, so nothing is validated.
        """
        with self.store.lock:
            found = self.store.by_uid(obj["metadata"]["uid"])
            if found is None:
                return None
            kind, old = found
            new = copied(old)
            how(new)
            if new == old:
                return old
            if kind.generations and new.get("spec") != old.get("spec"):
                new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
            meta = new["metadata"]
            if not meta.get("finalizers"):
                meta.pop("finalizers", None)
                if meta.get("deletionTimestamp") and not meta.get("deletionGracePeriodSeconds"):
                    self.store.put(kind, new)
                    return self.store.remove(kind, new)
            return self.store.put(kind, new)

    def delete(self, obj: Obj, **options: Any) -> None:
        """Delete that very object, if it is still there."""
        with self.store.lock:
            found = self.store.by_uid(obj["metadata"]["uid"])
            if found is None:
                return
            meta = found[1]["metadata"]
            namespace = meta.get("namespace", "")
            call = ApiCall(
                "delete", found[0], namespace, meta["name"], body=options, agent=self.name
            )
            deletion.delete(self.verbs, call)

    def event(self, obj: Obj, reason: str, message: str, type_: str = "Normal") -> None:
        """Tell of something that happened to an object; the same again is counted."""
        namespace = obj["metadata"].get("namespace") or "default"
        uid = obj["metadata"]["uid"]
        name = f"{obj['metadata']['name']}.{short_hash([uid, reason, message], 16)}"
        now = self.clock.stamp()
        old = self.get("Event", namespace, name)
        if old is not None:
            self.change(old, lambda e: _repeated(e, now))
            return
        event: Obj = {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": self.verbs.new_uid(),
                "creationTimestamp": now,
            },
            "involvedObject": {
                "apiVersion": obj["apiVersion"],
                "kind": obj["kind"],
                "name": obj["metadata"]["name"],
                "namespace": namespace,
                "uid": uid,
                "resourceVersion": obj["metadata"]["resourceVersion"],
            },
            "reason": reason,
            "message": message,
            "type": type_,
            "reportingComponent": self.name,
            "reportingInstance": "",
        }
        if self.name in _NEWER:
            event |= {"eventTime": now.replace("Z", ".000000Z"), "action": "Scheduling"}
            event["reportingInstance"] = f"{self.name}-0"
        else:
            event |= {"count": 1, "firstTimestamp": now, "lastTimestamp": now}
            event["source"] = {"component": self.name}
        with self.store.lock:  # it is known to be right, and there are many
            home = self.get("Namespace", "", namespace)
            if home is not None and not home["metadata"].get("deletionTimestamp"):
                self.store.put(self.kinds.of("Event"), event)

    def owned(self, obj: Obj, kind: str) -> list[Obj]:
        """The objects of a kind that the object controls."""
        uid = obj["metadata"]["uid"]
        return [
            each
            for found, each in self.store.owned(uid)
            if found.name == kind
            and any(
                ref["uid"] == uid and ref.get("controller")
                for ref in dig(each, "metadata", "ownerReferences", default=[])
            )
        ]


def _repeated(event: Obj, now: str) -> None:
    """Note that the same happened again."""
    if "eventTime" in event:
        count = dig(event, "series", "count", default=1) + 1
        event["series"] = {"count": count, "lastObservedTime": now.replace("Z", ".000000Z")}
    else:
        event.update(count=event["count"] + 1, lastTimestamp=now)
