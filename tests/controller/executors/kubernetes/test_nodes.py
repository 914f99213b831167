"""What the nodes of a TrainJob mean together: which of them says why the attempt ended."""

import re
from typing import Any

import pytest

from controller.executors.kubernetes.attempts import SeenPod
from controller.executors.kubernetes.nodes import SETTLED, SeenNodes, observe_nodes
from controller.machine.runs.attempt import AttemptState as S
from tests.controller.executors.kubernetes.builders import (
    BEGIN,
    FETCHED,
    PROFILE,
    STORED,
    Obj,
    at,
    condition,
    ended,
    job,
    runs,
    waits,
)

COLLECTS = runs(16)
GOOD, NOTHING = STORED, ended(message='{"outputs": {}}')
EVICTED = condition("DisruptionTarget", reason="TerminationByKubelet", message="low on memory")
DELETED = {"deletionTimestamp": at(3630), "deletionGracePeriodSeconds": 3600}
UNPLACED = condition("PodScheduled", "False", "Unschedulable", "Insufficient nvidia.com/gpu.")


def node(
    step: Obj,
    collect: Obj = COLLECTS,
    phase: str = "Running",
    conditions: tuple[Obj, ...] = (),
    meta: dict[str, Any] | None = None,
    *,
    gone: bool = False,
    fetch: Obj = FETCHED,
) -> SeenPod:
    """A pod of a node."""
    pod = {
        "metadata": {"name": "p", "uid": "1", "creationTimestamp": at(0), **(meta or {})},
        "spec": {
            "initContainers": [{"name": "fetch", "image": "ours"}, {"name": "collect"}],
            "containers": [{"name": "node", "image": "theirs"}],
        },
        "status": {
            "phase": phase,
            "startTime": at(5),
            "conditions": list(conditions),
            "initContainerStatuses": [
                {"name": "fetch", "state": fetch},
                {"name": "collect", "state": collect},
            ],
            "containerStatuses": [{"name": "node", "state": step}],
        },
    }
    return SeenPod(pod, gone)


RUNS = node(runs())
WAITS = waits("PodInitializing")
PENDING = node(WAITS, WAITS, "Pending", (UNPLACED,), fetch=WAITS)
DONE = node(ended(), NOTHING, "Succeeded")
KILLED = node(ended(143, when=31), ended(), "Failed", meta=DELETED, gone=True)

STORIES: list[tuple[str, tuple[SeenPod | None, ...], float, S, str]] = [
    ("both run", (RUNS, node(runs(25))), 60, S.RUNNING, ""),
    ("one has no node yet", (RUNS, PENDING), 60, S.PREPARING, "node 1 of 2: .*nvidia.com/gpu"),
    ("one has no pod yet", (RUNS, None), 60, S.PREPARING, ""),
    ("one ended before the first", (RUNS, DONE), 60, S.RUNNING, ""),
    ("the first stores the model", (node(ended()), DONE), 60, S.ENDING, ""),
    ("both ended well", (node(ended(), GOOD, "Succeeded"), DONE), 60, S.SUCCEEDED, ""),
    (
        "one failed, and others may yet be heard of",
        (RUNS, node(ended(3), phase="Failed")),
        30 + SETTLED - 1,
        S.ENDING,
        "",
    ),
    (
        "one failed, and the first waits for it",
        (RUNS, node(ended(3), phase="Failed")),
        60,
        S.FAILED,
        "node 1 of 2: it ended with exit code 3",
    ),
    (
        "one failed, and the cluster deleted the other",
        (KILLED, node(ended(3), phase="Failed")),
        60,
        S.FAILED,
        "node 1 of 2: it ended with exit code 3",
    ),
    (
        "one was evicted, and the other failed as it could not reach it",
        (
            node(ended(1, when=31), phase="Failed"),
            node(ended(137, when=29), ended(), "Failed", (EVICTED,), gone=True),
        ),
        60,
        S.LOST,
        "node 1 of 2: its pod was ended by the cluster .*low on memory",
    ),
    (
        "one failed long before another was evicted",
        (
            node(ended(1, when=10), phase="Failed"),
            node(ended(137, when=29), ended(), "Failed", (EVICTED,), gone=True),
        ),
        60,
        S.FAILED,
        "node 0 of 2: it ended with exit code 1",
    ),
    (
        "one ran out of memory, and the other failed a second later",
        (
            node(ended(1, when=31), phase="Failed"),
            node(ended(137, "OOMKilled", when=28), phase="Failed"),
        ),
        60,
        S.OUT_OF_MEMORY,
        "node 1 of 2: .*`resources.memory`",
    ),
    (
        "the model could not be stored",
        (node(ended(), ended(1, message='{"failed": "no key"}'), "Succeeded"), DONE),
        60,
        S.FAILED,
        "node 0 of 2: its outputs could not be stored: no key",
    ),
    ("no node has room for too long", (RUNS, PENDING), 700, S.FAILED, "node 1 of 2: .*nvidia"),
]


@pytest.mark.parametrize(("what", "pods", "after", "state", "words"), STORIES)
def test_what_nodes_mean_together(
    what: str, pods: tuple[SeenPod | None, ...], after: float, state: S, words: str
) -> None:
    known = {number: pod for number, pod in enumerate(pods) if pod is not None}
    seen = observe_nodes(SeenNodes(job(), known, 2), PROFILE, BEGIN + after)
    assert seen.state is state, what
    assert re.search(words, seen.why or seen.waits), seen


def test_the_time_of_all_nodes_counts_and_the_outputs_of_the_first() -> None:
    pods = {0: node(ended(when=40), GOOD, "Succeeded"), 1: DONE}
    seen = observe_nodes(SeenNodes(job(), pods, 2), PROFILE, BEGIN + 60)
    assert (seen.started, seen.ended) == (BEGIN + 20, BEGIN + 40)
    assert seen.said == {"outputs": {"model": "sha256:1"}}


@pytest.mark.parametrize(
    ("about", "state", "words"),
    [
        (job(condition("Failed", reason="DeadlineExceeded")), S.TIMED_OUT, "raise `timeout`"),
        (None, S.LOST, "deleted from outside"),
    ],
)
def test_what_a_train_job_without_pods_means(about: Obj | None, state: S, words: str) -> None:
    seen = observe_nodes(SeenNodes(about, {}, 2), PROFILE, BEGIN + 60)
    assert seen.state is state
    assert re.search(words, seen.why)
