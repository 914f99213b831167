"""The data plane of a Gateway: a real Envoy that is configured from the cluster's HTTPRoutes."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from deployers.kubernetes.settings import GatewaySettings
from deployers.kubernetes.status import address_of
from deployers.protocol import Deployer, Server
from tests.contracts.deployer import Target
from tests.contracts.resolved import ResolvedDeployer, ResolvedWindow
from tests.deployers.kubernetes.site import NAMESPACE, ServingSite
from tests.doubles.kubernetes import Kubernetes
from tests.doubles.kubernetes.base.objects import Obj
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
    envoy.run()
    now: dict[str, tuple[int | str, int]] = {}

    def program(routes: Sequence[Obj]) -> None:
        wanted = _backends(cluster, routes)
        if wanted != now:
            envoy.route(wanted)
            now.clear()
            now.update(wanted)

    cluster.gateways.program = program
    cluster.install("gateway-api")
    cluster.create("Gateway", GATE, NAMESPACE)
    try:
        yield
    finally:
        cluster.gateways.program = lambda _: None


def _backends(cluster: Kubernetes, routes: Sequence[Obj]) -> dict[str, tuple[int | str, int]]:
    """Where the backends of all routes are, with their weights."""
    found: dict[str, tuple[int | str, int]] = {}
    for route in routes:
        for rule in route["spec"]["rules"]:
            for ref in rule.get("backendRefs", ()):
                at = address_of(cluster.get("Service", ref["name"], NAMESPACE))
                if at is not None:
                    found[ref["name"]] = (at.removeprefix("http://"), ref["weight"])
    return found


def gateway_target(site: ServingSite, url: str) -> Target:
    """The site behind a gateway that answers at `url`, as the contract's suite needs it."""
    site.gateway = SETTINGS
    target = site.target()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Deployer]:
        async with target.open() as deployer:
            yield ResolvedDeployer(deployer, url)

    def server(name: str, **said: object) -> Server:
        made = target.server(name, **said)
        # What is in flight of a server that leaves may take that long, and nobody tells.
        bounds = made.bounds.model_copy(update={"answer_within": 1.0})
        return made.model_copy(update={"bounds": bounds})

    return replace(
        target,
        open=opened,
        server=server,
        window=ResolvedWindow(site.root / "home", url),
        has_records=False,
        is_told=False,
    )
