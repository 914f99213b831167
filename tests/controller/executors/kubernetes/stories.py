"""Stories of attempts in a cluster: what was seen, after how many seconds, and what it means.

The objects are as real servers write them; tests/integration/kubernetes/README.md has them.
"""

from typing import Any

from controller.executors.kubernetes.interpret import SeenObjects
from controller.machine.runs.attempt import AttemptState as S
from tests.controller.executors.kubernetes.builders import (
    FETCHED,
    STORED,
    at,
    condition,
    ended,
    job,
    pod,
    runs,
    waits,
)

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
EVICTED: dict[str, Any] = {"initContainerStatuses": [], "containerStatuses": [], "conditions": []}

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
        "its end was asked for, it obeyed with 143, and its pod's end is yet to be told",
        SeenObjects(job(), pod(FETCHED, ended(143), phase="Running", meta=DELETED)),
        40,
        S.ENDING,
        "",
    ),
    (
        "its node makes room, and its pod's end is yet to be told",
        SeenObjects(job(), pod(FETCHED, ended(143), conditions=(condition("DisruptionTarget"),))),
        40,
        S.ENDING,
        "",
    ),
    (
        "its pod's end is never told",
        SeenObjects(job(), pod(FETCHED, ended(143), phase="Running", meta=DELETED)),
        120,
        S.LOST,
        "deleted",
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
    (
        "nobody makes its pod, nor says why",
        SeenObjects(job()),
        700,
        S.FAILED,
        "events of the Job j.*`start_deadline`",
    ),
    (
        "our image is not there for its end",
        SeenObjects(job(), pod(FETCHED, ended(), PULL, "Running")),
        60,
        S.ENDING,
        "Headgate's own image.*tried again",
    ),
    (
        "our image is not there for its end, for long",
        SeenObjects(job(), pod(FETCHED, ended(), PULL, "Running")),
        100,
        S.FAILED,
        "`kubernetes.image`",
    ),
]
