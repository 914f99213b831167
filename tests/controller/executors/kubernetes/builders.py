"""Jobs and pods of attempts, as a cluster tells of them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from deployers.kubernetes.profile import ClusterProfile

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
