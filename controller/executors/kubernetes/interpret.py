"""PURE. What the objects of an attempt in a cluster mean: its state, how it ended, and the fix."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from controller.executors.kubernetes.names import (
    CHANGED,
    COLLECT,
    FAILED,
    MISSING,
    QUEUE,
    UNAVAILABLE,
    command_container,
)
from controller.machine.runs.attempt import AttemptState
from deployers.kubernetes.pods import FETCH
from deployers.kubernetes.profile import ClusterProfile

Obj = Mapping[str, Any]

SILENCE: Final = 60.0
"""Seconds after the end of its grace after which a deleted pod counts as ended, seen or not."""
_ONES_OWN = re.compile(
    r"usage of emptydir|exceeds? .*(ephemeral|local)|ephemeral.* limit", re.IGNORECASE
)
"""Why the kubelet evicts a pod for what the pod itself did."""
_FOR_GOOD = re.compile(
    r"not found|manifest unknown|name unknown|unauthorized|authentication|denied|forbidden|"
    r"no match(ing)? .*platform|invalid reference",
    re.IGNORECASE,
)
"""Why an image cannot be pulled that does not pass by itself."""
_PULL_AT_ONCE = ("InvalidImageName", "ErrImageNeverPull")
_PULL = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError")
_CREATE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_NOT_STARTED = ("StartError", "ContainerCannotRun")
_KILLED = (137, 143)
"""Exit codes by SIGKILL and SIGTERM."""
_LONGEST = 500


class SeenAttempt(NamedTuple):
    """What is to be seen of an attempt."""

    state: AttemptState
    why: str = ""
    """Why it did not succeed, with the fix."""
    waits: str = ""
    """What it waits for, if it does not run yet."""
    exit_code: int | None = None
    started: float | None = None
    ended: float | None = None
    """In seconds since the epoch."""
    said: Mapping[str, Any] = {}
    """What `collect` said."""

    def succeeded_within(self, timeout: float) -> bool:
        """Whether its step ended well in so many seconds by its node's clock, whatever was asked
        of it meanwhile."""
        if self.state is not AttemptState.SUCCEEDED or self.started is None or self.ended is None:
            return False
        return self.ended - self.started <= timeout


class _Times(NamedTuple):
    """When the step began and ended."""

    started: float | None
    ended: float | None

    def put(self, seen: SeenAttempt) -> SeenAttempt:
        return seen._replace(started=self.started, ended=self.ended)


class SeenObjects(NamedTuple):
    """The objects of an attempt, as they were seen last."""

    job: Obj | None = None
    pod: Obj | None = None
    gone: bool = False
    """Whether the pod has been deleted."""
    queued: str = ""
    """What Kueue says about a Job that it holds back."""
    refused: str = ""
    """Why the Job's pod is not created, if it is not."""


def observe(seen: SeenObjects, profile: ClusterProfile, now: float) -> SeenAttempt:
    """The state of an attempt whose Job was created. `now` is in seconds since the epoch."""
    pod = seen.pod
    if pod is None:
        return _without_pod(seen, profile, now)
    command = command_container(pod)
    step, collected = _ended(pod, command), _ended(pod, COLLECT)
    times = _Times(
        _moment((_running(pod, command) or step or {}).get("startedAt")),
        _moment((step or {}).get("finishedAt")),
    )
    if collected is not None and collected["exitCode"] == 0 and step and not step["exitCode"]:
        return _succeeded(step, collected, times)
    lost = _disruption(seen, now)
    failed = step is not None and (step["exitCode"] or step.get("reason") == "OOMKilled")
    if step is not None and failed and not (lost and _is_of_disruption(pod, step)):
        if lost is None and _may_be_of_disruption(pod, step, now):
            return times.put(SeenAttempt(AttemptState.ENDING))
        return _failed_step(step, times)
    if lost is not None:
        return times.put(lost)
    fetched = _ended(pod, FETCH)
    for name, ended in ((FETCH, fetched), (COLLECT, collected)):
        if ended is not None and ended["exitCode"]:
            return times.put(_failed_transfer(name, ended))
    if pod.get("status", {}).get("phase") == "Failed":
        why = _short(
            pod["status"].get("message") or pod["status"].get("reason") or "no reason told"
        )
        return times.put(SeenAttempt(AttemptState.LOST, f"its pod failed: {why}"))
    if step is not None:
        return times.put(_ending(pod, profile, now))
    if _running(pod, command) is not None:
        return times.put(SeenAttempt(AttemptState.RUNNING))
    return _waiting(pod, profile, now)


def is_failing(job: Obj) -> bool:
    """Whether a Job has failed, or will once its pods have ended: it makes no more of them."""
    return any(_condition(job, kind) is not None for kind in ("FailureTarget", "Failed"))


