"""The settings of serving on a cluster, by the platform team."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import Field

from deployers.kubernetes.cluster import ClusterAccess
from deployers.kubernetes.profile import ClusterProfile, ObjectName
from specs.base import Name, Spec
from specs.values import Cpu, Size

PORT: Final = 8080
"""Where servers and routers listen, and their Services unless `ports` says otherwise."""


class RouterPod(Spec):
    """What the pod of a traffic router may use. There is one for each environment of a pipeline."""

    cpu: Cpu = Field(default=0.25, description="Processors, as a request.")
    memory: Size = Field(
        default=512 << 20,
        description="Memory, as a request and a limit. The bodies of unanswered requests take up "
        "to 256Mi of it.",
    )
    profile: Name | None = Field(
        default=None, description="The profile that says where it runs; by default `default`."
    )


class ServingSettings(Spec):
    """Where model servers with a `deployer` of a cluster run."""

    namespace: ObjectName = Field(
        default="headgate-serving",
        description="The namespace of servers and routers; for nothing else, and not that of "
        "steps.",
    )
    router: RouterPod = Field(default=RouterPod(), description="The pods of traffic routers.")


@dataclass(frozen=True, kw_only=True)
class ServingCluster:
    """The cluster that serves, as a controller knows it."""

    access: ClusterAccess
    """In the namespace of servers."""
    owner: str
    """The identity of the installation, which marks what is its own."""
    image: str
    """Headgate's own."""
    profiles: Mapping[str, ClusterProfile]
    router: RouterPod
