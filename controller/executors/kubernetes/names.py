"""PURE. How the objects of attempts are named and labelled in a cluster, and what pods say."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from controller.executors.leftovers import pipeline_of
from controller.machine.runs.attempt import Attempt

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OWNER: Final = "headgate.dev/owner"
"""The label with the identity of the controller's home, which its artifacts have, too."""
ATTEMPT: Final = "headgate.dev/attempt"
"""The label with a form of the attempt's id, and the annotation with the id itself."""
NETWORK: Final = "headgate.dev/network"
"""The label that says whether a pod may use the network: `none` or `open`."""
QUEUE: Final = "kueue.x-k8s.io/queue-name"
POLICY: Final = "headgate-steps-without-network"
"""The name of the NetworkPolicy."""

FETCH, RUN, COLLECT = "fetch", "step", "collect"
"""The containers of a pod."""
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

_LONGEST_NAME = 50
"""Pods are named after their Job, with a dash and five letters; a host name has 63 at most."""
_LONGEST_LABEL = 63
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def job_name(owner: str, attempt_id: str) -> str:
    """The name of an attempt's Job, and of the Secret that belongs to it. The digest tells apart
    what else would have one name: ids that differ in signs only, and those of other owners."""
    digest = hashlib.sha256(f"{owner}/{attempt_id}".encode()).hexdigest()[:10]
    readable = re.sub(r"[^a-z0-9]+", "-", attempt_id.lower()).strip("-")
    return f"hg-{readable[: _LONGEST_NAME - len(digest) - 4].strip('-')}-{digest}"


def label_value(text: str) -> str:
    """The text as the value of a label: as it is, if that is allowed, else shortened and with a
    digest."""
    if _LABEL.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[: _LONGEST_LABEL - 11].strip("._-")
    return f"{plain}-{digest}" if plain else digest


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
        MANAGED_BY: "headgate",
        OWNER: label_value(owner),
        "headgate.dev/pipeline": label_value(attempt.pipeline or pipeline_of(attempt)),
        "headgate.dev/run": label_value(attempt.run),
        "headgate.dev/step": label_value(attempt.node),
        ATTEMPT: job_name(owner, attempt.id),
    }


def selector(owner: str) -> str:
    """What selects all objects of an owner."""
    return ",".join(f"{key}={value}" for key, value in owned(owner).items())


def owned(owner: str) -> Mapping[str, str]:
    """The labels that all objects of an owner have."""
    return {MANAGED_BY: "headgate", OWNER: label_value(owner)}
