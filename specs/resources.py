"""What a step may use, and where."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from specs.base import Spec
from specs.values import Cpu, Size

ExecutorKind = Literal["local", "docker", "kubernetes"]
QueueName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
DeviceName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,200})/[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
]
"""The name of an extended resource of a cluster, such as `nvidia.com/gpu`."""
RuntimeName = QueueName
DeviceCount = Annotated[int, Field(ge=0, le=1024)]


class Training(Spec):
    """Training on several nodes of Kubernetes at once, by Kubeflow Trainer. The step's `resources`
    are those of each."""

    runtime: RuntimeName = Field(
        description="The TrainingRuntime of the namespace, or else the ClusterTrainingRuntime, by "
        "which nodes find each other, such as torch-distributed."
    )
    nodes: int = Field(
        ge=1, le=1024, description="How many nodes run the command; outputs are the first one's."
    )


class Resources(Spec):
    """What a step may use."""

    cpu: Cpu | None = Field(default=None, description="Processors, such as 2 or 500m.")
    memory: Size | None = Field(
        default=None,
        description="Memory of all its processes together, such as 512Mi or 4Gi; a step that uses "
        "more is killed.",
    )
    gpu: DeviceCount | None = Field(
        default=None,
        description="Accelerators on Kubernetes: nvidia.com/gpu, unless its profile says which.",
    )
    devices: Mapping[DeviceName, DeviceCount] = Field(
        default={}, description="Other extended resources on Kubernetes, such as amd.com/gpu: 1."
    )
