"""What the doctor says of the counters that canaries are judged by."""

from pathlib import Path
from typing import Any

import pytest

from controller.config.secrets import Secrets
from controller.config.settings import Settings
from controller.doctor.counters import examine_counters
from controller.doctor.findings import Finding
from tests.controller.machine.kit import spec
from tests.deployers.world import eventually
from tests.servers.prometheus import Prometheus

COMMANDS = {name: f"{name}.py" for name in ("apply", "observe", "remove")}
SAMPLES = {"requests": "prometheus_http_requests_total", "status": "code"}


def counted(**counters: Any) -> Any:
    return spec(
        ("release.command", {**COMMANDS, "prometheus": counters}),
        ("release.production.deployer", "command"),
    )


async def found(asked: Any, url: str = "http://127.0.0.1:1") -> Finding:
    given = {
        "repositories": [{"name": "team", "url": "r.git"}],
        "prometheus": {"default": {"url": url}},
    }
    settings = Settings.model_validate(given)
    (finding,) = [one async for one in examine_counters(settings, Secrets({}), [spec(), asked])]
    return finding


async def test_a_server_that_the_settings_do_not_name_is_told() -> None:
    finding = await found(counted(preset="envoy", server="edge"))
    assert (finding.what, finding.state) == ("counters of mean", "error")
    assert finding.message == "the settings name no Prometheus server `edge`"
    assert "`prometheus.edge.url`" in finding.fix


async def test_a_server_that_does_not_answer_is_told() -> None:
    finding = await found(counted(preset="envoy"))
    assert finding.state == "error"
    assert "`default` was asked for time(): All connection attempts failed" in finding.message


@pytest.mark.prometheus
async def test_counters_that_are_not_scraped_and_labels_they_lack_are_told(
    tmp_path: Path, prometheus: Prometheus
) -> None:
    prometheus.run(prometheus.port)

    async def scraped() -> bool:
        return bool(prometheus.values("prometheus_http_requests_total"))

    await eventually(scraped)
    missing = await found(counted(preset="envoy", where={"job": "edge"}), prometheus.url)
    assert missing.state == "warning"
    query = '{__name__="envoy_cluster_upstream_rq",job="edge"}'
    assert missing.message == f"`default` has no {query} in the last 5 min"
    lacking = await found(counted(**SAMPLES, backend="cluster"), prometheus.url)
    assert (lacking.state, "has the label cluster" in lacking.message) == ("error", True)
    there = await found(counted(**SAMPLES, backend="handler"), prometheus.url)
    assert there.state == "ok"
    assert there.message.endswith(" series of prometheus_http_requests_total")
