"""Garbage collection, namespaces, quotas and claims: what tidies up and keeps account."""

import functools
from collections.abc import Iterable
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.api.deletion import FOREGROUND, ORPHAN
from tests.doubles.kubernetes.base.objects import Obj, copied, dig
from tests.doubles.kubernetes.base.quantities import as_quantity
from tests.doubles.kubernetes.base.refusals import StatusError
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.storage.store import ObjectChange


class GarbageController:
    """Deletes dependents after their owners, or before them, or lets go of them."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "generic-garbage-collector")

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        meta = change.last["metadata"]
        if change.after is None or meta.get("deletionTimestamp"):
            yield ("", meta["uid"])
        for ref in meta.get("ownerReferences", ()):
            yield ("", ref["uid"])

    def sync(self, key: Key) -> float | None:
        found = self._actor.store.by_uid(key[1])
        if found is None:
            self._collect(key[1])
            return None
        finalizers = found[1]["metadata"].get("finalizers", ())
        if not found[1]["metadata"].get("deletionTimestamp"):
            return None
        if ORPHAN in finalizers:
            for _, child in self._actor.store.owned(key[1]):
                self._actor.change(child, lambda c: _disown(c, key[1]))
            self._actor.change(found[1], lambda o: o["metadata"]["finalizers"].remove(ORPHAN))
        elif FOREGROUND in finalizers:
            self._before(found[1])
        return None

    def _collect(self, uid: str) -> None:
        """Delete what has no owner left."""
        for _, child in self._actor.store.owned(uid):
            others = [ref["uid"] for ref in child["metadata"]["ownerReferences"]]
            if any(self._actor.store.by_uid(other) for other in others):
                self._actor.change(child, lambda c: _disown(c, uid))
            elif not child["metadata"].get("deletionTimestamp"):
                self._actor.delete(child, propagationPolicy="Background")

    def _before(self, owner: Obj) -> None:
        """Delete the dependents, then the owner that waits for them."""
        uid = owner["metadata"]["uid"]
        for _, child in self._actor.store.owned(uid):
            if not child["metadata"].get("deletionTimestamp"):
                own = bool(self._actor.store.owned(child["metadata"]["uid"]))
                policy = "Foreground" if own else "Background"
                self._actor.delete(child, propagationPolicy=policy)
        blocking = [
            child
            for _, child in self._actor.store.owned(uid)
            if any(
                ref["uid"] == uid and ref.get("blockOwnerDeletion")
                for ref in child["metadata"]["ownerReferences"]
            )
        ]
        if not blocking:
            self._actor.change(owner, lambda o: o["metadata"]["finalizers"].remove(FOREGROUND))


def _disown(obj: Obj, uid: str) -> None:
    meta = obj["metadata"]
    left = [ref for ref in meta.get("ownerReferences", ()) if ref["uid"] != uid]
    meta.pop("ownerReferences", None)
    if left:
        meta["ownerReferences"] = left


class NamespaceController:
    """Gives each namespace its service account, and empties it before it ends."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "namespace-controller")

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "Namespace":
            yield ("", change.address.name)
        elif change.after is None and change.address.namespace:
            yield ("", change.address.namespace)

    def sync(self, key: Key) -> float | None:
        namespace = self._actor.get("Namespace", "", key[1])
        if namespace is None:
            return None
        if not namespace["metadata"].get("deletionTimestamp"):
            self._furnish(key[1])
            return None
        left = [o for _, o in self._actor.store.everything() if _namespace(o) == key[1]]
        for obj in left:
            if not obj["metadata"].get("deletionTimestamp"):
                self._actor.delete(obj, propagationPolicy="Background")
        left = [o for _, o in self._actor.store.everything() if _namespace(o) == key[1]]
        finalizers = dig(namespace, "spec", "finalizers", default=[])
        if not left and finalizers:
            self._actor.change(namespace, lambda n: n["spec"].pop("finalizers"))
        return None

    def _furnish(self, name: str) -> None:
        if self._actor.get("ServiceAccount", name, "default") is None:
            self._make("ServiceAccount", name, {"metadata": {"name": "default"}})
        if self._actor.get("ConfigMap", name, "kube-root-ca.crt") is None:
            data = {"ca.crt": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"}
            self._make("ConfigMap", name, {"metadata": {"name": "kube-root-ca.crt"}, "data": data})

    def _make(self, kind: str, namespace: str, obj: Obj) -> None:
        try:
            self._actor.create(kind, namespace, obj)
        except StatusError as error:
            if error.code not in (403, 409):
                raise


def _namespace(obj: Obj) -> str:
    return str(obj["metadata"].get("namespace", ""))


class QuotaController:
    """Keeps the account of each ResourceQuota."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "resourcequota-controller")
        self._admission = verbs.admission

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "ResourceQuota" or (
            change.address.namespace and self._actor.all("ResourceQuota", change.address.namespace)
        ):
            yield (change.address.namespace, "")

    def sync(self, key: Key) -> float | None:
        for quota in self._actor.all("ResourceQuota", key[0]):
            hard = dig(quota, "spec", "hard", default={})
            used = self._admission.used(key[0], hard)
            said = {name: as_quantity(value) for name, value in used.items()}
            status = {"hard": copied(hard), "used": said}
            if quota.get("status") != status:
                self._actor.change(quota, functools.partial(dict.update, status=status))
        return None


class ClaimController:
    """Binds each claim of a volume, as a provisioner does that always can."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "persistentvolume-controller")

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "PersistentVolumeClaim":
            yield change.address

    def sync(self, key: Key) -> float | None:
        claim = self._actor.get("PersistentVolumeClaim", *key)
        if claim is None or dig(claim, "status", "phase") == "Bound":
            return None
        if claim["spec"].get("storageClassName") == "none":
            self._actor.event(
                claim, "FailedBinding", "no persistent volumes available for this claim"
            )
            return None
        size = claim["spec"]["resources"]["requests"]
        modes = claim["spec"]["accessModes"]
        bound = {"phase": "Bound", "accessModes": modes, "capacity": size}

        def bind(obj: Obj) -> None:
            obj["spec"]["volumeName"] = f"pvc-{obj['metadata']['uid']}"
            obj["status"] = copied(bound)

        self._actor.change(claim, bind)
        return None
