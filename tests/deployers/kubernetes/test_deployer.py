"""What a deployer on a cluster does besides what all of them do."""

import asyncio
import base64
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deployers.kubernetes.access import SERVING
from deployers.kubernetes.settings import GatewaySettings
from deployers.kubernetes.window import KubernetesWindow
from deployers.protocol import Deployed, Deployer, Desired, Server, Silence
from specs.failures import NeedsHuman, TryAgain
from specs.resources import Resources
from tests.contracts.deployer import PLACE, address, converge
from tests.controller.executors.test_cluster_access import of_needs, of_role
from tests.deploy.chart import manifests
from tests.deployers.caller import flood
from tests.deployers.kubernetes.data_plane import SETTINGS
from tests.deployers.kubernetes.site import NAMESPACE, ServingSite, opened, serving_site
from tests.deployers.world import eventually
from tests.doubles.kubernetes.kubelet.plays import SERVES, labelled
from tests.servers.moto import Moto

pytestmark = [pytest.mark.bwrap, pytest.mark.usefixtures("namespaces", "aws")]
ACCOUNT = "system:serviceaccount:platform:headgate"
ROUTER = {"headgate.dev/role": "router"}


@pytest.fixture
def site(tmp_path: Path, moto: Moto) -> Iterator[ServingSite]:
    with serving_site(tmp_path, moto) as made:
        yield made


async def told(deployer: Deployer, server: Server, *texts: str) -> str:
    """Deploy it as the only one, until its status says all this; what it says."""

    async def says() -> str:
        with suppress(TryAgain):
            await deployer.apply(PLACE, Desired(stable=server))
        seen = (await deployer.observe(PLACE)).server(server.name)
        detail = seen.detail if seen is not None else ""
        return detail if all(text in detail for text in texts) else ""

    return await eventually(says)


async def without(deployer: Deployer, server: str) -> None:
    """Wait until a server is gone."""

    async def gone() -> bool:
        return (await deployer.observe(PLACE)).server(server) is None

    await eventually(gone)


async def test_why_a_server_does_not_start_is_told_long_before_its_deadline(
    site: ServingSite,
) -> None:
    cluster = site.cluster
    cluster.plays.add(SERVES, labelled(**ROUTER))  # it is not what this is about
    async with opened(site.root) as deployer:
        lost = site.server("v1").model_copy(update={"image": "registry.example/gone:1"})
        await told(deployer, lost, "image registry.example/gone:1 cannot be pulled", "not found")
        dies = site.server("v2", dies=3)
        await told(deployer, dies, "exit code 3", "its log ends:\ncannot load the model: hush-hush")
        large = site.server("v3").model_copy(update={"resources": Resources(gpu=1)})
        await told(deployer, large, "it waits for a node", "Insufficient nvidia.com/gpu")
        gated = site.server("v4", gated=True)
        await told(deployer, gated, "/healthz does not answer as it should", "statuscode: 503")
        quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}}
        cluster.create("ResourceQuota", quota, NAMESPACE)
        held = site.server("v5")
        await told(deployer, held, "no pod can be created", "exceeded quota: few")
        await deployer.remove(PLACE)
    assert cluster.all("Deployment") == []
    assert [one["metadata"]["name"] for one in cluster.all("Secret")] == ["store-credentials"]


async def test_a_rollback_takes_effect_while_the_api_server_is_away(site: ServingSite) -> None:
    stable, canary = site.server("v1"), site.server("v2")
    async with opened(site.root) as deployer:
        both = Desired(stable=stable, canary=canary, canary_weight=1.0)
        seen = await converge(deployer, both)
        assert {one.json()["model"] for one in await flood(address(seen), 20)} == {"v2"}
        with site.cluster.faults.unreachable():
            judged = await deployer.observe(PLACE)
            assert (judged.canary, judged.canary_weight) == ("v2", 1.0)
            assert len((await deployer.traffic(PLACE, None, 0)).exchanges) == 20
            apply = asyncio.create_task(deployer.apply(PLACE, Desired(stable=stable)))

            async def rolled_back() -> bool:
                return {one.json()["model"] for one in await flood(address(seen), 20)} == {"v1"}

            await eventually(rolled_back)
            with pytest.raises(TryAgain, match="API server cannot be reached"):
                await apply
        after = await converge(deployer, Desired(stable=stable))
        await without(deployer, "v2")
        assert after.address == seen.address
        await deployer.remove(PLACE)


