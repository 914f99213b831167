"""Steps that run on several nodes of a cluster at once, as TrainJobs of Kubeflow Trainer."""

from typing import Any

import pytest

from controller.machine.runs.attempt import Attempt, AttemptState
from specs.resources import Training
from tests.contracts.executor import SECRET, becomes, ends, gate, lines, printed, run
from tests.controller.executors.kubernetes_site import KubernetesSite
from tests.controller.executors.test_kubernetes import LONG, jobs, pods, seen, waiting
from tests.doubles.kubernetes.base.objects import Obj

pytestmark = pytest.mark.bwrap
TORCH: Obj = {
    "metadata": {
        "name": "torch-distributed",
        "labels": {"trainer.kubeflow.org/framework": "torch"},
    },
    "spec": {
        "mlPolicy": {"numNodes": 1, "torch": {}},
        "template": {
            "spec": {
                "replicatedJobs": [
                    {
                        "name": "node",
                        "template": {
                            "metadata": {
                                "labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
                            },
                            "spec": {
                                "template": {
                                    "spec": {
                                        "containers": [
                                            {
                                                "name": "node",
                                                "image": "pytorch/pytorch:2.9",
                                                "args": ["--help"],
                                                "env": [{"name": "NCCL_DEBUG", "value": "WARN"}],
                                            }
                                        ]
                                    }
                                }
                            },
                        },
                    }
                ]
            }
        },
    },
}
"""As Trainer installs it, with a variable of the platform team's."""


@pytest.fixture
def trainer(kubernetes_site: KubernetesSite) -> KubernetesSite:
    """A cluster with Kubeflow Trainer and its runtime for PyTorch."""
    kubernetes_site.cluster.install("trainer")
    kubernetes_site.cluster.create("ClusterTrainingRuntime", TORCH)
    return kubernetes_site


def train_jobs(site: KubernetesSite) -> list[Obj]:
    return site.cluster.all("TrainJob", "headgate")


def attempt_of(site: KubernetesSite, command: str, name: str = "train", **more: Any) -> Attempt:
    """An attempt on two nodes."""
    train = Training(runtime="torch-distributed", nodes=2)
    return site.attempt(command, name, train=train, **more)


async def test_two_nodes_train_and_the_model_is_what_the_first_one_wrote(
    trainer: KubernetesSite,
) -> None:
    numbers = await trainer.artifact("numbers.txt", "1 2 3")
    attempt = attempt_of(
        trainer,
        "sh -c 'echo $PET_NODE_RANK of $PET_NNODES, $NCCL_DEBUG, $KEY; cat {inputs.numbers};"
        f" echo $PET_NODE_RANK >> {trainer.folder}/ranks;"
        " printf node-$PET_NODE_RANK > {outputs.model}'",
        inputs={"numbers": numbers},
        outputs={"model": "model.txt"},
        secrets=("KEY",),
    )
    async with trainer.open() as executor:
        status = await run(executor, attempt)
        assert (status.state, status.message) == (AttemptState.SUCCEEDED, "")
        outputs = await executor.collect(attempt)
        assert await trainer.stored(outputs["model"]) == "node-0"
        assert await printed(executor, attempt) == "0 of 2, WARN, ***\n1 2 3"
        await seen(lambda: not train_jobs(trainer) and not pods(trainer) and not jobs(trainer))
    assert sorted(lines(trainer.folder / "ranks")) == ["0", "1"]
    for kind in ("TrainingRuntime", "Secret"):
        own = [one for one in trainer.cluster.all(kind, "headgate") if "labels" in one["metadata"]]
        assert own == [], "they belong to the TrainJob, and go with it"
    policies = trainer.cluster.all("NetworkPolicy", "headgate")
    assert [one["metadata"]["name"] for one in policies] == ["headgate-steps-without-network"]
    assert SECRET not in str(trainer.cluster.count.by_call())


async def test_a_node_that_fails_is_named_with_its_last_words_and_ends_the_others(
    trainer: KubernetesSite,
) -> None:
    script = "echo of $PET_NODE_RANK; [ $PET_NODE_RANK = 1 ] && exit 3; "
    script += 'trap "exit 1" TERM; sleep 600 & wait'
    async with trainer.open() as executor:
        status = await run(executor, attempt_of(trainer, f"sh -c '{script}'", timeout=600))
        await seen(lambda: not train_jobs(trainer) and not pods(trainer))
    assert (status.state, status.exit_code) == (AttemptState.FAILED, 3), status.message
    assert status.message.startswith("node 1 of 2: it ended with exit code 3. Its last words: ")
    assert status.message.endswith("of 1")


async def test_a_runtime_that_does_not_exist_is_told_with_the_fix(trainer: KubernetesSite) -> None:
    train = Training(runtime="torch-distribted", nodes=2)
    async with trainer.open() as executor:
        status = await run(executor, trainer.attempt("true", train=train))
    assert status.state is AttemptState.FAILED
    assert "there is no ClusterTrainingRuntime torch-distribted" in status.message
    assert "correct `train.runtime`" in status.message
    assert train_jobs(trainer) == []