def has_pods(job: Obj) -> bool:
    """Whether a Job or TrainJob has made pods, as far as its status says."""
    status = job.get("status", {})
    counts = ("active", "succeeded", "failed", "terminating")
    each = (status, *status.get("jobsStatus", ()))
    return any(one.get(count) for one in each for count in counts)


def _without_pod(seen: SeenObjects, profile: ClusterProfile, now: float) -> SeenAttempt:
    job = seen.job
    if job is None:
        return SeenAttempt(AttemptState.LOST, "its Job was deleted from outside Headgate")
    if (late := _deadline_of(job)) is not None:
        return late
    if is_failing(job) or _condition(job, "Complete") is not None:
        about = _short((_condition(job, "Failed") or {}).get("message", ""))
        why = "its pod was deleted before its end was noted" + (f": {about}" if about else "")
        return SeenAttempt(AttemptState.LOST, why)
    created = _moment(job["metadata"].get("creationTimestamp")) or now
    queue = job["metadata"].get("labels", {}).get(QUEUE)
    if queue and job["spec"].get("suspend"):
        about = seen.queued or "Kueue has not answered yet"
        what = f"waiting for quota in queue {queue}: {_short(about)}"
        most = profile.queue_deadline.total_seconds()
        if now - created > most:
            return _given_up(what, most, "queue_deadline", "raise the queue's quota")
        return SeenAttempt(AttemptState.PREPARING, waits=what)
    # Of one that was in a queue, the time there does not count.
    resumed = (_condition(job, "Suspended", "False") or {}).get("lastTransitionTime")
    begun = _moment(job.get("status", {}).get("startTime") or resumed)
    since = begun or (now if queue else created)
    most = profile.start_deadline.total_seconds()
    overdue = now - since > most
    if seen.refused:
        what = f"waiting for its pod to be admitted: {_short(seen.refused)}"
        if overdue:
            fix = "lower `resources`, or raise the namespace's ResourceQuota"
            return _given_up(what, most, "start_deadline", fix)
        return SeenAttempt(AttemptState.PREPARING, waits=what)
    if overdue:
        kind = "TrainJob" if "runtimeRef" in job["spec"] else "Job"
        fix = f"look at the events of the {kind} {job['metadata']['name']}"
        return _given_up("waiting for its pod to be made", most, "start_deadline", fix)
    return SeenAttempt(AttemptState.PREPARING)


def _deadline_of(job: Obj) -> SeenAttempt | None:
    for kind in ("FailureTarget", "Failed"):
        found = _condition(job, kind)
        if found is not None and found.get("reason") == "DeadlineExceeded":
            why = "it did not end by the deadline of its Job, and no controller ended it before: "
            why += "raise `timeout` or make the step faster"
            return SeenAttempt(AttemptState.TIMED_OUT, why)
    return None


def _disruption(seen: SeenObjects, now: float) -> SeenAttempt | None:
    """How a pod was ended from outside; None if it was not, or is about to be."""
    pod = seen.pod
    assert pod is not None
    status = pod.get("status", {})
    target = _condition(pod, "DisruptionTarget")
    reason, message = status.get("reason", ""), _short(status.get("message", ""))
    if reason == "Evicted" and _ONES_OWN.search(message):
        why = f"it was evicted as it took too much disk: {message}; write less, or have `disk` of "
        return SeenAttempt(AttemptState.FAILED, f"{why}its profile raised")
    ended = status.get("phase") in ("Succeeded", "Failed")
    over = seen.gone or ended
    deleted = _moment(pod["metadata"].get("deletionTimestamp"))
    silent = reason == "NodeLost" or _is_silent(pod)
    if over and seen.job is not None and (late := _deadline_of(seen.job)) is not None:
        return late
    if target is not None and (over or silent):
        about = f"{target.get('reason', '')}: {_short(target.get('message', ''))}".strip(": ")
        return SeenAttempt(AttemptState.LOST, f"its pod was ended by the cluster ({about})")
    if reason in ("Evicted", "Preempting", "NodeLost", "NodeShutdown", "Terminated", "Shutdown"):
        return SeenAttempt(
            AttemptState.LOST, f"its pod was ended by the cluster ({reason}: {message})"
        )
    if deleted is not None and silent:
        return SeenAttempt(AttemptState.LOST, "its node was lost")
    if seen.gone and ended and deleted is None:  # it was taken away after it had ended by itself
        return None
    if seen.gone or (deleted is not None and (over or now > deleted + SILENCE)):
        why = "its pod was deleted: by somebody, or to make room for another"
        return SeenAttempt(AttemptState.LOST, why)
    return None


