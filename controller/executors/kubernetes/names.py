"""PURE. How the objects of attempts are named and labelled in a cluster, and what pods say."""

from collections.abc import Mapping
from typing import Any, Final

from controller.executors.leftovers import pipeline_of
from controller.machine.runs.attempt import Attempt
from deployers.kubernetes.names import label_value, object_name, owned

ATTEMPT: Final = "headgate.dev/attempt"
"""The label with a form of the attempt's id, and the annotation with the id itself."""
CONTENT: Final = "headgate.dev/content"
"""The annotation that tells an attempt from others that have its id in another history."""
NETWORK: Final = "headgate.dev/network"
"""The label that says whether a pod may use the network: `none` or `open`."""
QUEUE: Final = "kueue.x-k8s.io/queue-name"
POLICY: Final = "headgate-steps-without-network"
"""The name of the NetworkPolicy."""

RUN, COLLECT = "step", "collect"
"""The containers of a pod, besides `fetch`."""
NODE: Final = "node"
"""The container that runs the command in a pod of a TrainJob: Trainer knows it by this name."""
INDEX: Final = "batch.kubernetes.io/job-completion-index"
"""The annotation with the number of a node of a TrainJob, from 0 on."""
BESIDE: Final = "beside"
"""The argument of `collect` that runs beside the step."""
READY: Final = "/tmp/collects"  # noqa: S108 - in the pod, where it is a volume of its own
"""The file that says that it can be asked to end."""

CHANGED, FAILED, UNAVAILABLE = "changed", "failed", "unavailable"
"""How our containers say that they failed: an object is not as listed; for good; for now."""
OUTPUTS, MISSING, ELSEWHERE = "outputs", "missing", "at"
"""What `collect` says: digests by name, why there is none, or the artifact that says this."""


def job_name(owner: str, attempt_id: str) -> str:
    """The name of an attempt's Job, and of the Secret that belongs to it. Ids that differ in signs
    only have different names, and so have those of other owners."""
    return object_name(owner, attempt_id)


def kind_of(attempt: Attempt) -> str:
    """What an attempt is in a cluster, as the API names it."""
    return "jobs" if attempt.train is None else "trainjobs"


def command_container(pod: Mapping[str, Any]) -> str:
    """The container of a pod that runs the step's command."""
    mains = (one["name"] for one in pod["spec"]["containers"])
    return NODE if NODE in mains else RUN


def labels(owner: str, attempt: Attempt) -> dict[str, str]:
    """The labels of everything that is made for an attempt."""
    return {
        **owned(owner),
        "headgate.dev/pipeline": label_value(attempt.pipeline or pipeline_of(attempt)),
        "headgate.dev/run": label_value(attempt.run),
        "headgate.dev/step": label_value(attempt.node),
        ATTEMPT: job_name(owner, attempt.id),
    }
