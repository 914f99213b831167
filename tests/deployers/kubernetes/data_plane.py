"""The data plane of a Gateway: a real Envoy that is configured from the cluster's HTTPRoutes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deployers.kubernetes.settings import GatewaySettings
from deployers.kubernetes.status import address_of
from tests.deployers.kubernetes.site import NAMESPACE
from tests.doubles.kubernetes import Kubernetes
from tests.servers.gateways import Envoy

GATE = {
    "metadata": {"name": "public"},
    "spec": {
        "gatewayClassName": "envoy",
        "listeners": [
            {
                "name": "http",
                "port": 80,
                "protocol": "HTTP",
                "allowedRoutes": {"namespaces": {"from": "All"}},
            }
        ],
    },
}
SETTINGS = GatewaySettings.model_validate(
    {
        "parents": [{"name": "public", "section": "http"}],
        "hostname": "{pipeline}-{environment}.models.test",
        "counters": {"preset": "envoy"},
    }
)


@contextmanager
def data_plane(cluster: Kubernetes, envoy: Envoy) -> Iterator[None]:
    """Install the Gateway API and a Gateway, and let Envoy follow the routes."""
    cluster.install("gateway-api")
    cluster.create("Gateway", GATE, NAMESPACE)
    envoy.run()
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(cluster, envoy, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(cluster: Kubernetes, envoy: Envoy, over: threading.Event) -> None:
    now: dict[str, tuple[int | str, int]] = {}
    while not over.wait(0.05):
        wanted = _backends(cluster)
        if wanted != now:
            envoy.route(wanted)
            now = wanted


def _backends(cluster: Kubernetes) -> dict[str, tuple[int | str, int]]:
    """Where the backends of all routes are, with their weights."""
    found: dict[str, tuple[int | str, int]] = {}
    for route in cluster.all("HTTPRoute", NAMESPACE):
        for rule in route["spec"]["rules"]:
            for ref in rule.get("backendRefs", ()):
                at = address_of(cluster.get("Service", ref["name"], NAMESPACE))
                if at is not None:
                    found[ref["name"]] = (at.removeprefix("http://"), ref["weight"])
    return found