def _is_silent(pod: Obj) -> bool:
    """Whether its node cannot be heard, so that nobody will say how it ended."""
    target = _condition(pod, "DisruptionTarget") or {}
    if target.get("reason") == "DeletionByTaintManager":
        return True
    ready = _condition(pod, "Ready", "Unknown") or _condition(pod, "Ready", "False") or {}
    return bool(ready.get("reason") in ("NodeStatusUnknown", "NodeLost"))


def _is_of_disruption(pod: Obj, step: Obj) -> bool:
    """Whether the step ended as it was asked to, rather than by itself before."""
    asked, ended = asked_to_end(pod), _moment(step.get("finishedAt"))
    return asked is None or ended is None or ended >= asked - 1


def _may_be_of_disruption(pod: Obj, step: Obj, now: float) -> bool:
    """Whether the step ended after the cluster had asked for it, and the pod's end is yet to be
    told, which says more."""
    asked = asked_to_end(pod)
    if asked is None or not _is_of_disruption(pod, step):
        return False
    return now <= (_moment(step.get("finishedAt")) or asked) + SILENCE


def asked_to_end(pod: Obj) -> float | None:
    """When the cluster began to end the pod, in seconds since the epoch; None if it did not."""
    target = _condition(pod, "DisruptionTarget") or {}
    meta = pod["metadata"]
    asked = _moment(target.get("lastTransitionTime"))
    deletion = _moment(meta.get("deletionTimestamp"))
    if deletion is not None:
        began = deletion - float(meta.get("deletionGracePeriodSeconds") or 0)
        asked = began if asked is None else min(asked, began)
    return asked


def is_disrupted(pod: Obj) -> bool:
    """Whether the cluster says that, and why, it ended the pod."""
    said = pod.get("status", {}).get("reason") or _condition(pod, "DisruptionTarget")
    return bool(said) or _is_silent(pod)


def _succeeded(step: Obj, collected: Obj, times: _Times) -> SeenAttempt:
    if step.get("reason") == "OOMKilled":  # a child was killed, and the step hid that
        return _failed_step(step, times)
    said = message_of(collected)
    if not said:
        why = "its outputs were stored, but not which: the message of `collect` is lost"
        return times.put(SeenAttempt(AttemptState.LOST, why))
    return times.put(SeenAttempt(AttemptState.SUCCEEDED, exit_code=0, said=said))


def _failed_step(step: Obj, times: _Times) -> SeenAttempt:
    code, reason, message = step["exitCode"], step.get("reason"), _short(step.get("message", ""))
    if reason == "OOMKilled":
        state, why = AttemptState.OUT_OF_MEMORY, "it ran out of memory; raise `resources.memory`"
    elif reason in _NOT_STARTED:
        state, why = AttemptState.FAILED, f"its command could not be started: {message}"
    else:
        state, why = AttemptState.FAILED, f"it ended with exit code {code}"
        if code in _KILLED:
            why += ": it was killed, by itself or on its node; if that ran out of memory, raise "
            why += "`resources.memory`"
    return times.put(SeenAttempt(state, why, exit_code=code))


def _failed_transfer(name: str, ended: Obj) -> SeenAttempt:
    """How `fetch` or `collect` failed."""
    what = {FETCH: "its inputs could not be fetched", COLLECT: "its outputs could not be stored"}
    said = message_of(ended)
    if CHANGED in said:
        return SeenAttempt(AttemptState.DATA_CHANGED, said[CHANGED])
    if FAILED in said:
        return SeenAttempt(AttemptState.FAILED, f"{what[name]}: {said[FAILED]}")
    if UNAVAILABLE in said:
        return SeenAttempt(AttemptState.LOST, f"{what[name]}: {said[UNAVAILABLE]}")
    reason = ended.get("reason") or "Error"
    code, message = ended["exitCode"], _short(ended.get("message", ""))
    if reason in _NOT_STARTED or code == 1:
        why = f"{what[name]}: the image of `kubernetes.image` does not run ({reason}: {message}); "
        return SeenAttempt(AttemptState.FAILED, f"{why}name Headgate's own in the settings")
    why = f"{what[name]}: the container `{name}` ended with {reason}, exit code {code}"
    return SeenAttempt(AttemptState.LOST, why)


def _ending(pod: Obj, profile: ClusterProfile, now: float) -> SeenAttempt:
    """A pod whose step has ended, and whose outputs are to be stored."""
    if _held_up(pod)[1].get("reason") not in (*_PULL_AT_ONCE, *_PULL, *_CREATE):
        return SeenAttempt(AttemptState.ENDING)
    held = _waiting(pod, profile, now)
    return held if held.state.ended else held._replace(state=AttemptState.ENDING)