async def test_a_runtime_that_trainer_has_not_noticed_yet_is_waited_for(
    trainer: KubernetesSite,
) -> None:
    """Its webhook reads a cache, which may be behind."""
    trainer.cluster.trainer.behind = 1
    trainer.cluster.plays.add(LONG)
    attempt = attempt_of(trainer, "true")
    async with trainer.open() as executor:
        await executor.start(attempt)
        await waiting(executor, attempt, "to notice the runtime")
        await seen(lambda: not executor.unfinished())  # then a run starts it again
        await executor.start(attempt)
        await seen(lambda: len(pods(trainer)) == 2)


async def test_a_cluster_without_trainer_is_told_so(kubernetes_site: KubernetesSite) -> None:
    async with kubernetes_site.open() as executor:
        status = await run(executor, attempt_of(kubernetes_site, "true"))
    assert "install Kubeflow Trainer 2" in status.message


async def test_a_runtime_with_a_launcher_is_refused(trainer: KubernetesSite) -> None:
    (node,) = TORCH["spec"]["template"]["spec"]["replicatedJobs"]
    launcher = {**node, "name": "launcher", "template": {**node["template"], "metadata": {}}}
    spec = {"template": {"spec": {"replicatedJobs": [launcher, node]}}}
    runtime = {"metadata": {"name": "mpi"}, "spec": spec}
    trainer.cluster.create("TrainingRuntime", runtime, "headgate")
    train = Training(runtime="mpi", nodes=2)
    async with trainer.open() as executor:
        status = await run(executor, trainer.attempt("true", train=train))
    assert "its jobs are: launcher, node" in status.message
    assert "MPI with its launcher is not supported" in status.message


async def test_the_next_controller_goes_on_with_nodes_that_a_killed_one_left(
    trainer: KubernetesSite,
) -> None:
    command = f"{gate(trainer.folder, 'a')[:-1]}; printf 7 > {{outputs.model}}'"
    attempt = attempt_of(trainer, command, outputs={"model": "model.txt"})
    await trainer.start_and_die(attempt)
    async with trainer.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        (trainer.folder / "a.go").touch()
        assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED
        assert await trainer.stored((await executor.collect(attempt))["model"]) == "7"
    assert lines(trainer.folder / "began") == ["a", "a"]


async def test_all_nodes_of_a_cancelled_attempt_end(trainer: KubernetesSite) -> None:
    attempt = attempt_of(trainer, "sleep 600")
    async with trainer.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        await executor.cancel(attempt.id, grace=0.1)
        assert (await ends(executor, attempt)).state is AttemptState.CANCELLED
        await seen(lambda: not train_jobs(trainer) and not pods(trainer))


async def test_an_attempt_of_which_a_node_is_evicted_is_lost(trainer: KubernetesSite) -> None:
    attempt = attempt_of(trainer, "sleep 600")
    async with trainer.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        (name,) = (
            one["metadata"]["name"] for one in pods(trainer) if "-0-1-" in one["metadata"]["name"]
        )
        trainer.cluster.nodes.evict("headgate", name)
        status = await ends(executor, attempt)
    assert status.state is AttemptState.LOST
    assert status.message.startswith("node 1 of 2: its pod was ended by the cluster")


async def test_nodes_wait_for_quota_and_for_each_other(trainer: KubernetesSite) -> None:
    cluster = trainer.cluster
    cluster.install("kueue")
    cluster.kueue.add("headgate", "nights", 0)
    attempt = attempt_of(trainer, "true", queue="nights", gpu=1)
    async with trainer.open() as executor:
        await executor.start(attempt)
        await waiting(executor, attempt, "waiting for quota in queue nights: WaitingForQuota")
        assert train_jobs(trainer)[0]["spec"]["suspend"]
        cluster.nodes.add("gpu-1", {"nvidia.com/gpu": 1})
        cluster.kueue.resize("headgate", "nights", 1)
        status = await waiting(executor, attempt, "of 2: waiting for a node: ")
        assert status.state is AttemptState.PREPARING
        cluster.nodes.add("gpu-2", {"nvidia.com/gpu": 1})
        assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED


async def test_what_is_left_of_nodes_that_nobody_knows_is_reaped(trainer: KubernetesSite) -> None:
    attempt = attempt_of(trainer, "sleep 600")
    async with trainer.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
    (trainer.workspace.folder(attempt.id) / "job.json").unlink()
    async with trainer.open(stray=0.0) as executor:
        other = trainer.attempt("true", name="other")
        await run(executor, other)
        await seen(lambda: not train_jobs(trainer))
        await seen(lambda: not trainer.cluster.all("TrainingRuntime", "headgate"))
