"""Checks the counters that tell the judge of traffic: the Prometheus server, and what it has."""

from collections.abc import AsyncIterator, Sequence

from controller.config.secrets import Secrets
from controller.config.settings import PrometheusSettings, Settings
from controller.doctor.findings import Finding, bad, ok, warn
from deployers.counting.prometheus import PrometheusClient, PrometheusServer
from deployers.kubernetes.settings import GatewaySettings
from specs.counters import CounterNames
from specs.failures import Failure
from specs.model import Pipeline

RECENT = 300
"""Seconds in which a counter was scraped at least once."""
FIX = "see `prometheus` in the settings, and docs/deployers.md"


async def examine_counters(
    settings: Settings, secrets: Secrets, specs: Sequence[Pipeline]
) -> AsyncIterator[Finding]:
    """A finding for each pipeline whose canary is judged by counters."""
    servers = settings.prometheus
    for spec in specs:
        names = _names(spec, settings.kubernetes.serving.gateway)
        if names is not None:
            what = f"counters of {spec.metadata.name}"
            server = servers.get(names.server)
            if server is None:
                why = f"the settings name no Prometheus server `{names.server}`"
                yield bad(what, why, f"set `prometheus.{names.server}.url`, or correct `server`")
            else:
                yield await _counters(what, names, server, secrets)


def _names(spec: Pipeline, gateway: GatewaySettings | None) -> CounterNames | None:
    """The counters that tell of production's traffic; None if none do."""
    if spec.release is None:
        return None
    if spec.release.deployer_for("production") == "gateway":
        return gateway.counters.names() if gateway is not None else None
    scripts = spec.release.scripts_for("production")
    counters = scripts.prometheus if scripts is not None else None
    return counters.names() if counters is not None else None


async def _counters(
    what: str, names: CounterNames, server: PrometheusSettings, secrets: Secrets
) -> Finding:
    where = PrometheusServer(server.url, server.token)
    client = PrometheusClient(names.server, where, secrets.reveal)
    try:
        now = await client.now()
        found = await client.samples(names.selector(), RECENT, now)
    except Failure as failure:
        return bad(what, secrets.redact(str(failure)), FIX)
    if not found:
        why = f"`{names.server}` has no {names.selector()} in the last 5 min"
        return warn(what, why, "let Prometheus scrape the gateway, or correct the names")
    if not any(names.backend in one.labels for one in found) and names.stable:
        why = f"no series of {names.requests} has the label {names.backend}"
        return bad(what, why, "correct `backend`: without it, the arms cannot be told apart")
    return ok(what, f"`{names.server}` has {len(found)} series of {names.requests}")
