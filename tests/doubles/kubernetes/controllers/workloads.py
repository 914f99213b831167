"""Deployments and ReplicaSets: rollouts by surge, with progress and its deadline."""

import math
from collections.abc import Iterable
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.clock import from_stamp
from tests.doubles.kubernetes.base.objects import (
    Obj,
    condition,
    copied,
    dig,
    is_true,
    owner_of,
    owner_reference,
    set_condition,
    short_hash,
)
from tests.doubles.kubernetes.base.refusals import StatusError
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.storage.store import ObjectChange

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


def _owner_key(change: ObjectChange, kind: str) -> Iterable[Key]:
    owner = owner_of(change.last)
    if owner and owner["kind"] == kind:
        yield (change.address.namespace, owner["name"])


class ReplicaSetController:
    """Keeps as many pods as a ReplicaSet says."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "replicaset-controller")

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "ReplicaSet":
            yield change.address
        elif change.kind.name == "Pod":
            yield from _owner_key(change, "ReplicaSet")

    def sync(self, key: Key) -> float | None:
        found = self._actor.get("ReplicaSet", *key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return None
        pods = [pod for pod in self._actor.owned(found, "Pod") if _is_active(pod)]
        lacking = found["spec"]["replicas"] - len(pods)
        failure: StatusError | None = None
        for _ in range(max(lacking, 0)):
            try:
                made = self._actor.create("Pod", key[0], _pod_of(found))
            except StatusError as error:
                failure = error
                self._actor.event(found, "FailedCreate", f"Error creating: {error}", "Warning")
                break
            pods.append(made)
        if lacking < 0:
            pods.sort(key=lambda pod: (is_true(pod, "Ready"), pod["metadata"]["creationTimestamp"]))
            for pod in pods[:-lacking]:
                self._actor.delete(pod)
            pods = pods[-lacking:]
        self._report(found, pods, failure)
        later = self._later(found, pods)
        return self._actor.clock.seconds() + 10 if failure else later

    def _report(self, found: Obj, pods: list[Obj], failure: StatusError | None) -> None:
        status: Obj = {"replicas": len(pods), "observedGeneration": found["metadata"]["generation"]}
        ready = [pod for pod in pods if is_true(pod, "Ready")]
        for name, count in (
            ("fullyLabeledReplicas", len(pods)),
            ("readyReplicas", len(ready)),
            ("availableReplicas", sum(self._is_available(found, pod) for pod in ready)),
        ):
            if count:
                status[name] = count
        if failure:
            said = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                    "message": str(failure)}  # fmt: skip
            old = copied(dig(found, "status", "conditions", default=[]))
            set_condition(old, self._actor.clock.stamp(), said)
            status["conditions"] = old
        self._actor.change(found, lambda r: r.update(status=status))

    def _since(self, found: Obj, pod: Obj) -> float:
        """When the pod counts as available, if it stays ready."""
        ready = condition(pod, "Ready")
        assert ready is not None
        return from_stamp(ready["lastTransitionTime"]) + float(
            found["spec"].get("minReadySeconds", 0)
        )

    def _is_available(self, found: Obj, pod: Obj) -> bool:
        return self._since(found, pod) <= self._actor.clock.seconds()

    def _later(self, found: Obj, pods: list[Obj]) -> float | None:
        waits = [
            self._since(found, pod)
            for pod in pods
            if is_true(pod, "Ready") and not self._is_available(found, pod)
        ]
        return min(waits, default=None)


def _is_active(pod: Obj) -> bool:
    ended = dig(pod, "status", "phase") in ("Succeeded", "Failed")
    return not ended and not pod["metadata"].get("deletionTimestamp")


def _pod_of(found: Obj) -> Obj:
    template = copied(found["spec"]["template"])
    meta = template.setdefault("metadata", {})
    meta["generateName"] = f"{found['metadata']['name']}-"
    meta["ownerReferences"] = [owner_reference(found)]
    return dict(template)


class DeploymentController:
    """Rolls Deployments out."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "deployment-controller")

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "Deployment":
            yield change.address
        elif change.kind.name == "ReplicaSet":
            yield from _owner_key(change, "Deployment")

    def sync(self, key: Key) -> float | None:
        found = self._actor.get("Deployment", *key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return None
        sets = self._actor.owned(found, "ReplicaSet")
        wanted = self._hash(found)
        new = next((each for each in sets if each["metadata"]["labels"].get(HASH) == wanted), None)
        if new is None and not found["spec"].get("paused"):
            new = self._make(found, sets, wanted)
        elif new is not None:
            self._revise(found, new, sets)
        sets = self._actor.owned(found, "ReplicaSet")
        old = [
            each
            for each in sets
            if new is None or each["metadata"]["uid"] != new["metadata"]["uid"]
        ]
        if new is not None:
            self._roll(found, new, old)
        self._tidy(found, old)
        return self._report(found, wanted)

    @staticmethod
    def _hash(found: Obj) -> str:
        return short_hash(found["spec"]["template"])

    def _make(self, found: Obj, sets: list[Obj], wanted: str) -> Obj:
        template = copied(found["spec"]["template"])
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = wanted
        selector = copied(found["spec"]["selector"])
        selector.setdefault("matchLabels", {})[HASH] = wanted
        revision = 1 + max((_revision(each) for each in sets), default=0)
        made = self._actor.create(
            "ReplicaSet",
            found["metadata"]["namespace"],
            {
                "metadata": {
                    "name": f"{found['metadata']['name']}-{wanted}",
                    "labels": template["metadata"]["labels"],
                    "annotations": {REVISION: str(revision)},
                    "ownerReferences": [owner_reference(found)],
                },
                "spec": {
                    "replicas": 0,
                    "selector": selector,
                    "template": template,
                    "minReadySeconds": found["spec"].get("minReadySeconds", 0),
                },
            },
        )
        self._note_revision(found, revision)
        name = made["metadata"]["name"]
        self._progress(found, "NewReplicaSetCreated", f'Created new replica set "{name}"')
        return made

    def _revise(self, found: Obj, new: Obj, sets: list[Obj]) -> None:
        """An older ReplicaSet that is wanted again becomes the latest revision."""
        latest = max(_revision(each) for each in sets)
        if _revision(new) < latest:
            latest += 1
            said = {REVISION: str(latest)}
            self._actor.change(new, lambda r: r["metadata"]["annotations"].update(said))
            name = new["metadata"]["name"]
            self._progress(found, "FoundNewReplicaSet", f'Found new replica set "{name}"')
        self._note_revision(found, latest)

    def _note_revision(self, found: Obj, revision: int) -> None:
        said = {REVISION: str(revision)}
        self._actor.change(
            found, lambda d: d["metadata"].setdefault("annotations", {}).update(said)
        )

    def _progress(self, found: Obj, reason: str, message: str, status: str = "True") -> None:
        now = self._actor.clock.stamp()
        new = {"type": "Progressing", "status": status, "reason": reason, "message": message,
               "lastUpdateTime": now}  # fmt: skip

        def say(obj: Obj) -> None:
            set_condition(obj.setdefault("status", {}).setdefault("conditions", []), now, new)

        self._actor.change(found, say)

    def _scale(self, each: Obj, replicas: int) -> None:
        self._actor.change(each, lambda r: r["spec"].update(replicas=max(0, replicas)))

    def _roll(self, found: Obj, new: Obj, old: list[Obj]) -> None:
        wanted = found["spec"]["replicas"]
        strategy = found["spec"]["strategy"]
        if found["spec"].get("paused"):
            return
        if strategy["type"] == "Recreate":
            for each in old:
                self._scale(each, 0)
            if not any(self._actor.owned(each, "Pod") for each in old):
                self._scale(new, wanted)
            return
        surge, missing = _limits(strategy["rollingUpdate"], wanted)
        now = new["spec"]["replicas"]
        total = now + sum(each["spec"]["replicas"] for each in old)
        if now != wanted:
            room = max(0, wanted + surge - total)
            now = min(now + room, wanted) if now < wanted else wanted
            self._scale(new, now)
        available = dig(new, "status", "availableReplicas", default=0)
        spare = sum(each["spec"]["replicas"] for each in old) + available - (wanted - missing)
        for each in sorted(old, key=_revision):  # what does not serve goes first
            idle = each["spec"]["replicas"] - dig(each, "status", "availableReplicas", default=0)
            less = min(max(spare, idle), each["spec"]["replicas"])
            if less > 0:
                self._scale(each, each["spec"]["replicas"] - less)
                spare -= less

    def _tidy(self, found: Obj, old: list[Obj]) -> None:
        done = [
            each
            for each in sorted(old, key=_revision)
            if not each["spec"]["replicas"] and not dig(each, "status", "replicas", default=0)
        ]
        for each in done[: max(0, len(done) - found["spec"]["revisionHistoryLimit"])]:
            self._actor.delete(each)

    def _report(self, found: Obj, wanted: str) -> float | None:
        live = self._actor.get(
            "Deployment", found["metadata"]["namespace"], found["metadata"]["name"]
        )
        if live is None:
            return None
        sets = self._actor.owned(live, "ReplicaSet")
        new = next((each for each in sets if each["metadata"]["labels"].get(HASH) == wanted), None)
        counts = {
            "replicas": _sum(sets, "replicas"),
            "updatedReplicas": _sum([new] if new else [], "replicas"),
            "readyReplicas": _sum(sets, "readyReplicas"),
            "availableReplicas": _sum(sets, "availableReplicas"),
        }
        replicas = live["spec"]["replicas"]
        counts["unavailableReplicas"] = max(0, replicas - counts["availableReplicas"])
        old = live.get("status", {})
        before = {name: old.get(name, 0) for name in counts}
        status: Obj = {k: v for k, v in counts.items() if v}
        status["observedGeneration"] = live["metadata"]["generation"]
        status["conditions"] = self._conditions(live, counts, sets)
        self._actor.change(live, lambda d: d.update(status=status))
        name = new["metadata"]["name"] if new else ""
        return self._judge(live, counts, before, name)

    def _conditions(self, live: Obj, counts: dict[str, int], sets: list[Obj]) -> list[Obj]:
        now = self._actor.clock.stamp()
        conditions: list[Obj] = copied(dig(live, "status", "conditions", default=[]))
        replicas = live["spec"]["replicas"]
        _, missing = _limits(live["spec"]["strategy"].get("rollingUpdate", {}), replicas)
        enough = counts["availableReplicas"] >= replicas - missing
        said = "True" if enough else "False"
        if _status_of(conditions, "Available") != said:
            has = "has" if enough else "does not have"
            new = {
                "type": "Available",
                "status": said,
                "reason": f"MinimumReplicas{'Available' if enough else 'Unavailable'}",
                "message": f"Deployment {has} minimum availability.",
                "lastUpdateTime": now,
            }
            set_condition(conditions, now, new)
        failures = [failure for each in sets if (failure := condition(each, "ReplicaFailure"))]
        conditions = [each for each in conditions if each["type"] != "ReplicaFailure"]
        return conditions + [
            {**each, "lastUpdateTime": each["lastTransitionTime"]} for each in failures
        ]

    def _judge(
        self, live: Obj, counts: dict[str, int], before: dict[str, int], name: str
    ) -> float | None:
        """Say how the rollout goes; when its deadline is."""
        replicas = live["spec"]["replicas"]
        progressing = condition(live, "Progressing")
        done = (
            counts["updatedReplicas"] == replicas == counts["replicas"]
            and counts["availableReplicas"] == replicas
        )
        if done:
            if progressing is None or progressing["reason"] != "NewReplicaSetAvailable":
                message = f'ReplicaSet "{name}" has successfully progressed.'
                self._progress(live, "NewReplicaSetAvailable", message)
            return None
        if (
            progressing is None
            or progressing["reason"] == "NewReplicaSetAvailable"
            or any(
                counts[each] > before[each]
                for each in ("updatedReplicas", "readyReplicas", "availableReplicas")
            )
        ):
            self._progress(live, "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
            return self._actor.clock.seconds() + float(live["spec"]["progressDeadlineSeconds"])
        if progressing["reason"] == "ProgressDeadlineExceeded":
            return None
        ends = from_stamp(progressing["lastUpdateTime"]) + live["spec"]["progressDeadlineSeconds"]
        if self._actor.clock.seconds() < ends:
            return float(ends)
        message = f'ReplicaSet "{name}" has timed out progressing.'
        self._progress(live, "ProgressDeadlineExceeded", message, "False")
        return None


def _status_of(conditions: list[Obj], type_: str) -> str:
    return next((str(each["status"]) for each in conditions if each["type"] == type_), "")


def _revision(each: Obj) -> int:
    return int(dig(each, "metadata", "annotations", REVISION, default="0"))


def _sum(sets: list[Obj], name: str) -> int:
    return sum(dig(each, "status", name, default=0) for each in sets)


def _limits(rolling: Obj, replicas: int) -> tuple[int, int]:
    """How many pods more, and how many fewer, there may be meanwhile."""

    def number(value: Any, up: bool) -> int:
        if isinstance(value, str) and value.endswith("%"):
            part = replicas * int(value[:-1]) / 100
            return math.ceil(part) if up else math.floor(part)
        return int(value)

    surge = number(rolling.get("maxSurge", 0), up=True)
    missing = number(rolling.get("maxUnavailable", 0), up=False)
    return (surge, missing) if surge or missing else (0, 1)