async def test_a_router_in_a_new_pod_sends_nothing_to_the_canary_until_it_is_told(
    site: ServingSite,
) -> None:
    stable, canary = site.server("v1"), site.server("v2")
    async with opened(site.root) as deployer:
        both = Desired(stable=stable, canary=canary, canary_weight=0.5)
        before = await converge(deployer, both)
        await flood(address(before), 20)
        page = await deployer.traffic(PLACE, None, 0)
        (pod,) = (one for one in site.cluster.all("Pod") if is_router(one))
        site.cluster.delete("Pod", pod["metadata"]["name"], NAMESPACE)

        async def again() -> Deployed | None:
            with suppress(TryAgain):
                later = await deployer.traffic(PLACE, page.epoch, page.next)
                if later.epoch != page.epoch:
                    return await deployer.observe(PLACE)
            return None

        seen = await eventually(again)
        assert seen is not None
        assert (seen.stable, seen.canary, seen.canary_weight) == ("v1", "v2", 0.0)
        assert seen.address == before.address
        assert {one.json()["model"] for one in await flood(address(seen), 20)} == {"v1"}
        assert (await converge(deployer, both)).canary_weight == 0.5
        await deployer.remove(PLACE)


def is_router(pod: dict[str, Any]) -> bool:
    return bool(ROUTER.items() <= pod["metadata"]["labels"].items())


async def test_a_canary_that_no_controller_watches_loses_its_traffic(site: ServingSite) -> None:
    stable, canary = site.server("v1"), site.server("v2")
    async with opened(site.root, silence=1.0) as deployer:
        await converge(deployer, Desired(stable=stable, canary=canary, canary_weight=0.5))

        async def alone() -> Silence | None:
            return (await deployer.observe(PLACE)).silence

        silence = await eventually(alone)
        assert silence is not None
        assert silence.limit == 1.0
        assert (await deployer.observe(PLACE)).canary_weight == 0.0
        (unwatched,) = await KubernetesWindow(site.root / "home").unwatched()
        assert (unwatched.server, unwatched.silence) == ("v2", silence)
        await deployer.remove(PLACE)


async def test_what_is_of_somebody_else_is_left_alone(site: ServingSite) -> None:
    cluster = site.cluster
    service = {
        "metadata": {"name": "flight-delay-production", "labels": {"app": "theirs"}},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }
    cluster.create("Service", service, NAMESPACE)
    template = {
        "metadata": {"labels": {"app": "theirs"}},
        "spec": {"containers": [{"name": "main", "image": "theirs"}]},
    }
    theirs = {"selector": {"matchLabels": {"app": "theirs"}}, "template": template, "replicas": 0}
    cluster.create("Deployment", {"metadata": {"name": "theirs"}, "spec": theirs}, NAMESPACE)
    before = cluster.get("Service", "flight-delay-production", NAMESPACE)
    async with opened(site.root) as deployer:
        with pytest.raises(NeedsHuman, match="is not Headgate's, so it is left alone"):
            await deployer.apply(PLACE, Desired(stable=site.server("v1")))
        cluster.delete("Service", "flight-delay-production", NAMESPACE)
        assert before is not None
        assert before["metadata"]["labels"] == {"app": "theirs"}
        await converge(deployer, Desired(stable=site.server("v1")))
        await deployer.remove(PLACE)
    cluster.settle()
    assert [one["metadata"]["name"] for one in cluster.all("Deployment")] == ["theirs"]


