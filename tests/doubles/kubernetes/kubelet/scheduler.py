"""Places pods on nodes that have what they ask for."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.objects import Obj, dig, is_true, set_condition
from tests.doubles.kubernetes.base.quantities import amount
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.storage.store import ObjectChange

Amounts = dict[str, Decimal]


def requests_of(pod: Obj) -> Amounts:
    """What the pod needs: its containers' sum, or its largest init container's."""
    total: Amounts = {"pods": Decimal(1)}
    for container in pod["spec"]["containers"]:
        for name, text in container["resources"].get("requests", {}).items():
            total[name] = total.get(name, Decimal(0)) + amount(text)
    for container in pod["spec"].get("initContainers", ()):
        for name, text in container["resources"].get("requests", {}).items():
            total[name] = max(total.get(name, Decimal(0)), amount(text))
    return total


def tolerates(pod: Obj, taint: Obj) -> bool:
    for one in pod["spec"].get("tolerations", ()):
        if one.get("effect") not in (None, "", taint["effect"]):
            continue
        if one.get("operator") == "Exists" and one.get("key", taint["key"]) == taint["key"]:
            return True
        if one.get("key") == taint["key"] and one.get("value", "") == taint.get("value", ""):
            return bool(one.get("operator", "Equal") == "Equal")
    return False


class Scheduler:
    """The scheduler: the first node, by name, that fits."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "default-scheduler")
        self._placed: dict[str, tuple[str, Amounts]] = {}
        """The node and needs of each pod that has a place, by uid."""
        self._used: dict[str, Amounts] = {}
        self._pending: dict[Key, None] = {}

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name in ("Node", "PersistentVolumeClaim"):
            yield from list(self._pending)
        elif change.kind.name == "Pod":
            freed = self._account(change)
            if freed:
                yield from list(self._pending)
            waits = change.after is not None and not dig(change.after, "spec", "nodeName")
            if waits and not (change.before and change.address in self._pending):
                yield change.address
            elif not waits:
                self._pending.pop(change.address, None)

    def _account(self, change: ObjectChange) -> bool:
        """Whether a place became free."""
        pod = change.last
        uid = pod["metadata"]["uid"]
        node = dig(pod, "spec", "nodeName")
        ended = change.after is None or dig(pod, "status", "phase") in ("Succeeded", "Failed")
        if ended:
            found = self._placed.pop(uid, None)
            if found:
                for name, value in found[1].items():
                    self._used[found[0]][name] -= value
            return found is not None
        if node and uid not in self._placed:
            needs = requests_of(pod)
            self._placed[uid] = (node, needs)
            used = self._used.setdefault(node, {})
            for name, value in needs.items():
                used[name] = used.get(name, Decimal(0)) + value
        return False

    def sync(self, key: Key) -> float | None:
        pod = self._actor.get("Pod", *key)
        if pod is None or dig(pod, "spec", "nodeName") or pod["metadata"].get("deletionTimestamp"):
            self._pending.pop(key, None)
            return None
        if pod["spec"].get("schedulingGates"):
            self._refuse(
                pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates"
            )
            return None
        why = self._claims(pod)
        if why:
            self._refuse(
                pod, "Unschedulable", f"0/{len(self._actor.all('Node'))} nodes are available: {why}"
            )
            return None
        reasons: dict[str, int] = {}
        needs = requests_of(pod)
        nodes = self._actor.all("Node")
        for node in nodes:
            found = self._unfit(pod, node, needs)
            if not found:
                self._place(pod, node["metadata"]["name"], needs)
                return None
            for reason in found:
                reasons[reason] = reasons.get(reason, 0) + 1
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        victims = self._preempt(pod, nodes, needs)
        hint = (
            ""
            if victims
            else (
                f" preemption: 0/{len(nodes)} nodes are available: {len(nodes)} No preemption "
                "victims found for incoming pod."
            )
        )
        self._refuse(pod, "Unschedulable", f"0/{len(nodes)} nodes are available: {said}.{hint}")
        return None

    def _unfit(self, pod: Obj, node: Obj, needs: Amounts) -> list[str]:
        """Why the pod cannot run there."""
        labels = node["metadata"].get("labels", {})
        wanted = pod["spec"].get("nodeSelector", {})
        if any(labels.get(key) != value for key, value in wanted.items()):
            return ["node(s) didn't match Pod's node affinity/selector"]
        for taint in dig(node, "spec", "taints", default=[]):
            if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerates(pod, taint):
                value = f": {taint['value']}" if taint.get("value") else ": "
                return [f"node(s) had untolerated taint {{{taint['key']}{value}}}"]
        if dig(node, "spec", "unschedulable"):
            return ["node(s) were unschedulable"]
        if not is_true(node, "Ready"):
            return ["node(s) were not ready"]
        has = dig(node, "status", "allocatable", default={})
        used = self._used.get(node["metadata"]["name"], {})
        return [
            "Too many pods" if name == "pods" else f"Insufficient {name}"
            for name, value in needs.items()
            if used.get(name, Decimal(0)) + value > amount(has.get(name, 0))
        ]

    def _claims(self, pod: Obj) -> str:
        """Which claim of a volume the pod waits for."""
        for volume in pod["spec"].get("volumes", ()):
            name = dig(volume, "persistentVolumeClaim", "claimName")
            if not name:
                continue
            claim = self._actor.get("PersistentVolumeClaim", pod["metadata"]["namespace"], name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found.'
            if dig(claim, "status", "phase") != "Bound":
                return "pod has unbound immediate PersistentVolumeClaims."
        return ""

    def _place(self, pod: Obj, node: str, needs: Amounts) -> None:
        uid = pod["metadata"]["uid"]
        self._pending.pop((pod["metadata"]["namespace"], pod["metadata"]["name"]), None)
        self._placed[uid] = (node, needs)
        used = self._used.setdefault(node, {})
        for name, value in needs.items():
            used[name] = used.get(name, Decimal(0)) + value

        def bind(obj: Obj) -> None:
            obj["spec"]["nodeName"] = node
            found = obj["status"].setdefault("conditions", [])
            found[:] = [each for each in found if each["type"] != "PodScheduled"]
            new = {"type": "PodScheduled", "status": "True"}
            set_condition(found, self._actor.clock.stamp(), new)

        self._actor.change(pod, bind)
        where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self._actor.event(pod, "Scheduled", f"Successfully assigned {where} to {node}")

    def _refuse(self, pod: Obj, reason: str, message: str) -> None:
        self._pending[pod["metadata"]["namespace"], pod["metadata"]["name"]] = None
        new = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
        now = self._actor.clock.stamp()

        def say(obj: Obj) -> None:
            set_condition(obj["status"].setdefault("conditions", []), now, new)

        self._actor.change(pod, say)
        if reason == "Unschedulable":
            self._actor.event(pod, "FailedScheduling", message, "Warning")

    def _preempt(self, pod: Obj, nodes: list[Obj], needs: Amounts) -> list[Obj]:
        """End pods of lower priority on one node where that makes room."""
        if pod["spec"].get("preemptionPolicy") == "Never" or not pod["spec"].get("priority"):
            return []
        for node in nodes:
            lacking = [r for r in self._unfit(pod, node, needs) if not r.startswith("Insuff")]
            if lacking:
                continue
            lower = [
                each
                for each in self._actor.all("Pod")
                if dig(each, "spec", "nodeName") == node["metadata"]["name"]
                and each["spec"].get("priority", 0) < pod["spec"]["priority"]
                and dig(each, "status", "phase") not in ("Succeeded", "Failed")
            ]
            has = {n: amount(v) for n, v in dig(node, "status", "allocatable", default={}).items()}
            left = dict(self._used.get(node["metadata"]["name"], {}))
            victims = []
            for each in sorted(lower, key=lambda p: int(p["spec"].get("priority", 0))):
                if all(left.get(n, Decimal(0)) + v <= has.get(n, 0) for n, v in needs.items()):
                    break
                victims.append(each)
                for name, value in requests_of(each).items():
                    left[name] = left.get(name, Decimal(0)) - value
            if all(left.get(n, Decimal(0)) + v <= has.get(n, 0) for n, v in needs.items()):
                for victim in victims:
                    preempt(self._actor, victim)
                self._nominate(pod, node["metadata"]["name"])
                return victims
        return []

    def _nominate(self, pod: Obj, node: str) -> None:
        self._actor.change(pod, lambda p: p["status"].update(nominatedNodeName=node))


def preempt(actor: Actor, pod: Obj) -> None:
    """End a pod for one of higher priority."""
    disrupt(
        actor,
        pod,
        "PreemptionByScheduler",
        "default-scheduler: preempting to accommodate a higher priority pod",
    )
    actor.event(pod, "Preempted", "Preempted by a pod of higher priority", "Normal")
    actor.delete(pod)


def disrupt(actor: Actor, pod: Obj, reason: str, message: str) -> None:
    """Write the condition that says why the cluster ends a pod."""
    new = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    now = actor.clock.stamp()
    actor.change(pod, lambda p: set_condition(p["status"].setdefault("conditions", []), now, new))
