"""The settings of serving on a cluster, by the platform team."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from deployers.kubernetes.cluster import ClusterAccess
from deployers.kubernetes.profile import ClusterProfile, ObjectName
from specs.base import Many, Name, Spec
from specs.counters import BackendCounters
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


KServeMode = Literal["Standard", "Knative"]
"""KServe's modes: Deployments behind an HTTPRoute, or revisions of a Knative service."""


class KServeSettings(Spec):
    """How KServe is installed on the cluster."""

    mode: KServeMode = Field(
        default="Standard",
        description="The mode of the InferenceServices: `Standard` splits traffic by HTTPRoutes "
        "(KServe 0.21 or later, with Gateway API), `Knative` by revisions.",
    )
    counters: BackendCounters | None = Field(
        default=None,
        description="The counters of the gateway or mesh, from which the judge knows a canary's "
        "traffic; `{server}` is the name of the predictor's Deployment or of its revision. "
        "Without them nothing can be judged.",
    )
    split: Literal["draw", "turns"] = Field(
        default="draw",
        description="How the gateway assigns requests: each by a random draw (Envoy and what is "
        "built on it), or in turn (Traefik).",
    )


class GatewayParent(Spec):
    """A Gateway of the Gateway API that takes routes from the namespace of servers."""

    name: ObjectName = Field(description="Its name.")
    namespace: ObjectName | None = Field(
        default=None, description="Its namespace; by default that of servers."
    )
    section: ObjectName | None = Field(
        default=None, description="One of its listeners; by default all."
    )

    @property
    def shown(self) -> str:
        """It in reports."""
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{where}{self.name}{f', {self.section}' if self.section else ''}"


def _is_hostname(text: str) -> str:
    plain = text.replace("{pipeline}", "p").replace("{environment}", "e")
    named = "{pipeline}" in text and "{environment}" in text
    if not named or not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", plain):
        raise ValueError(
            "expected a host name with {pipeline} and {environment}, such as "
            "{pipeline}-{environment}.models.example.org"
        )
    return text


class GatewaySettings(Spec):
    """The Gateways that split the traffic for `deployer: gateway`, and what counts it."""

    parents: Many[GatewayParent] = Field(
        min_length=1, max_length=8, description="The Gateways; every route is attached to each."
    )
    hostname: Annotated[str, AfterValidator(_is_hostname)] = Field(
        description="The host name of a place, with {pipeline} and {environment}."
    )
    scheme: Literal["http", "https"] = Field(
        default="http", description="How callers reach it, for reports."
    )
    split: Literal["draw", "turns"] = Field(
        default="draw",
        description="How the gateway assigns requests: each by a random `draw`, or in `turns`, as "
        "a weighted round-robin does. Only after draws can the arms be compared.",
    )
    counters: BackendCounters = Field(
        description="The gateway's counters, which Prometheus scrapes, as in a spec's "
        "`release.command.prometheus`; `{server}` is the name of the server's Service."
    )


class ServingSettings(Spec):
    """Where model servers with a `deployer` of a cluster run."""

    namespace: ObjectName = Field(
        default="headgate-serving",
        description="The namespace of servers and routers; for nothing else, and not that of "
        "steps.",
    )
    kserve: KServeSettings = Field(
        default=KServeSettings(), description="For servers with `deployer: kserve`."
    )
    router: RouterPod = Field(default=RouterPod(), description="The pods of traffic routers.")
    gateway: GatewaySettings | None = Field(
        default=None, description="What splits the traffic for `deployer: gateway`."
    )


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
    kserve: KServeSettings = field(default_factory=KServeSettings)
    gateway: GatewaySettings | None = None
