"""The executor of steps against the real API server, controllers, scheduler and kubelet."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.executors.kubernetes.executor import KubernetesExecutor
from controller.machine.runs.attempt import Attempt, AttemptState
from examples.demo.cluster import make_own_image
from tests.contracts.executor import ends, printed, run, until
from tests.controller.executors.kubernetes_site import SECRET, KubernetesSite
from tests.controller.executors.site import make_team
from tests.integration.kubernetes.scene import Scene
from tests.servers.moto import KEY, Moto

pytestmark = [
    pytest.mark.kubernetes,
    # asyncio closes a TLS connection once the other side has answered, which a test's loop does not
    # live to see.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. .function _SelectorTransport:"
        "pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture
def place(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KubernetesSite]:
    """A place for attempts in the namespace."""
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    commit = make_team(tmp_path / "team")
    moto = Moto(scene.kubernetes.machine)
    uri = f"s3://{moto.bucket()}/artifacts"
    kubeconfig = Path(scene.kubernetes.kubeconfig)
    made = KubernetesSite(tmp_path, (tmp_path / "team", commit), kubeconfig, moto.url, uri)
    made.changes = {"store_secret": None}
    made.more = {"namespace": scene.name, "image": scene.kubernetes.image}
    yield made
    moto.close()


def jobs(scene: Scene) -> list[str]:
    from lightkube.resources.batch_v1 import Job

    found = scene.client.list(Job, namespace=scene.name)
    return [str(each.metadata.name) for each in found if each.metadata]


async def waiting(executor: KubernetesExecutor, attempt: Attempt, words: str) -> None:
    async def told() -> bool:
        waits = (await executor.poll(attempt.id)).waits
        return waits is not None and words in waits.reason

    await until(told)


@pytest.mark.timeout(300)  # three containers in turn, of which two ask for a tenth of a processor
async def test_a_step_runs_on_its_node_and_what_it_learnt_is_in_the_store(
    place: KubernetesSite, scene: Scene
) -> None:
    place.more = {**place.more, "image": make_own_image(scene.kubernetes.docker)}
    place.changes = {"store_secret": SECRET, "volumes": {}}
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Secret

    scene.client.create(
        Secret(metadata=ObjectMeta(name=SECRET, namespace=scene.name), stringData=KEY)
    )
    learn = "sh -c 'id -u; printf 7 > {outputs.model}'"
    attempt = place.attempt(
        learn, outputs={"model": "deep/model.txt"}, image=scene.kubernetes.image
    )
    async with place.open() as executor:
        await executor.start(attempt)
        while not (status := await executor.poll(attempt.id)).state.ended:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        assert status.state is AttemptState.SUCCEEDED, status.message
        outputs = await executor.collect(attempt)
        log = await printed(executor, attempt)
    assert await place.stored(outputs["model"]) == "7"
    assert "65532" in log


async def test_a_container_of_ours_that_does_not_run_is_told_and_its_job_goes(
    place: KubernetesSite, scene: Scene
) -> None:
    async with place.open() as executor:
        status = await run(executor, place.attempt("true", secrets=("KEY",)))

        async def gone() -> bool:
            return not jobs(scene)

        await until(gone)
    assert status.state is AttemptState.FAILED
    assert "the image of `kubernetes.image` does not run" in status.message


async def test_an_image_that_is_nowhere_is_told_before_any_deadline(
    place: KubernetesSite,
) -> None:
    place.more = {**place.more, "image": "127.0.0.1:1/nothing:1"}
    place.changes = {**place.changes, "image_deadline": "3s"}
    async with place.open() as executor:
        status = await run(executor, place.attempt("true"))
    assert status.state is AttemptState.FAILED
    assert "Headgate's own image 127.0.0.1:1/nothing:1 cannot be pulled" in status.message


async def test_a_step_for_which_no_node_has_room_says_so_and_can_be_cancelled(
    place: KubernetesSite, scene: Scene
) -> None:
    attempt = place.attempt("true", gpu=1)
    async with place.open() as executor:
        await executor.start(attempt)
        await waiting(executor, attempt, "Insufficient nvidia.com/gpu")
    async with place.open() as executor:
        await waiting(executor, attempt, "Insufficient nvidia.com/gpu")
        assert len(jobs(scene)) == 1
        await executor.cancel(attempt.id)
        assert (await ends(executor, attempt)).state is AttemptState.CANCELLED
        assert not jobs(scene)
