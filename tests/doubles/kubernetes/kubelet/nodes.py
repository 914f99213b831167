"""Nodes, and what befalls them and their pods: the hand of the test."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.clock import from_stamp
from tests.doubles.kubernetes.base.objects import Obj, condition, dig, set_condition
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.kubelet.keeper import Kubelets
from tests.doubles.kubernetes.kubelet.scheduler import disrupt, preempt
from tests.doubles.kubernetes.storage.store import ObjectChange

UNREACHABLE = "node.kubernetes.io/unreachable"
NOTICED_AFTER = 40.0
"""Seconds until the control plane notices that a node is silent."""


class NodeController:
    """Notices lost nodes, and deletes their pods when they are not tolerated any longer."""

    def __init__(self, verbs: Any, kubelets: Kubelets) -> None:
        self._actor = Actor(verbs, "node-controller")
        self._kubelets = kubelets
        self._noticed: set[str] = set()

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "Node":
            yield ("", change.address.name)
        elif change.kind.name == "Pod":
            node = dig(change.last, "spec", "nodeName")
            if node in self._kubelets.lost:
                yield ("", node)

    def sync(self, key: Key) -> float | None:
        node = self._actor.get("Node", "", key[1])
        if node is None:
            self._collect(key[1])
            return None
        if key[1] not in self._kubelets.lost:
            if key[1] in self._noticed:
                self._noticed.discard(key[1])
                self._return(node)
            return None
        now = self._actor.clock.seconds()
        noticed = self._kubelets.lost[key[1]] + NOTICED_AFTER
        if now < noticed:
            return noticed
        if key[1] not in self._noticed:
            self._noticed.add(key[1])
            self._notice(node)
        return self._evict(key[1], now)

    def _pods(self, node: str) -> list[Obj]:
        return [pod for pod in self._actor.all("Pod") if dig(pod, "spec", "nodeName") == node]

    def _notice(self, node: Obj) -> None:
        now = self._actor.clock.stamp()
        unknown = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
                   "message": "Kubelet stopped posting node status."}  # fmt: skip

        def mark(obj: Obj) -> None:
            set_condition(obj["status"]["conditions"], now, unknown)
            obj["spec"].setdefault("taints", []).extend(
                {"key": UNREACHABLE, "effect": effect, "timeAdded": now}
                for effect in ("NoSchedule", "NoExecute")
            )

        self._actor.change(node, mark)
        for pod in self._pods(node["metadata"]["name"]):
            self._actor.change(pod, lambda p: _unready(p, now))
            self._actor.event(pod, "NodeNotReady", "Node is not ready", "Warning")

    def _return(self, node: Obj) -> None:
        now = self._actor.clock.stamp()

        def mark(obj: Obj) -> None:
            set_condition(obj["status"]["conditions"], now, _ready())
            left = [
                each
                for each in dig(obj, "spec", "taints", default=[])
                if each["key"] != UNREACHABLE
            ]
            obj["spec"].pop("taints", None)
            if left:
                obj["spec"]["taints"] = left

        self._actor.change(node, mark)

    def _evict(self, name: str, now: float) -> float | None:
        """Delete the pods whose toleration of the taint is over."""
        node = self._actor.get("Node", "", name)
        unready = condition(node, "Ready") if node else None
        if unready is None:
            return None
        since = from_stamp(unready["lastTransitionTime"])
        again: list[float] = []
        for pod in self._pods(name):
            ended = dig(pod, "status", "phase") in ("Succeeded", "Failed")
            if ended or pod["metadata"].get("deletionTimestamp"):
                continue
            patience = _patience(pod)
            if patience is None:
                continue
            if now < since + patience:
                again.append(since + patience)
                continue
            why = "Taint manager: deleting due to NoExecute taint"
            disrupt(self._actor, pod, "DeletionByTaintManager", why)
            self._actor.event(
                pod, "TaintManagerEviction", f"Marking for deletion Pod {pod['metadata']['name']}"
            )
            self._actor.delete(pod)
        return min(again, default=None)

    def _collect(self, name: str) -> None:
        """Pods of a node that is gone are failed and deleted."""
        for pod in self._pods(name):
            why = "PodGC: node no longer exists"
            disrupt(self._actor, pod, "DeletionByPodGC", why)
            if dig(pod, "status", "phase") not in ("Succeeded", "Failed"):
                self._actor.change(pod, lambda p: p["status"].update(phase="Failed"))
            self._actor.delete(pod, gracePeriodSeconds=0)


def _unready(pod: Obj, now: str) -> None:
    new = {"type": "Ready", "status": "False"}
    set_condition(pod["status"].setdefault("conditions", []), now, new)


def _ready() -> Obj:
    return {"type": "Ready", "status": "True", "reason": "KubeletReady",
            "message": "kubelet is posting ready status"}  # fmt: skip


def _patience(pod: Obj) -> float | None:
    """Seconds that the pod tolerates its node's silence; None for ever."""
    for one in pod["spec"].get("tolerations", ()):
        fits = one.get("key", UNREACHABLE) == UNREACHABLE
        if fits and one.get("effect", "NoExecute") == "NoExecute":
            seconds = one.get("tolerationSeconds")
            return None if seconds is None else float(seconds)
    return 0.0


