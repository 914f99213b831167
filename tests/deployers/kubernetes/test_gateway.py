"""A canary behind a gateway of the cluster: real servers, a real Envoy that follows the route."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deployers.counting import reader, series
from deployers.counting.prometheus import PrometheusServer
from deployers.kubernetes import gateway
from deployers.kubernetes.gateway_place import GatewayWindow
from deployers.protocol import Deployed, Deployer, Desired, Server, Traffic
from specs.failures import NeedsHuman, TryAgain
from tests.contracts.deployer import PLACE, applied, converge
from tests.deployers.caller import Caller
from tests.deployers.kubernetes.data_plane import SETTINGS, data_plane
from tests.deployers.kubernetes.site import NAMESPACE, ServingSite, opened, serving_site
from tests.deployers.world import eventually
from tests.doubles.kubernetes import Kubernetes
from tests.doubles.kubernetes.base.objects import Obj
from tests.servers.gateways import Envoy, Traefik
from tests.servers.moto import Moto
from tests.servers.prometheus import Prometheus

pytestmark = [
    pytest.mark.bwrap,
    pytest.mark.gateway,
    pytest.mark.usefixtures("namespaces", "aws"),
]
HOST = "flight-delay-production.models.test"


@pytest.fixture
def site(tmp_path: Path, moto: Moto) -> Iterator[ServingSite]:
    with serving_site(tmp_path, moto) as made:
        yield made


@pytest.fixture
def envoy(site: ServingSite, gateways: tuple[Envoy, Traefik]) -> Iterator[Envoy]:
    with data_plane(site.cluster, gateways[0]):
        yield gateways[0]


@pytest.fixture
async def deployer(
    site: ServingSite, envoy: Envoy, prometheus: Prometheus
) -> AsyncIterator[Deployer]:
    servers = {"default": PrometheusServer(prometheus.url)}
    async with opened(site.root, gateway=SETTINGS, prometheus=servers) as made:
        yield made
        await made.remove(PLACE)
        assert site.cluster.all("Deployment", NAMESPACE) == []
        assert site.cluster.all("HTTPRoute", NAMESPACE) == []


def route(cluster: Kubernetes) -> dict[str, int]:
    """The weights of the route's backends."""
    (found,) = cluster.all("HTTPRoute", NAMESPACE)
    return {each["name"]: each["weight"] for each in found["spec"]["rules"][0]["backendRefs"]}


def label(obj: Obj) -> None:
    obj["metadata"]["labels"]["looked"] = "at"


def server(site: ServingSite, name: str) -> Server:
    """One whose requests take no longer than a second."""
    made = site.server(name)
    bounds = made.bounds.model_copy(update={"answer_within": 1.0})
    return made.model_copy(update={"bounds": bounds})


async def ask(envoy: Envoy, times: int) -> Counter[str]:
    """Who answered so many requests. Without a route, Envoy does not wait for a request's end."""
    seen: Counter[str] = Counter()
    try:
        async with Caller(envoy.url) as caller:
            for _ in range(times):
                answer = await caller.ask()
                seen[answer.json()["model"] if answer.status == 200 else str(answer.status)] += 1
    except (ConnectionError, asyncio.IncompleteReadError):
        seen["cut off"] += 1
    return seen


