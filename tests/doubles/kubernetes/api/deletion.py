"""Deleting: preconditions, grace, finalizers and what becomes of dependents."""

from dataclasses import replace
from typing import Any

from tests.doubles.kubernetes.api.calls import ApiCall
from tests.doubles.kubernetes.api.verbs import Verbs
from tests.doubles.kubernetes.base.clock import as_stamp, from_stamp
from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.base.refusals import conflict, not_found, options_error, unsupported

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
_POLICIES = ("Background", "Foreground", "Orphan")
_ORPHANED = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background "
    "to remove them or set propagationPolicy=Orphan to suppress this warning"
)


def delete(verbs: Verbs, call: ApiCall) -> tuple[Obj, bool]:
    """The object as it was at its end, or as it waits for it; and whether it is gone."""
    options = _options(call)
    with verbs.store.lock:
        old = verbs.store.get(call.kind, call.namespace, call.name)
        if old is None:
            raise not_found(call.kind, call.name)
        _check(call, old, options.get("preconditions") or {})
        finalizers = _finalizers(call, old, options)
        grace = _grace(call, old, options)
        meta = {**old["metadata"]}
        fills = call.kind.name == "Namespace" and bool(dig(old, "spec", "finalizers"))
        waits = bool(finalizers) or grace > 0 or fills
        if not waits:
            return (old if call.dry_run else verbs.store.remove(call.kind, old)), True
        first = "deletionTimestamp" not in meta
        if first:
            meta["generation"] = meta.get("generation", 0) + 1 if "generation" in meta else None
            meta["deletionTimestamp"] = as_stamp(verbs.clock.seconds() + grace)
            meta["deletionGracePeriodSeconds"] = grace
        elif grace < meta.get("deletionGracePeriodSeconds", 0):
            began = from_stamp(meta["deletionTimestamp"]) - meta["deletionGracePeriodSeconds"]
            meta["deletionTimestamp"] = as_stamp(began + grace)
            meta["deletionGracePeriodSeconds"] = grace
        meta["finalizers"] = finalizers
        meta = {key: value for key, value in meta.items() if value not in (None, [])}
        new = {**old, "metadata": meta}
        if call.dry_run or new == old:
            return new, False
        if call.kind.name == "Namespace" and not call.kind.custom:
            new["status"] = {**dig(old, "status", default={}), "phase": "Terminating"}
        return verbs.store.put(call.kind, new), False


def delete_collection(verbs: Verbs, call: ApiCall) -> list[Obj]:
    """Delete all that the call selects."""
    found, _ = verbs.list(replace(call, verb="list"))
    for obj in found:
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        delete(verbs, replace(call, verb="delete", namespace=namespace, name=meta["name"]))
    return found


def _options(call: ApiCall) -> Obj:
    """The options of the body or, without one, of the query."""
    sent: Any = call.body if isinstance(call.body, dict) else {}
    options = {key: value for key, value in sent.items() if value is not None}
    for name in ("propagationPolicy", "gracePeriodSeconds"):
        if name in call.query and name not in options:
            value = call.query[name]
            options[name] = int(value) if name == "gracePeriodSeconds" else value
    policy = options.get("propagationPolicy")
    if policy is not None and policy not in _POLICIES:
        problem = unsupported("propagationPolicy", policy, _POLICIES)
        raise options_error("DeleteOptions", problem)
    return options


def _check(call: ApiCall, old: Obj, preconditions: Obj) -> None:
    for name, field, title in (
        ("uid", "uid", "UID"),
        ("resourceVersion", "resourceVersion", "ResourceVersion"),
    ):
        wanted, real = preconditions.get(name), old["metadata"].get(field)
        if wanted and wanted != real:
            why = (
                f"Precondition failed: {title} in precondition: {wanted}, {title} in object meta: "
                f"{real}"
            )
            raise conflict(call.kind, call.name, why)


def _finalizers(call: ApiCall, old: Obj, options: Obj) -> list[str]:
    """The object's finalizers with those that the policy adds."""
    found = list(old["metadata"].get("finalizers", ()))
    policy = options.get("propagationPolicy")
    if options.get("orphanDependents") is not None:
        policy = "Orphan" if options["orphanDependents"] else "Background"
    if policy is None:
        job = call.kind.name == "Job" and not call.kind.custom
        if job:
            call.warnings.append(_ORPHANED)
        policy = "Orphan" if job and not {ORPHAN, FOREGROUND} & set(found) else None
    if policy is None:
        return found
    found = [each for each in found if each not in (ORPHAN, FOREGROUND)]
    added = {"Orphan": [ORPHAN], "Foreground": [FOREGROUND], "Background": []}[policy]
    return found + added


def _grace(call: ApiCall, old: Obj, options: Obj) -> int:
    """Seconds that a pod has left; nothing else is given any."""
    if call.kind.name != "Pod" or call.kind.custom:
        return 0
    asked = options.get("gracePeriodSeconds")
    if asked is not None and asked < 0:
        asked = 1
    spec = old["spec"]
    grace = spec.get("terminationGracePeriodSeconds", 30) if asked is None else asked
    if not spec.get("nodeName") or dig(old, "status", "phase") in ("Succeeded", "Failed"):
        return 0  # nothing runs that would need time
    return int(grace)
