"""What the judge is told of a canary that KServe serves: counts of the gateway, by weight."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deployers.counting.prometheus import PrometheusServer
from deployers.counting.reader import CounterReader
from deployers.kserve.naming import predictor_name, workload_name
from deployers.kserve.place import KServeWindow
from deployers.kubernetes.settings import KServeMode
from deployers.protocol import Desired, Glance
from specs.failures import TryAgain
from tests.deployers.kserve.scene import NAME, NAMESPACE, PLACE, Scene, server
from tests.deployers.test_counter_reader import NOW, Answering, Hands, answering
from tests.doubles.kubernetes import Kubernetes, Play

V1, V2 = server(1), server(2)
STABLE = workload_name(NAME, predictor_name(V1.name))
CANARY = workload_name(NAME, predictor_name(V2.name))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with Kubernetes(folder=tmp_path) as made:
        made.namespace(NAMESPACE)
        made.install("gateway-api", "kserve")
        made.plays.add(Play(runs=None, ready_after=10))
        yield made


class Mesh(Answering):
    """A Prometheus that has scraped a mesh's counters of these workloads."""

    def __init__(self, *workloads: str) -> None:
        super().__init__()
        self.workloads = workloads

    def _data(self, form: str) -> Mapping[str, Any]:
        if form.startswith("query=time"):
            return super()._data(form)
        about: Mapping[str, str] = {
            "__name__": "istio_requests_total",
            "response_code": "200",
            "instance": "a",
        }
        series: list[Mapping[str, Any]] = [
            {"metric": {**about, "destination_workload": workload}, "values": self.samples}
            for workload in self.workloads
        ]
        return {"resultType": "matrix", "result": series}


@pytest.fixture
async def told() -> AsyncIterator[Answering]:
    async with answering(Mesh(STABLE, CANARY)) as made:
        yield made


def watched(cluster: Kubernetes, folder: Path, url: str, mode: KServeMode) -> tuple[Scene, Hands]:
    """A place whose traffic is counted, and the controller's clock."""
    clock = Hands()
    servers = {"default": PrometheusServer(url)}
    counters = CounterReader(folder / "home", servers, lambda _: {}, clock)
    return Scene(cluster, folder, mode, counters=counters), clock


async def test_counts_are_read_by_the_names_of_the_deployments(
    cluster: Kubernetes, tmp_path: Path, told: Answering
) -> None:
    scene, clock = watched(cluster, tmp_path, told.url, "Standard")
    clock.now = NOW - 100
    await scene.converge(Desired(stable=V1))
    wanted = Desired(stable=V1, canary=V2, canary_weight=0.25, errors=("5xx", "422"))
    await scene.converge(wanted)
    clock.now = NOW
    await scene.deployer.observe(PLACE)
    page = await scene.deployer.traffic(PLACE, None, 0)
    (window,) = page.windows
    assert (window.weight, window.stable.requests, window.canary.requests) == (0.25, 2, 2)
    assert (page.counted, page.split) == (True, "turns")
    asked = told.asked[-1][1]
    assert STABLE in asked
    assert CANARY in asked
    await scene.close()


async def test_counts_while_a_weight_changes_are_left_out(
    cluster: Kubernetes, tmp_path: Path, told: Answering
) -> None:
    scene, clock = watched(cluster, tmp_path, told.url, "Standard")
    clock.now = NOW - 100
    await scene.converge(Desired(stable=V1, canary=V2, canary_weight=0.25))
    clock.now = NOW - 30  # between the two scrapes' times
    await scene.deployer.observe(PLACE)
    await scene.converge(Desired(stable=V1, canary=V2, canary_weight=0.5))
    clock.now = NOW
    await scene.deployer.observe(PLACE)
    assert (await scene.deployer.traffic(PLACE, None, 0)).windows == ()
    await scene.close()


async def test_counts_are_read_by_the_names_of_the_revisions(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    revisions = [f"{NAME}-predictor-{number:05}" for number in (1, 2)]
    async with answering(Mesh(*revisions)) as told:
        scene, clock = watched(cluster, tmp_path, told.url, "Knative")
        clock.now = NOW - 100
        await scene.converge(Desired(stable=V1))
        await scene.converge(Desired(stable=V1, canary=V2, canary_weight=0.1))
        clock.now = NOW
        await scene.deployer.observe(PLACE)
        (window,) = (await scene.deployer.traffic(PLACE, None, 0)).windows
        assert (window.weight, window.stable.requests, window.canary.requests) == (0.1, 2, 2)
        await scene.close()


async def test_without_counters_it_is_told_which_setting_is_missing(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    scene = Scene(cluster, tmp_path, "Standard")
    await scene.converge(Desired(stable=V1))
    with pytest.raises(TryAgain, match=r"kubernetes\.serving\.kserve\.counters") as raised:
        await scene.deployer.traffic(PLACE, None, 0)
    assert raised.value.human
    await scene.close()


async def test_a_window_shows_where_a_place_answers(cluster: Kubernetes, tmp_path: Path) -> None:
    window, scene = KServeWindow(tmp_path / "home"), Scene(cluster, tmp_path, "Standard")
    assert await window.glance(PLACE) == Glance()
    seen = await scene.converge(Desired(stable=V1))
    assert await window.glance(PLACE) == Glance(address=seen.address)
    assert not window.logs(PLACE, V1.name)
    assert not await window.unwatched()
    with pytest.raises(TryAgain, match="only the controller reads"):
        await window.traffic(PLACE)
    await scene.deployer.remove(PLACE)
    assert await window.glance(PLACE) == Glance()
    await scene.close()
