"""What is seen of an attempt in a cluster, and what it means: a table of stories.

The objects are as real servers write them; tests/integration/kubernetes/README.md has them.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.config.kubernetes import ClusterProfile
from controller.executors.kubernetes.interpret import SeenObjects, observe
from controller.machine.runs.attempt import AttemptState as S

PROFILE = ClusterProfile.model_validate(
    {"start_deadline": "10m", "image_deadline": "1m", "queue_deadline": "2h"}
)
BEGIN = 1_800_000_000
"""When everything was created, in seconds since the epoch."""
Obj = Mapping[str, Any]


def at(seconds: float) -> str:
    return datetime.fromtimestamp(BEGIN + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def waits(reason: str, message: str = "") -> Obj:
    return {"waiting": {"reason": reason, "message": message}}


def runs(since: float = 20) -> Obj:
    return {"running": {"startedAt": at(since)}}


def ended(code: int = 0, reason: str = "", message: str = "", when: float = 30) -> Obj:
    about = {"exitCode": code, "reason": reason or ("Error" if code else "Completed")}
    times = {"startedAt": at(20), "finishedAt": at(when)}
    return {"terminated": {**about, **times, **({"message": message} if message else {})}}


FETCHED = ended(when=15)
INIT = waits("PodInitializing")
STORED = ended(message=json.dumps({"outputs": {"model": "sha256:1"}}))


def pod(
    fetch: Obj = INIT,
    step: Obj = INIT,
    collect: Obj = INIT,
    phase: str = "Pending",
    conditions: tuple[Obj, ...] = (),
    meta: Obj = {},  # noqa: B006 - never changed
    **status: Any,
) -> Obj:
    names = [{"name": "fetch", "image": "ours"}, {"name": "step", "image": "theirs"}]
    return {
        "metadata": {"name": "p", "uid": "1", "creationTimestamp": at(0), **meta},
        "spec": {"initContainers": names, "containers": [{"name": "collect", "image": "ours"}]},
        "status": {
            "phase": phase,
            "startTime": at(5),
            "conditions": list(conditions),
            "initContainerStatuses": [
                {"name": "fetch", "state": fetch},
                {"name": "step", "state": step},
            ],
            "containerStatuses": [{"name": "collect", "state": collect}],
            **status,
        },
    }


def condition(kind: str, status: str = "True", reason: str = "", message: str = "") -> Obj:
    about = {"type": kind, "status": status, "reason": reason, "message": message}
    return {**about, "lastTransitionTime": at(25)}


def job(*conditions: Obj, suspend: bool = False, queue: str = "") -> Obj:
    labels = {"kueue.x-k8s.io/queue-name": queue} if queue else {}
    return {
        "metadata": {"name": "j", "creationTimestamp": at(0), "labels": labels},
        "spec": {"suspend": suspend},
        "status": {"conditions": list(conditions)},
    }


UNPLACED = condition(
    "PodScheduled",
    "False",
    "Unschedulable",
    "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
)
DELETED = {"deletionTimestamp": at(55), "deletionGracePeriodSeconds": 30}
PULL = waits("ImagePullBackOff", 'Back-off pulling image "theirs"')
NO_IMAGE = waits("ErrImagePull", 'failed to pull and unpack image "theirs": not found')
NO_WAY = waits("ErrImagePull", "dial tcp: lookup registry.example: no such host")
DISK = 'Usage of EmptyDir volume "work" exceeds the limit "1Mi". '
EVICTED = {"initContainerStatuses": [], "containerStatuses": [], "conditions": []}

STORIES: list[tuple[str, SeenObjects, float, S, str]] = [
    # What was seen, after how many seconds, and what it means: the state, and words that are told.
    ("its pod is yet to be made", SeenObjects(job()), 1, S.PREPARING, ""),
    ("its pod has no node yet", SeenObjects(job(), pod()), 1, S.PREPARING, ""),
    (
        "no node has room",
        SeenObjects(job(), pod(conditions=(UNPLACED,))),
        60,
        S.PREPARING,
        "waiting for a node: .*Insufficient nvidia.com/gpu",
    ),
    (
        "no node has room for too long",
        SeenObjects(job(), pod(conditions=(UNPLACED,))),
        601,
        S.FAILED,
        "Insufficient nvidia.com/gpu.*lower `resources`.*`start_deadline`",
    ),
    ("its files are fetched, for hours", SeenObjects(job(), pod(runs())), 7000, S.PREPARING, ""),
    ("its step runs", SeenObjects(job(), pod(FETCHED, runs())), 60, S.RUNNING, ""),
    (
        "its outputs are stored",
        SeenObjects(job(), pod(FETCHED, ended(), runs(), "Running")),
        60,
        S.ENDING,
        "",
    ),
    (
        "it ended well",
        SeenObjects(job(), pod(FETCHED, ended(), STORED, "Succeeded")),
        60,
        S.SUCCEEDED,
        "",
    ),
    (
        "it ended well, and its pod is gone since",
        SeenObjects(None, pod(FETCHED, ended(), STORED, "Succeeded", meta=DELETED), gone=True),
        60,
        S.SUCCEEDED,
        "",
    ),
    (
        "it failed",
        SeenObjects(job(), pod(FETCHED, ended(3), phase="Failed")),
        60,
        S.FAILED,
        "exit code 3",
    ),
    (
        "it ran out of memory",
        SeenObjects(job(), pod(FETCHED, ended(137, "OOMKilled"), phase="Failed")),
        60,
        S.OUT_OF_MEMORY,
        "`resources.memory`",
    ),
    (
        "a child ran out of memory, and it hid that",
        SeenObjects(job(), pod(FETCHED, ended(0, "OOMKilled"), STORED, "Succeeded")),
        60,
        S.OUT_OF_MEMORY,
        "`resources.memory`",
    ),
    (
        "it was killed and nobody says why",
        SeenObjects(job(), pod(FETCHED, ended(137), phase="Failed")),
        60,
        S.FAILED,
        "exit code 137.*`resources.memory`",
    ),
    (
        "its command is not there (containerd)",
        SeenObjects(
            job(), pod(FETCHED, ended(128, "StartError", "exec: trainn: not found"), phase="Failed")
        ),
        60,
        S.FAILED,
        "could not be started: exec: trainn",
    ),
    (
        "its command is not there (dockerd)",
        SeenObjects(
            job(), pod(FETCHED, ended(127, "ContainerCannotRun", "no trainn"), phase="Failed")
        ),
        60,
        S.FAILED,
        "could not be started: no trainn",
    ),
    # images
    (
        "its image is not there",
        SeenObjects(job(), pod(FETCHED, NO_IMAGE)),
        20,
        S.FAILED,
        "theirs cannot be pulled.*not found.*correct `image`.*image_pull_secrets",
    ),
    (
        "our image is not there",
        SeenObjects(job(), pod(NO_IMAGE)),
        20,
        S.FAILED,
        "Headgate's own image.*`kubernetes.image`",
    ),
    (
        "the registry is not reached",
        SeenObjects(job(), pod(FETCHED, NO_WAY)),
        30,
        S.PREPARING,
        "no such host.*tried again",
    ),
    (
        "the registry is not reached for long",
        SeenObjects(job(), pod(FETCHED, NO_WAY)),
        100,
        S.FAILED,
        "no such host",
    ),
    (
        "its image is waited for, without a word",
        SeenObjects(job(), pod(FETCHED, PULL)),
        30,
        S.PREPARING,
        "tried again",
    ),
    (
        "its image has no valid name",
        SeenObjects(job(), pod(FETCHED, waits("InvalidImageName", "x"))),
        20,
        S.FAILED,
        "InvalidImageName",
    ),
    (
        "its image may not be pulled",
        SeenObjects(job(), pod(FETCHED, waits("ErrImageNeverPull", "x"))),
        20,
        S.FAILED,
        "ErrImageNeverPull",
    ),
    (
        "a secret is not there yet",
        SeenObjects(
            job(), pod(FETCHED, waits("CreateContainerConfigError", 'secret "a" not found'))
        ),
        30,
        S.PREPARING,
        'secret "a" not found',
    ),
    (
        "a secret does not come",
        SeenObjects(
            job(), pod(FETCHED, waits("CreateContainerConfigError", 'secret "a" not found'))
        ),
        100,
        S.FAILED,
        "create what is missing",
    ),
    # ended from outside
    (
        "it is being deleted",
        SeenObjects(job(), pod(FETCHED, runs(), meta=DELETED)),
        40,
        S.RUNNING,
        "",
    ),
    (
        "it was deleted",
        SeenObjects(job(), pod(FETCHED, runs(), meta=DELETED), gone=True),
        40,
        S.LOST,
        "deleted",
    ),
    (
        "its end was asked for, and it obeyed with 0",
        SeenObjects(job(), pod(FETCHED, ended(0), phase="Succeeded", meta=DELETED)),
        40,
        S.LOST,
        "",
    ),
    (
        "its end was asked for, and it obeyed with 1",
        SeenObjects(job(), pod(FETCHED, ended(1), phase="Failed", meta=DELETED)),
        40,
        S.LOST,
        "",
    ),
    (
        "it had failed before it was deleted",
        SeenObjects(
            job(), pod(FETCHED, ended(1, when=21), phase="Failed", meta=DELETED), gone=True
        ),
        60,
        S.FAILED,
        "exit code 1",
    ),
    (
        "the kubelet never says that it ended",
        SeenObjects(job(), pod(FETCHED, runs(), meta=DELETED)),
        120,
        S.LOST,
        "deleted",
    ),
    (
        "it was preempted",
        SeenObjects(
            job(),
            pod(
                FETCHED,
                ended(143),
                phase="Failed",
                meta=DELETED,
                conditions=(
                    condition(
                        "DisruptionTarget", reason="PreemptionByScheduler", message="for another"
                    ),
                ),
            ),
        ),
        60,
        S.LOST,
        "PreemptionByScheduler: for another",
    ),
    (
        "its node was short of memory",
        SeenObjects(
            job(),
            pod(
                phase="Failed",
                reason="Evicted",
                message="The node was low on resource: memory.",
                **EVICTED,
            ),
        ),
        60,
        S.LOST,
        "low on resource",
    ),
    (
        "it took too much disk",
        SeenObjects(job(), pod(phase="Failed", reason="Evicted", message=DISK, **EVICTED)),
        60,
        S.FAILED,
        "too much disk.*`disk` of its profile",
    ),
    (
        "its node is silent",
        SeenObjects(
            job(),
            pod(FETCHED, runs(), conditions=(condition("Ready", "False", "NodeStatusUnknown"),)),
        ),
        60,
        S.RUNNING,
        "",
    ),
    (
        "its node is silent and was given up",
        SeenObjects(
            job(),
            pod(
                FETCHED,
                runs(),
                meta=DELETED,
                conditions=(condition("Ready", "Unknown", "NodeStatusUnknown"),),
            ),
        ),
        40,
        S.LOST,
        "node was lost",
    ),
    (
        "its node is silent and its taint is not tolerated",
        SeenObjects(
            job(),
            pod(
                FETCHED,
                runs(),
                meta=DELETED,
                conditions=(condition("DisruptionTarget", reason="DeletionByTaintManager"),),
            ),
        ),
        40,
        S.LOST,
        "DeletionByTaintManager",
    ),
    (
        "its node was shut down",
        SeenObjects(
            job(),
            pod(
                FETCHED,
                runs(),
                phase="Failed",
                reason="Terminated",
                message="Pod was terminated in response to imminent node shutdown.",
            ),
        ),
        60,
        S.LOST,
        "node shutdown",
    ),
    (
        "its node refused it",
        SeenObjects(
            job(),
            pod(
                phase="Failed",
                reason="OutOfcpu",
                message="Node didn't have enough resource: cpu",
                **EVICTED,
            ),
        ),
        60,
        S.LOST,
        "enough resource",
    ),
    (
        "its Job's deadline passed",
        SeenObjects(job(condition("Failed", reason="DeadlineExceeded"))),
        60,
        S.TIMED_OUT,
        "raise `timeout`",
    ),
    (
        "its Job's deadline passed, and its pod goes",
        SeenObjects(
            job(condition("FailureTarget", reason="DeadlineExceeded")),
            pod(FETCHED, runs(), meta=DELETED),
            gone=True,
        ),
        60,
        S.TIMED_OUT,
        "",
    ),
    ("its Job was deleted", SeenObjects(None), 60, S.LOST, "deleted from outside"),
    (
        "its pod was taken away before it was seen",
        SeenObjects(job(condition("Complete"))),
        60,
        S.LOST,
        "deleted before its end was noted",
    ),
    # our containers
    (
        "an object was replaced",
        SeenObjects(
            job(), pod(ended(1, message='{"changed": "s3://a/b was changed"}'), phase="Failed")
        ),
        60,
        S.DATA_CHANGED,
        "s3://a/b was changed",
    ),
    (
        "the store may not be read",
        SeenObjects(job(), pod(ended(1, message='{"failed": "no key"}'), phase="Failed")),
        60,
        S.FAILED,
        "inputs could not be fetched: no key",
    ),
    (
        "the store was away",
        SeenObjects(
            job(), pod(FETCHED, ended(), ended(1, message='{"unavailable": "no answer"}'), "Failed")
        ),
        60,
        S.LOST,
        "outputs could not be stored: no answer",
    ),
    (
        "our image is another",
        SeenObjects(job(), pod(ended(128, "StartError", "no python"), phase="Failed")),
        60,
        S.FAILED,
        "`kubernetes.image` does not run",
    ),
    (
        "our container was killed",
        SeenObjects(job(), pod(FETCHED, ended(), ended(137, "OOMKilled"), "Failed")),
        60,
        S.LOST,
        "`collect` ended with OOMKilled",
    ),
    (
        "nobody knows what was stored",
        SeenObjects(job(), pod(FETCHED, ended(), ended(), "Succeeded")),
        60,
        S.LOST,
        "message of `collect` is lost",
    ),
    # queues and quotas
    (
        "it waits for its queue",
        SeenObjects(
            job(suspend=True, queue="q"), queued="WaitingForQuota: insufficient unused quota"
        ),
        60,
        S.PREPARING,
        "quota in queue q: .*insufficient unused",
    ),
    ("Kueue is silent", SeenObjects(job(suspend=True, queue="q")), 60, S.PREPARING, "not answered"),
    (
        "it waits for its queue for too long",
        SeenObjects(job(suspend=True, queue="q")),
        7300,
        S.FAILED,
        "queue q.*`queue_deadline`",
    ),
    (
        "the namespace has no quota left",
        SeenObjects(job(), refused="exceeded quota: team"),
        60,
        S.PREPARING,
        "exceeded quota: team",
    ),
    (
        "the namespace has no quota left for too long",
        SeenObjects(job(), refused="exceeded quota: t"),
        700,
        S.FAILED,
        "exceeded quota: t.*ResourceQuota",
    ),
]


@pytest.mark.parametrize(
    ("seen", "after", "state", "words"),
    [story[1:] for story in STORIES],
    ids=[story[0] for story in STORIES],
)
def test_what_is_seen_of_an_attempt(seen: SeenObjects, after: float, state: S, words: str) -> None:

    found = observe(seen, PROFILE, BEGIN + after)
    assert found.state is state, found
    assert re.search(words, found.why or found.waits), found
    assert bool(found.why) == (state.ended and state is not S.SUCCEEDED)


def test_times_and_exit_codes_are_those_of_the_step() -> None:
    found = observe(SeenObjects(job(), pod(FETCHED, ended(3), phase="Failed")), PROFILE, BEGIN + 60)
    assert (found.exit_code, found.started, found.ended) == (3, BEGIN + 20, BEGIN + 30)


def test_what_was_stored_is_told() -> None:
    seen = SeenObjects(job(), pod(FETCHED, ended(), STORED, "Succeeded"))
    assert observe(seen, PROFILE, BEGIN + 60).said == {"outputs": {"model": "sha256:1"}}


@pytest.mark.parametrize("message", ["no JSON", "[1]", '"text"', "{", "null"])
def test_a_message_that_is_none_of_ours_is_no_message(message: str) -> None:
    seen = SeenObjects(job(), pod(ended(1, message=message), phase="Failed"))
    assert observe(seen, PROFILE, BEGIN + 60).state is S.FAILED


def test_a_long_message_is_cut() -> None:
    long = waits("InvalidImageName", "x" * 100_000)
    assert len(observe(SeenObjects(job(), pod(FETCHED, long)), PROFILE, BEGIN).why) < 1000
