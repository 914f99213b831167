"""Real gateways that split traffic between two backends, and count it: Envoy and Traefik."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.ports import reserved_port
from tests.servers.programs import Program

WHOLE: Final = 10_000
"""The sum of the weights."""


class Envoy(Program):
    """Envoy, which draws for each request. A backend is a cluster of its name."""

    metrics_path = "/stats/prometheus"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.metrics_port = self._held.enter_context(reserved_port())

    def run(self, backends: Mapping[str, int]) -> None:
        """Start it; all traffic goes to the first backend."""
        first = next(iter(backends))
        clusters = [{"name": name, "weight": WHOLE * (name == first)} for name in backends]
        split = {"clusters": clusters, "runtime_key_prefix": "split"}
        route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": split}}
        router = {
            "name": "envoy.filters.http.router",
            "typed_config": _typed("http.router.v3.Router"),
        }
        manager = {
            **_typed("network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "all",
            "route_config": {
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]
            },
            "http_filters": [router],
        }
        name = "envoy.filters.network.http_connection_manager"
        listener = {
            "name": "all",
            "address": _address(self.port),
            "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
        }
        config = {
            "admin": {"address": _address(self.metrics_port)},
            "stats_flush_interval": "0.5s",  # its histograms are that late; by default 5 s
            "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
            "static_resources": {
                "listeners": [listener],
                "clusters": [_cluster(name, port) for name, port in backends.items()],
            },
        }
        file = self._home / "envoy.json"
        file.write_text(json.dumps(config))
        options = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
        self.start([program("envoy"), "-c", file, *options])

    def split(self, weights: Mapping[str, int]) -> None:
        """Give the backends these weights; their sum is `WHOLE`."""
        keys = {f"split.{name}": str(weight) for name, weight in weights.items()}
        admin = f"http://127.0.0.1:{self.metrics_port}/runtime_modify"
        httpx.post(admin, params=keys, timeout=10).raise_for_status()


class Traefik(Program):
    """Traefik, which takes turns. A backend is the service NAME@file."""

    metrics_path = "/metrics"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.metrics_port = self._held.enter_context(reserved_port())

    def run(self, backends: Mapping[str, int], weights: Mapping[str, int]) -> None:
        """Start it with these weights."""
        services: dict[str, object] = {
            name: {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port}"}]}}
            for name, port in backends.items()
        }
        split = [{"name": name, "weight": weight} for name, weight in weights.items()]
        services["all"] = {"weighted": {"services": split}}
        routers = {"all": {"rule": "PathPrefix(`/`)", "service": "all", "entryPoints": ["web"]}}
        rules = self._home / "rules.yml"
        rules.write_text(json.dumps({"http": {"routers": routers, "services": services}}))
        points = {
            name: {"address": f"127.0.0.1:{port}"}
            for name, port in (("web", self.port), ("metrics", self.metrics_port))
        }
        config = {
            "entryPoints": points,
            "metrics": {"prometheus": {"entryPoint": "metrics", "addServicesLabels": True}},
            "providers": {"file": {"filename": str(rules), "watch": True}},
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        }
        file = self._home / "traefik.yml"
        file.write_text(json.dumps(config))
        self.start([program("traefik"), f"--configFile={file}"])


def _typed(name: str) -> dict[str, str]:
    return {"@type": f"type.googleapis.com/envoy.extensions.filters.{name}"}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int) -> dict[str, object]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    return {
        "name": name,
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def program(name: str) -> str:
    """Where `envoy` or `traefik` is; skips the test where it is not."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    path = shutil.which(name, path=beside)
    if path is None:
        pytest.skip(f"no {name}: install the extra `dev` on Linux, which has it")
    return path


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[tuple[Envoy, Traefik]]:
    """Both, not started yet."""
    with ExitStack() as ending:
        made = []
        for kind in (Envoy, Traefik):
            home = tmp_path / kind.__name__.lower()
            home.mkdir()
            made.append(kind(home))
            ending.callback(made[-1].close)
        envoy, traefik = made
        assert isinstance(envoy, Envoy)
        assert isinstance(traefik, Traefik)
        yield envoy, traefik
