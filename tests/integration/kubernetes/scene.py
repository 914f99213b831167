"""A namespace of a real cluster, and what tests put into it and read from it."""

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tests.servers.kubernetes.handle import Kubernetes

if TYPE_CHECKING:
    from lightkube import Client
    from lightkube.models.core_v1 import Container, ContainerStateTerminated
    from lightkube.resources.batch_v1 import Job
    from lightkube.resources.core_v1 import Pod

T = TypeVar("T")
PATIENCE = 100.0
"""Seconds after which what was waited for counts as not coming."""


def until(found: Callable[[], T | None]) -> T:
    """What `found` returns, once it is something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{found} did not come in {PATIENCE:.0f} s")


class Scene:
    """A namespace of its own."""

    def __init__(self, kubernetes: Kubernetes, client: "Client") -> None:
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.core_v1 import Namespace

        self.kubernetes = kubernetes
        self.client = client
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        client.create(Namespace(metadata=ObjectMeta(name=self.name)))
        until(self._is_furnished)

    def job(
        self,
        *command: str,
        memory: str | None = None,
        scratch: str | None = None,
        before: "Container | None" = None,
        **spec: Any,
    ) -> str:
        """Create a Job with one pod and, unless `spec` says so, no second try; returns its name.

        `memory` limits its container and `scratch` its folder /scratch; `before` runs before it.
        """
        from lightkube.models.batch_v1 import JobSpec
        from lightkube.models.core_v1 import (
            Container,
            EmptyDirVolumeSource,
            PodSpec,
            PodTemplateSpec,
            ResourceRequirements,
            Volume,
            VolumeMount,
        )
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.batch_v1 import Job

        name = f"job-{uuid.uuid4().hex[:8]}"
        needs = ResourceRequirements(limits={"memory": memory}) if memory else None
        main = Container(
            name="main",
            image=self.kubernetes.image,
            command=list(command),
            resources=needs,
            volumeMounts=[VolumeMount(name="scratch", mountPath="/scratch")],
        )
        folder = EmptyDirVolumeSource(sizeLimit=scratch)
        pod = PodSpec(
            containers=[main],
            initContainers=[before] if before else None,
            restartPolicy="Never",
            terminationGracePeriodSeconds=1,
            volumes=[Volume(name="scratch", emptyDir=folder)],
        )
        whole = JobSpec(**{"backoffLimit": 0, "template": PodTemplateSpec(spec=pod), **spec})
        self.client.create(Job(metadata=ObjectMeta(name=name, namespace=self.name), spec=whole))
        return name

    def ended(self, job: str) -> "Job":
        """The Job, once it has a condition."""
        from lightkube.resources.batch_v1 import Job

        def found() -> "Job | None":
            read = self.client.get(Job, job, namespace=self.name)
            return read if read.status and read.status.conditions else None

        return until(found)

    def pods(self) -> "list[Pod]":
        """All of this namespace."""
        from lightkube.resources.core_v1 import Pod

        return list(self.client.list(Pod, namespace=self.name))

    def staying(self) -> "list[Pod]":
        """Those that nobody has deleted; the others are there for up to a minute and a half."""
        return [pod for pod in self.pods() if pod.metadata and not pod.metadata.deletionTimestamp]

    def pod(self) -> "Pod":
        """The only one, once it is there."""
        (pod,) = until(self.pods)
        return pod

    def container(self) -> "ContainerStateTerminated":
        """How the container of the only pod ended."""
        status = self.pod().status
        assert status
        assert status.containerStatuses
        state = status.containerStatuses[0].state
        assert state
        assert state.terminated
        return state.terminated

    def _is_furnished(self) -> bool:
        """Whether controllers have put in what each namespace gets.

        Until the account has its secret, pods are refused.
        """
        from lightkube import ApiError
        from lightkube.resources.core_v1 import ConfigMap, ServiceAccount

        try:
            self.client.get(ConfigMap, "kube-root-ca.crt", namespace=self.name)
            return bool(self.client.get(ServiceAccount, "default", namespace=self.name).secrets)
        except ApiError as error:
            if error.status.code != 404:
                raise
            return False