@pytest.mark.prometheus
async def test_a_canary_is_split_off_counted_and_taken_out_again(
    deployer: Deployer,
    site: ServingSite,
    envoy: Envoy,
    prometheus: Prometheus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(series, "SETTLED", 0.5)
    monkeypatch.setattr(reader, "LAG", 0.1)
    prometheus.run(envoy.metrics_port, path=envoy.metrics_path, interval="200ms")
    one, two = server(site, "v1"), server(site, "v2")
    seen = await converge(deployer, Desired(stable=one))
    assert seen.address == f"http://{HOST}"
    assert list(route(site.cluster).values()) == [10_000]

    async def follows() -> bool:
        return set(await ask(envoy, 20)) == {"v1"}

    await eventually(follows)
    assert (await GatewayWindow(site.root / "home").glance(PLACE)).address == seen.address
    beside = Desired(stable=one, canary=two, canary_weight=0.25)
    await converge(deployer, beside)
    assert sorted(route(site.cluster).values()) == [2_500, 7_500]

    async def both() -> bool:
        return set(await ask(envoy, 20)) == {"v1", "v2"}

    await eventually(both)
    await settled(deployer)
    asked = await ask(envoy, 400)
    assert asked.keys() == {"v1", "v2"}
    counted = Counter[str]()
    pages: list[Traffic] = []

    async def told() -> bool:
        await deployer.observe(PLACE)
        last = (pages[-1].epoch, pages[-1].next) if pages else (None, 0)
        try:
            pages.append(await deployer.traffic(PLACE, *last))
        except TryAgain:  # a scrape is late
            return False
        for window in pages[-1].windows:
            if window.weight:
                counted.update(v1=window.stable.requests, v2=window.canary.requests)
        return counted.total() >= 400

    await eventually(told)
    assert counted["v2"] >= asked["v2"] > 0
    assert (pages[-1].counted, pages[-1].split) == (True, "draw")
    seen = await converge(deployer, Desired(stable=one))
    assert (seen.canary, seen.canary_weight) == (None, 0.0)
    assert list(route(site.cluster).values()) == [10_000]
    await eventually(follows)


async def settled(deployer: Deployer) -> None:
    """Until what is asked counts for the weight that is observed now."""
    began: list[float] = []

    async def done() -> bool:
        await deployer.observe(PLACE)
        with suppress(TryAgain):  # a scrape is late
            began.append((await deployer.traffic(PLACE, None, 0)).now or 0.0)
        return bool(began) and began[-1] - began[0] > 1.5

    await eventually(done)


async def test_a_weight_is_believed_once_the_gateway_has_accepted_it(
    deployer: Deployer, site: ServingSite, envoy: Envoy
) -> None:
    one, two = server(site, "v1"), server(site, "v2")
    await converge(deployer, Desired(stable=one))
    name = site.cluster.all("HTTPRoute", NAMESPACE)[0]["metadata"]["name"]
    site.cluster.gateways.rejected[NAMESPACE, name] = (
        "NotAllowedByListeners",
        "the listener takes no routes from there",
    )
    beside = Desired(stable=one, canary=two, canary_weight=0.5)
    words = (
        rf"the HTTPRoute {name} is not accepted at the Gateway public, http: "
        "NotAllowedByListeners: the listener takes no routes from there"
    )

    async def refused() -> bool:
        try:
            await deployer.apply(PLACE, beside)
        except TryAgain as failure:
            return words in str(failure) and failure.human
        return False

    await eventually(refused)
    seen = await deployer.observe(PLACE)
    assert (seen.stable, seen.canary, seen.canary_weight) == ("v1", None, 0.0)
    del site.cluster.gateways.rejected[NAMESPACE, name]
    site.cluster.update("HTTPRoute", name, label, NAMESPACE)  # so that it is looked at again
    await converge(deployer, beside)


async def test_a_weight_that_somebody_changes_is_seen_and_set_right(
    deployer: Deployer, site: ServingSite, envoy: Envoy
) -> None:
    one, two = server(site, "v1"), server(site, "v2")
    beside = Desired(stable=one, canary=two, canary_weight=0.1)
    await converge(deployer, beside)
    name = site.cluster.all("HTTPRoute", NAMESPACE)[0]["metadata"]["name"]

    def more(obj: Obj) -> None:
        for each in obj["spec"]["rules"][0]["backendRefs"]:
            each["weight"] = 5_000

    site.cluster.update("HTTPRoute", name, more, NAMESPACE)

    async def noticed() -> bool:
        return (await deployer.observe(PLACE)).canary_weight == 0.5

    await eventually(noticed)
    await converge(deployer, beside)
    assert sorted(route(site.cluster).values()) == [1_000, 9_000]


async def test_a_route_that_no_gateway_knows_of_is_told(
    deployer: Deployer, site: ServingSite, envoy: Envoy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "UNHEARD", 0.2)
    site.cluster.delete("Gateway", "public", NAMESPACE)

    async def told() -> bool:
        try:
            await deployer.apply(PLACE, Desired(stable=site.server("v1")))
        except TryAgain as failure:
            return "is there a Gateway public, http, and does its controller run?" in str(failure)
        return False

    await eventually(told)
    assert (await deployer.observe(PLACE)).stable is None


async def test_without_settings_it_is_said_what_to_add(site: ServingSite, tmp_path: Path) -> None:
    setup = gateway.GatewayDeployer(tmp_path, None, redact=str, reveal=lambda _: {})
    with pytest.raises(NeedsHuman, match=r"add `kubernetes.serving.gateway` to headgate.yaml"):
        await setup.apply(PLACE, Desired(stable=site.server("v1")))
    assert await setup.observe(PLACE) == Deployed()


async def test_a_server_without_traffic_ends_after_its_last_answers(
    deployer: Deployer, site: ServingSite, envoy: Envoy
) -> None:
    one, two = server(site, "v1"), server(site, "v2")
    await converge(deployer, Desired(stable=one))
    await converge(deployer, Desired(stable=one, canary=two, canary_weight=0.5))
    await converge(deployer, Desired(stable=two))

    async def gone() -> bool:
        await applied(deployer, Desired(stable=two))
        return [one.name for one in (await deployer.observe(PLACE)).servers] == ["v2"]

    await eventually(gone)