def _waiting(pod: Obj, profile: ClusterProfile, now: float) -> SeenAttempt:
    """A pod whose step does not run yet."""
    created = _moment(pod["metadata"].get("creationTimestamp")) or now
    most = profile.start_deadline.total_seconds()
    name, waiting, since = _held_up(pod)
    reason = waiting.get("reason", "")
    if reason in (*_PULL_AT_ONCE, *_PULL):
        return _pulling(pod, name, waiting, now - (since or created), profile)
    message = _short(waiting.get("message", ""))
    if reason in _CREATE:
        what = f"waiting for what the container `{name}` needs: {reason}: {message}"
        patience = profile.image_deadline.total_seconds()
        if now - (since or created) > patience:
            fix = "create what is missing in the namespace, or correct the profile"
            return _given_up(what, patience, "image_deadline", fix)
        return SeenAttempt(AttemptState.PREPARING, waits=what)
    begun = _ended(pod, FETCH) or _running(pod, FETCH)
    unplaced = _condition(pod, "PodScheduled", "False")
    what = ""
    if unplaced is not None:
        what = f"waiting for a node: {_short(unplaced.get('message') or unplaced['reason'])}"
    if not begun and now - created > most:
        fix = "lower `resources`, add nodes, or correct the node selector of its profile"
        return _given_up(what or "waiting for its node to start it", most, "start_deadline", fix)
    return SeenAttempt(AttemptState.PREPARING, waits=what)


def _held_up(pod: Obj) -> tuple[str, Obj, float | None]:
    """The first container that waits for something, what for, and since when it could run."""
    since = _moment(pod.get("status", {}).get("startTime"))
    for name in (FETCH, command_container(pod), COLLECT):
        state = _state(pod, name)
        waiting = state.get("waiting")
        if waiting and waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            return name, waiting, since
        since = _moment(state.get("terminated", {}).get("finishedAt")) or since
    return "", {}, None


def _pulling(
    pod: Obj, name: str, waiting: Obj, waited: float, profile: ClusterProfile
) -> SeenAttempt:
    reason, message = waiting["reason"], _short(waiting.get("message", ""))
    image = _image(pod, name)
    theirs = name == command_container(pod)
    whose = f"the image {image}" if theirs else f"Headgate's own image {image}"
    fix = "correct `image`" if theirs else "correct `kubernetes.image` in the settings"
    fix += ", or name a secret for its registry in `image_pull_secrets` of the profile"
    failed = f"{whose} cannot be pulled ({reason}: {message})"
    late = waited > profile.image_deadline.total_seconds()
    if reason in _PULL_AT_ONCE or _FOR_GOOD.search(message) or late:
        return SeenAttempt(AttemptState.FAILED, f"{failed}; {fix}")
    return SeenAttempt(AttemptState.PREPARING, waits=f"{failed}; it is tried again")


def _given_up(what: str, seconds: float, deadline: str, fix: str) -> SeenAttempt:
    why = f"it was still {what}, {seconds:.0f} s after it began to wait; {fix}, or have "
    return SeenAttempt(AttemptState.FAILED, f"{why}`{deadline}` of its profile raised")


def message_of(ended: Obj) -> Mapping[str, Any]:
    """The message with which one of our containers ended; empty if there is none."""
    try:
        found = json.loads(ended.get("message") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def missing_output(said: Mapping[str, Any]) -> str | None:
    """Why an output of a step that succeeded is not there; None if all are."""
    found = said.get(MISSING)
    return None if found is None else str(found)


def workload_reason(workload: Obj) -> str:
    """What a Workload of Kueue waits for."""
    for kind in ("QuotaReserved", "Admitted"):
        found = _condition(workload, kind, "False")
        if found is not None:
            return f"{found.get('reason', '')}: {found.get('message', '')}".strip(": ")
    return ""


def _moment(text: str | None) -> float | None:
    return None if not text else datetime.fromisoformat(text).timestamp()


def _statuses(pod: Obj) -> Iterable[Obj]:
    status = pod.get("status", {})
    return (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))


def _state(pod: Obj, name: str) -> Obj:
    return next((each.get("state", {}) for each in _statuses(pod) if each["name"] == name), {})


def _ended(pod: Obj, name: str) -> Obj | None:
    found: Obj | None = _state(pod, name).get("terminated")
    return found


def _running(pod: Obj, name: str) -> Obj | None:
    found: Obj | None = _state(pod, name).get("running")
    return found


def _image(pod: Obj, name: str) -> str:
    spec = pod["spec"]
    every = (*spec.get("initContainers", ()), *spec["containers"])
    return str(next((each.get("image") for each in every if each["name"] == name), ""))


def _condition(obj: Obj, kind: str, status: str = "True") -> Obj | None:
    found = obj.get("status", {}).get("conditions") or ()
    return next((c for c in found if c["type"] == kind and c["status"] == status), None)


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _LONGEST else f"{one_line[: _LONGEST - 1]}…"
