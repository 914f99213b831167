"""Counters of requests that a gateway keeps and Prometheus scrapes: which of them to read."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from specs.base import Name, Spec

SERVER: Final = "{server}"
"""Stands for the name that Headgate gives a server."""
DEFAULT_SERVER: Final = "default"

MetricName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
BackendPattern = Annotated[str, StringConstraints(max_length=500)]


class CounterNames(BaseModel):
    """The names of the counters, with those of the preset filled in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str
    """The name of the Prometheus server in the settings."""
    requests: str
    """The counter of requests."""
    status: str
    """The label with the HTTP status."""
    backend: str
    """The label that tells stable's requests from the canary's."""
    stable: str
    canary: str
    """What it says for either, with `{server}`, and `*` and `?` as in file names."""
    latency: str = ""
    """The histogram of latencies, without `_bucket`; empty if there is none."""
    unit: float = 1.0
    """The histogram's unit, in seconds."""
    unanswered: tuple[str, ...] = ()
    """Statuses that the gateway answers with itself if the server does not answer."""
    where: Mapping[str, str] = {}
    """Other labels of the counters, with their values."""

    def arm_pattern(self, pattern: str, server: str) -> str:
        """A regular expression for the label of that server's requests, in Prometheus' syntax and
        Python's; it has to match all of it."""
        text = pattern.replace(SERVER, server)
        # Both escape these signs alike, and no others need it.
        plain = re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", text)
        return plain.replace(r"\*", ".*").replace(r"\?", ".")

    def selector(self, *matchers: str) -> str:
        """What selects the counters of requests in PromQL."""
        labels = (f"{label}={quoted(value)}" for label, value in self.where.items())
        name = () if matchers else (f"__name__={quoted(self.requests)}",)
        return f"{{{','.join((*name, *matchers, *labels))}}}"


def quoted(text: str) -> str:
    """A string of PromQL, which escapes as JSON does."""
    return json.dumps(text, ensure_ascii=False)


class _Preset(NamedTuple):
    requests: str
    status: str
    backend: str
    latency: str
    unit: float
    unanswered: tuple[str, ...]
    stable: str = SERVER
    canary: str = SERVER
    where: Mapping[str, str] = {}


PRESETS: Final[Mapping[str, _Preset]] = {
    "envoy": _Preset(
        requests="envoy_cluster_upstream_rq",
        status="envoy_response_code",
        backend="envoy_cluster_name",
        latency="envoy_cluster_upstream_rq_time",
        unit=0.001,
        unanswered=("503", "504"),
    ),
    "traefik": _Preset(
        requests="traefik_service_requests_total",
        status="code",
        backend="service",
        latency="traefik_service_request_duration_seconds",
        unit=1.0,
        unanswered=("499", "502", "504"),
        stable=f"*{SERVER}*@*",
        canary=f"*{SERVER}*@*",
    ),
    "nginx": _Preset(
        requests="nginx_ingress_controller_requests",
        status="status",
        backend="canary",
        latency="nginx_ingress_controller_request_duration_seconds",
        unit=1.0,
        unanswered=("499", "502", "504"),
        stable="",
        canary="?*",
    ),
    "istio": _Preset(
        requests="istio_requests_total",
        status="response_code",
        backend="destination_workload",
        latency="istio_request_duration_milliseconds",
        unit=0.001,
        unanswered=("503", "504"),
        where={"reporter": "source"},
    ),
    "linkerd": _Preset(
        requests="outbound_http_route_backend_response_statuses_total",
        status="http_status",
        backend="backend_name",
        latency="outbound_http_route_backend_response_duration_seconds",
        unit=1.0,
        unanswered=("504",),
    ),
}
"""The counters that gateways have by default, in what counts requests to each backend. All are
counted where requests are sent, so that both arms are scraped together."""
PresetName = Literal["envoy", "traefik", "nginx", "istio", "linkerd"]

_UNITS: Final = {"s": 1.0, "ms": 0.001}


class BackendCounters(Spec):
    """The counters of a gateway or mesh that tell what became of requests to stable and to the
    canary, as Prometheus has them; `docs/deployers.md` says what they must be like."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["preset"]}, {"required": ["requests", "status", "backend"]}]
        }
    )

    server: Name = Field(
        default=DEFAULT_SERVER,
        description="The Prometheus server, by its name under `prometheus` in the controller's "
        "settings.",
    )
    preset: PresetName | None = Field(
        default=None,
        description="Whose counters they are; every other key overrides one of its names.",
    )
    requests: MetricName | None = Field(default=None, description="The counter of requests.")
    status: LabelName | None = Field(
        default=None, description="The label of it that has the HTTP status."
    )
    backend: LabelName | None = Field(
        default=None, description="The label of it that tells where a request was sent."
    )
    stable: BackendPattern | None = Field(
        default=None,
        description="What that label says of stable's requests: `{server}` is the server's name "
        "and the default, `*` and `?` are as in file names.",
    )
    canary: BackendPattern | None = Field(
        default=None, description="The same for the canary's requests."
    )
    latency: MetricName | None = Field(
        default=None,
        description="The histogram of latencies, without `_bucket`; `null` reads none.",
    )
    unit: Literal["s", "ms"] | None = Field(
        default=None, description="The histogram's unit: seconds, the default, or milliseconds."
    )
    where: Mapping[LabelName, str] = Field(
        default={},
        max_length=20,
        description="Other labels that the counters have, such as the gateway's job.",
    )

    @model_validator(mode="after")
    def _names_its_counters(self) -> Self:
        missing = [
            name
            for name in ("requests", "status", "backend")
            if self.preset is None and getattr(self, name) is None
        ]
        if missing:
            raise ValueError(
                f"expected `preset`, one of {', '.join(PRESETS)}, or {', '.join(missing)} as well"
            )
        if self.preset == "nginx" and not {"ingress", "exported_ingress"} & self.where.keys():
            raise ValueError(
                "expected `where: {ingress: NAME}`: its counters are those of every ingress, and "
                "only tell whether a request went to a canary"
            )
        names = self.names()
        if names.stable == names.canary and SERVER not in names.stable:
            raise ValueError("expected `stable` and `canary` to differ, or to contain {server}")
        return self

    def names(self) -> CounterNames:
        """The names of the counters, with those of the preset filled in."""
        preset = PRESETS.get(self.preset or "")
        found: dict[str, Any] = {"stable": SERVER, "canary": SERVER}
        if preset is not None:
            found = preset._asdict()
        own = ("requests", "status", "backend", "stable", "canary")
        found |= {key: value for key in own if (value := getattr(self, key)) is not None}
        if "latency" in self.model_fields_set:
            found["latency"] = self.latency or ""
        if self.unit is not None:
            found["unit"] = _UNITS[self.unit]
        where = {**found.get("where", {}), **self.where}
        return CounterNames(server=self.server, **{**found, "where": where})
