"""What pods are like on a cluster, by the platform team: the profiles of its settings."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from specs.base import Many, Name, Spec, Text
from specs.values import Cpu, Duration, Size

DEFAULT_PROFILE: Final = "default"
"""The profile of steps and servers that name none."""
NONROOT: Final = 65532
"""The user of pods, by default: `nonroot` of distroless images."""

_LABEL = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
ObjectName = Annotated[str, StringConstraints(pattern=_LABEL)]
"""The name of an object of the cluster."""


class Toleration(Spec):
    """A taint of nodes that steps tolerate."""

    key: Text | None = Field(default=None, description="The taint's key; without one, every taint.")
    operator: Literal["Equal", "Exists"] = Field(
        default="Exists", description="Whether the taint's value has to be `value`."
    )
    value: Text | None = Field(default=None, description="The taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="The taint's effect; without one, every effect."
    )


class ClusterVolume(Spec):
    """A volume that steps can read, such as data that is too large to be copied."""

    path: Annotated[str, StringConstraints(pattern=r"^/[^:]*$")] = Field(
        description="Where steps find it."
    )
    claim: ObjectName | None = Field(
        default=None, description="The name of a PersistentVolumeClaim in the namespace."
    )
    source: Mapping[str, Any] | None = Field(
        default=None, description="Or any other volume source, as in a pod: `nfs: {...}`."
    )
    writable: bool = Field(default=False, description="Whether steps may write to it.")


class ClusterProfile(Spec):
    """What the pods of steps are like, by the platform team."""

    cpu: Cpu | None = Field(
        default=None, description="Processors of steps that do not say, as a request."
    )
    memory: Size | None = Field(
        default=None, description="Memory of steps that do not say, as a request and a limit."
    )
    devices: Mapping[Text, int] = Field(
        default={}, description="Extended resources of every step, such as nvidia.com/gpu: 1."
    )
    gpu: Text = Field(
        default="nvidia.com/gpu", description="The resource that `resources.gpu` stands for."
    )
    disk: Size | None = Field(
        default=None,
        description="The most that inputs, outputs and scratch files may take on the node's disk.",
    )
    node_selector: Mapping[Text, str] = Field(default={}, description="Labels that nodes need.")
    tolerations: Many[Toleration] = Field(default=(), description="Taints that are tolerated.")
    priority_class: ObjectName | None = Field(default=None, description="A PriorityClass.")
    runtime_class: ObjectName | None = Field(default=None, description="A RuntimeClass.")
    image_pull_secrets: Many[ObjectName] = Field(
        default=(), description="Secrets in the namespace for registries."
    )
    service_account: ObjectName | None = Field(
        default=None, description="The service account of the pods; the namespace's by default."
    )
    token: bool = Field(
        default=False,
        description="Whether steps are given the service account's token. Whoever may change a "
        "step can then do all that the account may do.",
    )
    trusted: bool = Field(
        default=False,
        description="Whether it is only for runs that may release, and not for those of pull "
        "requests and other branches, whose specs may name any profile.",
    )
    store_secret: ObjectName | None = Field(
        default=None,
        description="A Secret in the namespace whose keys are variables such as "
        "AWS_ACCESS_KEY_ID: the credentials by which our containers, and not the step, reach the "
        "artifact store and the datasets. Without it, those of the service account.",
    )
    user: int = Field(default=NONROOT, ge=1, description="The user and group that steps run as.")
    volumes: Mapping[Name, ClusterVolume] = Field(
        default={}, description="Volumes of every step, by name."
    )
    annotations: Mapping[Text, str] = Field(default={}, description="Annotations of the pods.")
    queue: ObjectName | None = Field(
        default=None, description="The LocalQueue of Kueue for steps that name none."
    )
    start_deadline: Duration = Field(
        default=timedelta(hours=1),
        ge=timedelta(seconds=1),
        description="How long a pod may wait for a node, its volumes and its images.",
    )
    image_deadline: Duration = Field(
        default=timedelta(minutes=2),
        description="How long an image may fail to be pulled for a reason that may pass.",
    )
    queue_deadline: Duration = Field(
        default=timedelta(days=1), description="How long a step may wait for quota in its queue."
    )


def profile_named(
    profiles: Mapping[str, ClusterProfile], name: str | None
) -> ClusterProfile | None:
    """The profile of a step or server that names this one, or none; None if it is not set."""
    if name is None:
        return profiles.get(DEFAULT_PROFILE, ClusterProfile())
    return profiles.get(name)
