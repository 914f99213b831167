"""The settings of the Kubernetes cluster that steps and model servers run on."""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from deployers.kubernetes.cluster import ClusterAccess
from deployers.kubernetes.profile import ClusterProfile, ObjectName, profile_named
from deployers.kubernetes.settings import ServingSettings
from specs.base import Many, Name, Spec, Text


def _is_egress(text: str) -> str:
    network, _, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
    try:
        ip_network(network)
    except ValueError:
        raise ValueError("expected a network such as 10.0.0.0/8, or 10.1.2.3/32:9000") from None
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("expected a port from 1 to 65535 after the colon")
    return text


EgressNetwork = Annotated[str, AfterValidator(_is_egress)]


class KubernetesSettings(Spec):
    """The cluster that steps with `executor: kubernetes`, and servers with `deployer: kubernetes`
    or `kserve`, run on."""

    namespace: ObjectName = Field(
        default="headgate", description="The namespace of Jobs; for nothing else."
    )
    image: Text = Field(
        default="headgate",
        description="Headgate's own image, for the containers that fetch inputs and store "
        "outputs, and for routers; best as name@sha256:DIGEST.",
    )
    kubeconfig: Text | None = Field(
        default=None,
        description="A file, relative to the settings' folder; by default the pod's own service "
        "account, else KUBECONFIG, else ~/.kube/config.",
    )
    context: Text | None = Field(default=None, description="The context; by default the current.")
    slots: int = Field(
        default=100, ge=1, le=10_000, description="How many steps are on the cluster at a time."
    )
    calls: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="The most API calls a second on the average; in no second twice as many.",
    )
    network_policy: bool = Field(
        default=True,
        description="Whether to keep steps off the network, unless they ask for it, by a "
        "NetworkPolicy in the namespace. Without it, that is up to the platform.",
    )
    store_networks: Many[EgressNetwork] = Field(
        default=(),
        description="Where the artifact store and the datasets are, as networks with an optional "
        "port (10.1.2.3/32:9000): a policy applies to whole pods, so a step without network still "
        "reaches these, without credentials.",
    )
    profiles: Mapping[Name, ClusterProfile] = Field(
        default={},
        description="Profiles by name; `default` is that of steps and servers that name none.",
    )
    serving: ServingSettings = Field(
        default=ServingSettings(), description="Where model servers run."
    )

    @model_validator(mode="after")
    def _keeps_servers_apart(self) -> Self:
        if self.namespace == self.serving.namespace:
            raise ValueError(
                "expected another `serving.namespace` than `namespace`: whoever may run steps "
                "could otherwise reach the secrets of servers"
            )
        return self

    def access(self, base: Path, namespace: str | None = None) -> ClusterAccess:
        """How the cluster is reached; `base` is the folder of the settings, and the namespace that
        of steps unless another is given."""
        return ClusterAccess(
            namespace=namespace or self.namespace,
            kubeconfig=None if self.kubeconfig is None else base / self.kubeconfig,
            context=self.context,
            calls=self.calls,
        )

    def profile(self, name: str | None) -> ClusterProfile | None:
        """The profile of a step that names this one, or none; None if it is not set."""
        return profile_named(self.profiles, name)
