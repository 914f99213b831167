"""Jobs: pods are made, counted and made again; deadlines, suspension and time to live."""

from collections.abc import Iterable
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.clock import from_stamp
from tests.doubles.kubernetes.base.objects import (
    Obj,
    condition,
    copied,
    dig,
    is_true,
    owner_of,
    owner_reference,
    set_condition,
)
from tests.doubles.kubernetes.base.refusals import StatusError
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.storage.store import ObjectChange

TRACKING = "batch.kubernetes.io/job-tracking"
"""The finalizer of a pod that has not been counted."""
INDEX = "batch.kubernetes.io/job-completion-index"
_OURS = ("", "kubernetes.io/job-controller")
_BACKOFF = 10.0
"""Seconds before the second pod after a failure; doubled with each, up to ten minutes."""


class JobController:
    """The controller of Jobs."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "job-controller")

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "Job":
            yield change.address
            if change.after is None:
                for _, pod in self._actor.store.owned(change.last["metadata"]["uid"]):
                    yield ("", pod["metadata"]["uid"])
        elif change.kind.name == "Pod":
            owner = owner_of(change.last)
            if owner and owner["kind"] == "Job":
                there = self._actor.store.by_uid(owner["uid"])
                uid = change.last["metadata"]["uid"]
                yield (change.address.namespace, owner["name"]) if there else ("", uid)

    def sync(self, key: Key) -> float | None:
        if not key[0]:  # a pod whose Job is gone waits for nobody
            found = self._actor.store.by_uid(key[1])
            if found is not None:
                self._release(found[1])
            return None
        job = self._actor.get("Job", *key)
        if job is None:
            return None
        if dig(job, "spec", "managedBy", default="") not in _OURS:
            return None
        pods = self._actor.owned(job, "Pod")
        if job["metadata"].get("deletionTimestamp"):
            for pod in pods:
                self._release(pod)
            return None
        if is_true(job, "Complete") or is_true(job, "Failed"):
            for pod in pods:
                self._release(pod)
            return self._expire(job)
        return _Sync(self._actor, job, pods).run()

    def _release(self, pod: Obj) -> None:
        if TRACKING in pod["metadata"].get("finalizers", ()):
            self._actor.change(pod, lambda p: p["metadata"]["finalizers"].remove(TRACKING))

    def _expire(self, job: Obj) -> float | None:
        """Delete a finished Job after its time to live."""
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None:
            return None
        ended = condition(job, "Complete") or condition(job, "Failed")
        assert ended is not None
        when = from_stamp(ended["lastTransitionTime"]) + float(ttl)
        if self._actor.clock.seconds() < when:
            return when
        self._actor.delete(job, propagationPolicy="Foreground")
        return None


class _Sync:
    """One look at a Job that has not ended."""

    def __init__(self, actor: Actor, job: Obj, pods: list[Obj]) -> None:
        self.actor, self.job, self.pods = actor, job, pods
        self.spec: Obj = job["spec"]
        self.status: Obj = copied(job.get("status", {}))
        self.conditions: list[Obj] = self.status.setdefault("conditions", [])
        self.now = actor.clock.stamp()
        self.seconds = actor.clock.seconds()
        self.again: float | None = None

    def run(self) -> float | None:
        before = copied(self.job.get("status", {}))
        if self.spec["suspend"]:
            self._suspend()
        else:
            self._resume()
            self._count()
            failure = self._failure()
            if failure:
                self._fail(*failure)
            elif self._is_complete():
                self._complete()
            else:
                self._make()
        self._sum_up()
        if not self.conditions:
            del self.status["conditions"]
        if self.status != before:
            self.actor.change(self.job, lambda job: job.update(status=self.status))
        return self.again

    def _suspend(self) -> None:
        for pod in self._active():
            self.actor.delete(pod)
        self._count()
        if not is_true(self.job, "Suspended"):
            self._set("Suspended", "JobSuspended", "Job suspended")
            self.actor.event(self.job, "Suspended", "Job suspended")
        self.status.pop("startTime", None)

    def _resume(self) -> None:
        if "startTime" not in self.status:
            self.status["startTime"] = self.now
        if is_true(self.job, "Suspended"):
            self._set("Suspended", "JobResumed", "Job resumed", "False")
            self.actor.event(self.job, "Resumed", "Job resumed")

    def _set(self, type_: str, reason: str, message: str, status: str = "True") -> None:
        new = {"type": type_, "status": status, "reason": reason, "message": message,
               "lastProbeTime": self.now}  # fmt: skip
        set_condition(self.conditions, self.now, new)

    def _active(self) -> list[Obj]:
        return [
            pod
            for pod in self.pods
            if dig(pod, "status", "phase") not in ("Succeeded", "Failed")
            and not pod["metadata"].get("deletionTimestamp")
        ]

    def _terminating(self) -> list[Obj]:
        return [
            pod
            for pod in self.pods
            if pod["metadata"].get("deletionTimestamp")
            and dig(pod, "status", "phase") not in ("Succeeded", "Failed")
        ]

    def _count(self) -> None:
        """Count the pods that ended; one that is being deleted counts as failed."""
        only_failed = self.spec.get("podReplacementPolicy") == "Failed"
        for pod in self.pods:
            if TRACKING not in pod["metadata"].get("finalizers", ()):
                continue
            phase = dig(pod, "status", "phase")
            deleted = pod["metadata"].get("deletionTimestamp") and not only_failed
            if phase == "Succeeded":
                self.status["succeeded"] = self.status.get("succeeded", 0) + 1
                self._index(pod)
            elif phase == "Failed" or deleted:
                if self._policy(pod) != "Ignore" and not self.spec["suspend"]:
                    self.status["failed"] = self.status.get("failed", 0) + 1
            else:
                continue
            self.actor.change(pod, lambda p: p["metadata"]["finalizers"].remove(TRACKING))

    def _index(self, pod: Obj) -> None:
        if self.spec["completionMode"] == "Indexed":
            done = _indexes(self.status.get("completedIndexes", ""))
            done.add(int(pod["metadata"]["annotations"][INDEX]))
            self.status["completedIndexes"] = ",".join(map(str, sorted(done)))

    def _policy(self, pod: Obj) -> str:
        """What the Job's podFailurePolicy says of a failed pod."""
        for rule in dig(self.spec, "podFailurePolicy", "rules", default=[]):
            for wanted in rule.get("onPodConditions", ()):
                if is_true(pod, wanted["type"]):
                    return str(rule["action"])
            codes = rule.get("onExitCodes")
            for status in dig(pod, "status", "containerStatuses", default=[]) if codes else ():
                if codes.get("containerName", status["name"]) != status["name"]:
                    continue
                code = dig(status, "state", "terminated", "exitCode", default=0)
                if code and (code in codes["values"]) == (codes["operator"] == "In"):
                    return str(rule["action"])
        return "Count"

    def _failure(self) -> tuple[str, str] | None:
        """Why the Job fails, if it does."""
        target = next((c for c in self.conditions if c["type"] == "FailureTarget"), None)
        if target:
            return target["reason"], target["message"]
        if self._is_complete():
            return None
        deadline = self.spec.get("activeDeadlineSeconds")
        if deadline is not None:
            ends = from_stamp(self.status["startTime"]) + deadline
            if self.seconds >= ends:
                return "DeadlineExceeded", "Job was active longer than specified deadline"
            self.again = ends
        failed = [pod for pod in self.pods if dig(pod, "status", "phase") == "Failed"]
        for pod in failed:
            if self._policy(pod) == "FailJob":
                name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                return "PodFailurePolicy", f"Pod {name} failed, matching FailJob rule"
        limit = self.spec["backoffLimit"]
        restarts = sum(
            each.get("restartCount", 0)
            for pod in self._active()
            for each in dig(pod, "status", "containerStatuses", default=[])
        )
        over = restarts >= limit if limit else restarts > 0
        if self.status.get("failed", 0) > limit or (restarts and over):
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        return None

    def _fail(self, reason: str, message: str) -> None:
        self._set("FailureTarget", reason, message)
        for pod in self._active():
            self.actor.delete(pod)
        if not self._left():
            self._set("Failed", reason, message)
            self.actor.event(self.job, reason, message, "Warning")

    def _left(self) -> list[Obj]:
        """The pods that have not ended."""
        self.pods = self.actor.owned(self.job, "Pod")
        self._count()
        return self._terminating() + self._active()

    def _is_complete(self) -> bool:
        completions = self.spec.get("completions")
        done = int(self.status.get("succeeded", 0))
        if completions is None:
            return done > 0 and not self._active()
        return bool(done >= completions)

    def _complete(self) -> None:
        message = "Reached expected number of succeeded pods"
        self._set("SuccessCriteriaMet", "CompletionsReached", message)
        for pod in self._active():
            self.actor.delete(pod)
        if not self._left():
            self._set("Complete", "CompletionsReached", message)
            self.status["completionTime"] = self.now
            self.actor.event(self.job, "Completed", "Job completed")

    def _make(self) -> None:
        """Create the pods that are lacking, or wait until it is time for the next."""
        completions = self.spec.get("completions")
        wanted = self.spec["parallelism"]
        if completions is not None:
            wanted = min(wanted, completions - self.status.get("succeeded", 0))
        active = self._active()
        lacking = wanted - len(active)
        if self.spec["podReplacementPolicy"] == "Failed":
            lacking -= len(self._terminating())
        for pod in active[wanted:] if lacking < 0 else ():
            self.actor.delete(pod)
        if lacking <= 0:
            return
        wait = self._backoff()
        if wait > self.seconds:
            self.again = wait if self.again is None else min(wait, self.again)
            return
        free = iter(self._free_indexes(active))
        for _ in range(lacking):
            index = next(free, None) if self.spec["completionMode"] == "Indexed" else None
            try:
                made = self.actor.create("Pod", *self._pod(index))
            except StatusError as error:
                self.actor.event(self.job, "FailedCreate", f"Error creating: {error}", "Warning")
                self.again = self.seconds + _BACKOFF
                return
            self.pods.append(made)
            self.actor.event(
                self.job, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}"
            )

    def _backoff(self) -> float:
        """When the next pod may be made: later with each that failed in a row."""
        failed = [pod for pod in self.pods if dig(pod, "status", "phase") == "Failed"]
        if not failed:
            return 0.0
        last = max(_ended(pod) for pod in failed)
        return last + float(min(_BACKOFF * 2 ** (len(failed) - 1), 600))

    def _free_indexes(self, active: list[Obj]) -> list[int]:
        taken = _indexes(self.status.get("completedIndexes", ""))
        taken |= {int(pod["metadata"].get("annotations", {}).get(INDEX, -1)) for pod in active}
        return [index for index in range(self.spec.get("completions") or 0) if index not in taken]

    def _pod(self, index: int | None) -> tuple[str, Obj]:
        template = copied(self.spec["template"])
        name = self.job["metadata"]["name"]
        meta = template.setdefault("metadata", {})
        meta["generateName"] = f"{name}-" if index is None else f"{name}-{index}-"
        meta["ownerReferences"] = [owner_reference(self.job)]
        meta["finalizers"] = [TRACKING]
        if index is not None:
            meta.setdefault("annotations", {})[INDEX] = str(index)
            meta.setdefault("labels", {})[INDEX] = str(index)
            template["spec"]["hostname"] = f"{name}-{index}"
            spec = template["spec"]
            for container in (*spec.get("initContainers", ()), *spec["containers"]):
                env = {"name": "JOB_COMPLETION_INDEX", "value": str(index)}
                container.setdefault("env", []).append(env)
        return self.job["metadata"]["namespace"], template

    def _sum_up(self) -> None:
        active = self._active()
        ready = sum(is_true(pod, "Ready") for pod in active)
        terminating = len(self._terminating())
        self.status.update(
            {"terminating": terminating, "uncountedTerminatedPods": {}, "ready": ready}
        )
        self.status.pop("active", None)
        if active:
            self.status["active"] = len(active)


def _indexes(text: str) -> set[int]:
    return {int(each) for each in text.split(",") if each}


def _ended(pod: Obj) -> float:
    times = [
        from_stamp(end)
        for each in dig(pod, "status", "containerStatuses", default=[])
        if (end := dig(each, "state", "terminated", "finishedAt"))
    ]
    return max(times, default=from_stamp(pod["metadata"]["creationTimestamp"]))
