"""The status of a pod, made of the states of its containers."""

from dataclasses import dataclass, field
from typing import Literal

from tests.doubles.kubernetes.base.objects import Obj, copied, dig, set_condition

Phase = Literal["Pending", "Running", "Succeeded", "Failed"]


@dataclass
class ContainerState:
    """What a container does now, and what it did before."""

    waiting: tuple[str, str] | None = ("ContainerCreating", "")
    """Reason and message."""
    started: str | None = None
    terminated: Obj | None = None
    last: Obj | None = None
    """How it ended before its latest start."""
    restarts: int = 0
    ready: bool = False
    id: str = ""

    def run(self, now: str, id_: str, ready: bool) -> None:
        if self.terminated is not None:
            self.last, self.terminated = self.terminated, None
            self.restarts += 1
        self.waiting, self.started, self.ready, self.id = None, now, ready, id_

    def end(self, now: str, code: int, reason: str = "", message: str = "") -> None:
        self.terminated = {
            "exitCode": code,
            "reason": reason or ("Completed" if code == 0 else "Error"),
            "startedAt": self.started or now,
            "finishedAt": now,
            "containerID": self.id,
        }
        if message:
            self.terminated["message"] = message
        self.waiting, self.started, self.ready = None, None, False

    def wait(self, reason: str, message: str = "") -> None:
        if self.terminated is not None:
            self.last, self.terminated = self.terminated, None
            self.restarts += 1
        self.waiting, self.started, self.ready = (reason, message), None, False

    @property
    def running(self) -> bool:
        return self.started is not None

    def written(self, container: Obj, ready: bool | None = None) -> Obj:
        """As a status of the pod says it."""
        state: Obj = {}
        if self.terminated is not None:
            state["terminated"] = self.terminated
        elif self.started is not None:
            state["running"] = {"startedAt": self.started}
        elif self.waiting is not None:
            reason, message = self.waiting
            state["waiting"] = {"reason": reason, **({"message": message} if message else {})}
        out: Obj = {
            "name": container["name"],
            "image": container["image"],
            "imageID": f"double://{container['image']}" if self.id else "",
            "state": state,
            "lastState": {"terminated": self.last} if self.last else {},
            "ready": self.ready if ready is None else ready,
            "restartCount": self.restarts,
            "started": self.running,
        }
        return {**out, "containerID": self.id} if self.id else out


@dataclass
class PodState:
    """What a pod does now."""

    pod: Obj
    address: str
    host: str
    inits: dict[str, ContainerState] = field(default_factory=dict)
    mains: dict[str, ContainerState] = field(default_factory=dict)
    failed: tuple[str, str] | None = None
    """Why the pod as a whole failed: reason and message."""
    begun: str = ""
    network: bool = False
    """Whether its sandbox is there."""

    def __post_init__(self) -> None:
        spec = self.pod["spec"]
        first = ("PodInitializing", "") if spec.get("initContainers") else ("ContainerCreating", "")
        self.inits = {
            each["name"]: ContainerState(("PodInitializing", ""))
            for each in spec.get("initContainers", ())
        }
        self.mains = {each["name"]: ContainerState(first) for each in spec["containers"]}

    def of(self, name: str) -> ContainerState:
        return self.inits[name] if name in self.inits else self.mains[name]

    def is_sidecar(self, container: Obj) -> bool:
        return container["name"] in self.inits and container.get("restartPolicy") == "Always"

    @property
    def initialized(self) -> bool:
        """Whether all init containers ended well, and all sidecars started."""
        return all(
            self.inits[each["name"]].running
            or dig(self.inits[each["name"]].terminated, "exitCode") == 0
            for each in self.pod["spec"].get("initContainers", ())
        )

    def phase(self) -> Phase:
        """As the kubelet derives it from the containers and the restart policy."""
        if any(each.running for each in self.inits.values()) and self.initialized:
            return "Running"  # a sidecar ends last
        if self.failed and not any(each.running for each in self.mains.values()):
            return "Failed"
        policy = self.pod["spec"]["restartPolicy"]
        codes = [dig(each.terminated, "exitCode") for each in self.mains.values()]
        for each in self.pod["spec"].get("initContainers", ()):
            code = dig(self.inits[each["name"]].terminated, "exitCode")
            if code and policy == "Never" and not self.is_sidecar(each):
                return "Failed"
        if not self.initialized and None in codes:
            return "Pending"
        if None not in codes and policy != "Always":
            if not any(codes):
                return "Succeeded"
            if policy == "Never":
                return "Failed"
        waiting = all(each.waiting and not each.last for each in self.mains.values())
        return "Pending" if waiting else "Running"

    @property
    def ready(self) -> bool:
        return all(each.ready for each in self.mains.values()) and not self.failed

    def status(self, old: Obj, now: str) -> Obj:
        """The status to write, with the conditions of the old one brought up to date."""
        spec = self.pod["spec"]
        status: Obj = copied(old)
        phase = self.phase()
        self.begun = self.begun or now
        status.update({"phase": phase, "startTime": self.begun, "hostIP": self.host})
        status["hostIPs"] = [{"ip": self.host}]
        if self.network:
            status.update({"podIP": self.address, "podIPs": [{"ip": self.address}]})
        if self.failed:
            status["reason"], status["message"] = self.failed
        inits = [self.inits[each["name"]].written(each) for each in spec.get("initContainers", ())]
        for each in inits:
            each["ready"] = dig(each, "state", "terminated", "exitCode") == 0 or each["started"]
        if inits:
            status["initContainerStatuses"] = inits
        status["containerStatuses"] = [
            self.mains[each["name"]].written(each) for each in spec["containers"]
        ]
        conditions = status.setdefault("conditions", [])
        ended = phase in ("Succeeded", "Failed")
        done = "PodCompleted" if phase == "Succeeded" else "PodFailed" if ended else ""
        unready = [name for name, each in self.mains.items() if not each.ready]
        not_ready = (
            done or "ContainersNotReady",
            f"containers with unready status: [{' '.join(unready)}]",
        )
        incomplete = [
            name
            for name, each in self.inits.items()
            if not each.running and dig(each.terminated, "exitCode") != 0
        ]
        not_begun = (
            "ContainersNotInitialized",
            f"containers with incomplete status: [{' '.join(incomplete)}]",
        )
        for type_, true, (reason, message) in (
            ("PodReadyToStartContainers", self.network and not ended, ("", "")),
            ("Initialized", self.initialized, not_begun),
            ("Ready", self.ready and not ended, not_ready),
            ("ContainersReady", self.ready and not ended, not_ready),
        ):
            new: Obj = {"type": type_, "status": "True" if true else "False", "lastProbeTime": None}
            old_one = next((each for each in conditions if each["type"] == type_), None)
            if old_one is not None:
                old_one.pop("reason", None)
                old_one.pop("message", None)
            if not true and reason:
                new |= {"reason": reason, "message": message}
            elif type_ == "Initialized" and phase == "Succeeded":
                new["reason"] = "PodCompleted"
            set_condition(conditions, now, {k: v for k, v in new.items() if v is not None})
        return status