async def hang(site: ServingSite, deployer: Deployer, stable: Server) -> None:
    """Freeze the server, until another process answers in its place."""
    before = site.target().process(stable.name)
    os.kill(before, signal.SIGSTOP)

    async def hangs() -> bool:
        seen = (await deployer.observe(PLACE)).server(stable.name)
        return seen is not None and seen.hung and "nothing was answered for" in seen.detail

    await eventually(hangs)
    await converge(deployer, Desired(stable=stable))

    async def another_answers() -> bool:
        seen = await deployer.observe(PLACE)
        answers = await flood(address(seen), 1) if seen.address else []
        return any(one.status == 200 for one in answers)

    await eventually(another_answers)
    assert before not in {int(one.partition(":")[0]) for one in site.target().living()}


@pytest.mark.parametrize("gateway", [None, SETTINGS])
async def test_a_controller_that_has_lost_a_place_changes_nothing_there(
    site: ServingSite, gateway: GatewaySettings | None
) -> None:
    site.cluster.count.reset()
    async with opened(site.root, may=lambda _place: False, gateway=gateway) as deployer:
        with pytest.raises(TryAgain, match=f"another controller may have {PLACE}"):
            await deployer.apply(PLACE, Desired(stable=site.server("v1")))
        assert await deployer.observe(PLACE) == Deployed()
    assert {verb for verb, _ in site.cluster.count.by_call()} <= {"get", "list"}


def installed() -> list[dict[str, Any]]:
    """The chart, with servers in the cluster and no steps."""
    given = {
        "settings": {
            "repositories": [{"name": "flights", "url": "flights.git"}],
            "artifacts": "s3://company-ml/headgate",
        },
        "steps": {"enabled": False},
        "serving": {"enabled": True},
    }
    return manifests(given, "platform")


def test_the_role_is_what_the_code_says_that_it_needs() -> None:
    assert of_role(installed()) == of_needs(SERVING)
    (role,) = (part for part in installed() if part["kind"] == "Role")
    assert role["metadata"]["namespace"] == NAMESPACE
    groups = {rule["resources"][0]: rule["apiGroups"] for rule in role["rules"]}
    assert groups == {need.resource: [need.group] for need in SERVING}


async def test_a_deployer_needs_every_verb_of_the_role_and_no_other(site: ServingSite) -> None:
    """A release, a canary that is rolled back, and a place that is removed: all with the token of
    the chart's service account."""
    cluster = site.cluster
    for part in installed():
        if part["kind"] in ("Role", "RoleBinding"):
            cluster.create(part["kind"], part, NAMESPACE)
    cluster.write_kubeconfig(site.root / "kubeconfig.json", cluster.token(ACCOUNT))
    cluster.count.reset()
    stable, canary = site.server("v1"), site.server("v2")
    stable = stable.model_copy(update={"hung_after": 0.5, "startup": 30.0})
    async with opened(site.root) as deployer:
        await converge(deployer, Desired(stable=stable, canary=canary, canary_weight=0.5))
        (hidden,) = (
            one
            for one in cluster.all("Secret")
            if "TOKEN" in one["data"] and "v2" in one["metadata"]["name"]
        )
        assert base64.b64decode(hidden["data"]["TOKEN"]) == b"hush-hush"
        await converge(deployer, Desired(stable=stable))
        await without(deployer, "v2")
        assert await deployer.reap() == 0
        await hang(site, deployer, stable)
        await deployer.remove(PLACE)
    await asyncio.to_thread(cluster.settle)
    made = set(cluster.count.by_call())
    # Applying what is not there yet is creating it, too.
    made |= {("create", what) for verb, what in made if verb == "patch"}
    assert made == of_needs(SERVING)
    names = {one["metadata"]["name"] for kind in ("Service", "ConfigMap", "Secret")
             for one in cluster.all(kind, NAMESPACE)}  # fmt: skip
    assert names - {"kube-root-ca.crt"} == {"store-credentials"}