class Nodes:
    """Adds nodes, and does to them and their pods what a test says."""

    def __init__(self, verbs: Any, kubelets: Kubelets, look: Callable[[str], None]) -> None:
        self._actor = Actor(verbs, "kubelet")
        self._kubelets = kubelets
        self._look = look
        """Have the controllers look at a node and its pods again."""

    def add(
        self,
        name: str,
        resources: Mapping[str, str | int] | None = None,
        labels: Mapping[str, str] | None = None,
        taints: Iterable[Mapping[str, str]] = (),
    ) -> Obj:
        """A node that is ready; `resources` beyond or instead of those it has anyhow."""
        has = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "5000"}
        has |= {key: str(value) for key, value in (resources or {}).items()}
        spec: Obj = {"taints": [dict(each) for each in taints]} if taints else {}
        said = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **(labels or {})}
        node = self._actor.create(
            "Node", "", {"metadata": {"name": name, "labels": said}, "spec": spec}
        )
        status: Obj = {"capacity": has, "allocatable": has, "conditions": []}
        set_condition(status["conditions"], self._actor.clock.stamp(), _ready())
        status["addresses"] = [{"type": "InternalIP", "address": "127.0.0.1"}]
        changed = self._actor.change(node, lambda n: n.update(status=status))
        assert changed is not None
        return changed

    def _pod(self, namespace: str, name: str) -> Obj:
        pod = self._actor.get("Pod", namespace, name)
        if pod is None:
            raise KeyError(f"{namespace}/{name}")
        return pod

    def oom_kill(self, namespace: str, name: str, container: str = "") -> None:
        """Kill a container for its use of memory."""
        pod = self._pod(namespace, name)
        which = container or pod["spec"]["containers"][0]["name"]
        self._kubelets.run_of(pod).kill(which, "OOMKilled")

    def evict(self, namespace: str, name: str, message: str = "") -> None:
        """The kubelet ends a pod because its node is short of something."""
        pod = self._pod(namespace, name)
        why = (
            message
            or "The node was low on resource: memory. Threshold quantity: 100Mi, available: 42Mi. "
        )
        disrupt(self._actor, pod, "TerminationByKubelet", why)
        self._actor.event(pod, "Evicted", why, "Warning")
        self._kubelets.run_of(pod).fail("Evicted", why)

    def preempt(self, namespace: str, name: str) -> None:
        """The scheduler ends a pod for another."""
        preempt(self._actor, self._pod(namespace, name))

    def lose(self, name: str) -> None:
        """The node is silent from now on; its processes go on, unseen."""
        self._kubelets.lost[name] = self._actor.clock.seconds()
        self._look(name)

    def recover(self, name: str) -> None:
        """The node is heard of again, and does what it was told meanwhile."""
        self._kubelets.lost.pop(name, None)
        self._look(name)

    def remove(self, name: str) -> None:
        """The node is taken out of the cluster."""
        node = self._actor.get("Node", "", name)
        if node is not None:
            self._actor.delete(node)

    def drain(self, name: str) -> None:
        """Cordon the node and evict its pods by the eviction API, as `kubectl drain` does."""
        node = self._actor.get("Node", "", name)
        assert node is not None
        self._actor.change(node, lambda n: n["spec"].update(unschedulable=True))
        for pod in self._actor.all("Pod"):
            if dig(pod, "spec", "nodeName") == name:
                disrupt(self._actor, pod, "EvictionByEvictionAPI", "Eviction API: evicting")
                self._actor.delete(pod)
