"""What a pod on its node has to do with the rest of the cluster."""

from collections.abc import Callable

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.api.pod_logs import ContainerLog
from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.kubelet.status import PodState

NODE_ADDRESS = "127.0.0.1"


class PodSite:
    """A pod's state, and where it is reported and logged."""

    def __init__(
        self,
        actor: Actor,
        pod: Obj,
        address: str,
        log: Callable[[str, str], ContainerLog],
        wake: Callable[[], None],
        reaches: Callable[[str], bool],
    ) -> None:
        self.actor = actor
        self.clock = actor.clock
        self.pod = pod
        self.state = PodState(pod, address, NODE_ADDRESS)
        self.wake = wake
        """Have the kubelet look at the pod soon."""
        self._log = log
        self._reaches = reaches
        self._starts = 0

    def report(self) -> None:
        """Write the status of the pod, unless its node is lost."""
        if self._reaches(self.pod["spec"]["nodeName"]):
            now = self.clock.stamp()

            def say(pod: Obj) -> None:
                pod["status"] = self.state.status(pod.get("status", {}), now)

            self.actor.change(self.pod, say)

    def event(self, reason: str, message: str, type_: str = "Normal") -> None:
        if self._reaches(self.pod["spec"]["nodeName"]):
            self.actor.event(self.pod, reason, message, type_)

    def new_log(self, container: str) -> ContainerLog:
        return self._log(self.pod["metadata"]["uid"], container)

    def container_id(self, name: str) -> str:
        self._starts += 1
        return f"double://{self.pod['metadata']['uid']}/{name}/{self._starts}"
