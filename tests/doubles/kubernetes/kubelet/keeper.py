"""The kubelets of all nodes: they start pods, end them, and say how they are."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.api.pod_logs import ContainerLog
from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.base.subnets import pod_address
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.kubelet.images import ImageRegistry
from tests.doubles.kubernetes.kubelet.played import PlayedPod
from tests.doubles.kubernetes.kubelet.plays import Plays
from tests.doubles.kubernetes.kubelet.running import RunningPod
from tests.doubles.kubernetes.kubelet.site import PodSite
from tests.doubles.kubernetes.storage.store import ObjectChange


class PodRun(Protocol):
    """A pod on its node."""

    site: PodSite

    def step(self) -> float | None:
        """Bring it forward; when to do so again, in the cluster's seconds."""
        ...

    def stop(self, seconds: float) -> None:
        """End it; its processes have so many of the cluster's seconds."""
        ...

    def fail(self, reason: str, message: str) -> None:
        """End it at once, as failed."""
        ...

    def kill(self, container: str, reason: str) -> None:
        """Kill a container with exit code 137 and that reason."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more."""
        ...


class Kubelets:
    """Runs or plays the pods of every node that is not lost."""

    def __init__(self, verbs: Any, folder: Path, images: ImageRegistry, plays: Plays) -> None:
        self._actor = Actor(verbs, "kubelet")
        self._folder = folder
        self._images = images
        self._plays = plays
        self._runs: dict[str, PodRun] = {}
        self._uids: dict[Key, str] = {}
        """The uid of the pod that runs under a name."""
        self._logs: dict[tuple[str, str], list[ContainerLog]] = {}
        self._addresses = 0
        self.lost: dict[str, float] = {}
        """Nodes that the control plane cannot reach, and since when."""
        self.wake: Any = lambda _key: None
        """Called with the key of a pod that must be looked at."""
        self._lock = threading.Lock()

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "Pod" and dig(change.last, "spec", "nodeName"):
            yield change.address

    def sync(self, key: Key) -> float | None:
        pod = self._actor.get("Pod", *key)
        self._forget(key, pod)
        if pod is None or not dig(pod, "spec", "nodeName"):
            return None
        if pod["spec"]["nodeName"] in self.lost:
            return None
        uid = pod["metadata"]["uid"]
        run = self._runs.get(uid)
        if run is None:
            ended = dig(pod, "status", "phase") in ("Succeeded", "Failed")
            if pod["metadata"].get("deletionTimestamp"):
                self._actor.delete(pod, gracePeriodSeconds=0)
            if ended or pod["metadata"].get("deletionTimestamp"):
                return None
            run = self._runs[uid] = self._begin(pod)
            self._uids[key] = uid
        if pod["metadata"].get("deletionTimestamp"):
            run.stop(float(pod["metadata"].get("deletionGracePeriodSeconds", 0)))
        again = run.step()
        if pod["metadata"].get("deletionTimestamp") and run.ended:
            self._actor.delete(pod, gracePeriodSeconds=0)
            return None
        return again

    def _begin(self, pod: Obj) -> PodRun:
        self._addresses += 1
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        site = PodSite(
            self._actor,
            pod,
            pod_address(self._addresses),
            self._new_log,
            lambda: self.wake(key),
            self.reaches,
        )
        play = self._plays.of(pod)
        if play is not None:
            return PlayedPod(site, play)
        return RunningPod(site, self._images, self._folder)

    def _forget(self, key: Key, pod: Obj | None) -> None:
        """End what is left of a pod that is gone, or whose name another has now."""
        uid = self._uids.get(key)
        if uid is None or (pod is not None and pod["metadata"]["uid"] == uid):
            return
        if self._runs[uid].site.pod["spec"]["nodeName"] not in self.lost:
            self._runs.pop(uid).stop(0)
            del self._uids[key]

    def _new_log(self, uid: str, container: str) -> ContainerLog:
        log = ContainerLog()
        with self._lock:
            self._logs.setdefault((uid, container), []).append(log)
        return log

    def log(self, uid: str, container: str, previous: bool) -> ContainerLog | None:
        with self._lock:
            found = self._logs.get((uid, container), [])
            at = 2 if previous else 1
            return found[-at] if len(found) >= at else None

    def reaches(self, node: str) -> bool:
        return node not in self.lost

    def run_of(self, pod: Obj) -> PodRun:
        """The pod on its node; KeyError if it was never started."""
        return self._runs[pod["metadata"]["uid"]]

    def address_of(self, uid: str) -> str:
        return self._runs[uid].site.state.address

    def stop(self) -> None:
        """End all processes."""
        for run in list(self._runs.values()):
            run.stop(0)

    def join(self) -> None:
        """Wait for the end of all pods that run processes."""
        for run in list(self._runs.values()):
            if isinstance(run, RunningPod):
                run.join()
