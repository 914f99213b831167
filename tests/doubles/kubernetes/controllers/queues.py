"""Kueue: Jobs with a queue's name wait, suspended, until the queue has room for them."""

from collections.abc import Iterable
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.clock import from_stamp
from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import (
    Obj,
    condition,
    copied,
    dig,
    is_true,
    owner_of,
    owner_reference,
    set_condition,
    short_hash,
)
from tests.doubles.kubernetes.base.refusals import forbidden
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.storage.store import ObjectChange

QUEUE = "kueue.x-k8s.io/queue-name"
PRIORITY = "kueue.x-k8s.io/priority-class"
MOST_SECONDS = "kueue.x-k8s.io/max-exec-time-seconds"


class QueueController:
    """Admits the Workloads of Jobs, oldest first, as many at once as a queue has room for."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "kueue-admission")
        self._room: dict[Key, int] = {}
        """How many Jobs each LocalQueue admits at once."""
        self._stopped: set[Key] = set()
        self.installed = False
        self.kinds = ["Job"]
        """What it holds back: with Trainer, TrainJobs as well."""

    def admit_job(self, kind: Kind, obj: Obj) -> None:
        """What Kueue's webhook does to a new Job."""
        if (
            self.installed
            and kind.name in self.kinds
            and QUEUE in obj["metadata"].get("labels", {})
        ):
            obj["spec"]["suspend"] = True

    def add(self, namespace: str, name: str, room: int) -> None:
        """A LocalQueue with its ClusterQueue."""
        self._room[namespace, name] = room
        body = {"metadata": {"name": name}, "spec": {"clusterQueue": f"{namespace}-{name}"}}
        self._actor.create("LocalQueue", namespace, body)

    def resize(self, namespace: str, name: str, room: int) -> None:
        """Change the room of a queue; Jobs that no longer have any are preempted, newest first."""
        self._room[namespace, name] = room
        queue = self._actor.get("LocalQueue", namespace, name)
        assert queue is not None
        said = {"room": str(room)}
        self._actor.change(
            queue, lambda q: q["metadata"].setdefault("annotations", {}).update(said)
        )

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if not self.installed:
            return
        if change.kind.name == "LocalQueue":
            yield (change.address.namespace, change.address.name)
        elif change.kind.name in self.kinds:
            queue = change.last["metadata"].get("labels", {}).get(QUEUE)
            if queue:
                yield (change.address.namespace, queue)
        elif change.kind.name == "Workload":
            yield (change.address.namespace, dig(change.last, "spec", "queueName", default=""))

    def sync(self, key: Key) -> float | None:
        jobs = [
            job
            for kind in self.kinds
            for job in self._actor.all(kind, key[0])
            if job["metadata"].get("labels", {}).get(QUEUE) == key[1]
            and not job["metadata"].get("deletionTimestamp")
        ]
        pairs = [(job, self._workload(job, key[1])) for job in jobs]
        for job, workload in pairs:
            self._finish(job, workload)
        live = [
            (job, workload)
            for job, workload in pairs
            if not (is_true(job, "Complete") or is_true(job, "Failed"))
        ]
        live.sort(key=_rank)
        if self._actor.get("LocalQueue", *key) is None:
            for _, workload in live:
                self._wait(workload, "Inadmissible", f"LocalQueue {key[1]} doesn't exist")
            return None
        again: list[float] = []
        room = self._room.get(key, 0)
        for job, workload in live:
            if not workload["spec"].get("active", True):
                self._evict(job, workload, "Deactivated", "The workload is deactivated")
            elif room > 0:
                room -= 1
                self._admit(job, workload)
                again += self._limit(job, workload)
            else:
                if is_true(workload, "Admitted"):
                    self._evict(job, workload, "Preempted", "Preempted to accommodate a workload")
                why = "couldn't assign flavors to pod set main: insufficient unused quota"
                self._wait(workload, "WaitingForQuota", why)
        return min(again, default=None)

    def _workload(self, job: Obj, queue: str) -> Obj:
        meta, kind = job["metadata"], job["kind"].lower()
        name = f"{kind}-{meta['name']}-{short_hash(meta['uid'], 5)}"
        found = self._actor.get("Workload", job["metadata"]["namespace"], name)
        if found is not None:
            return found
        spec: Obj = {
            "queueName": queue,
            "podSets": [
                {
                    "name": "main",
                    "count": job["spec"].get("parallelism")
                    or dig(job, "spec", "trainer", "numNodes", default=1),
                    "template": copied(job["spec"].get("template", {})),
                }
            ],
        }
        most = job["metadata"]["labels"].get(MOST_SECONDS)
        if most:
            spec["maximumExecutionTimeSeconds"] = int(most)
        body = {
            "metadata": {"name": name, "ownerReferences": [owner_reference(job)]},
            "spec": spec,
        }
        return self._actor.create("Workload", job["metadata"]["namespace"], body)

    def _say(self, workload: Obj, *conditions: tuple[str, bool, str, str]) -> None:
        now = self._actor.clock.stamp()

        def say(obj: Obj) -> None:
            into = obj.setdefault("status", {}).setdefault("conditions", [])
            for type_, true, reason, message in conditions:
                new = {
                    "type": type_,
                    "status": "True" if true else "False",
                    "reason": reason,
                    "message": message,
                    "observedGeneration": obj["metadata"]["generation"],
                }
                set_condition(into, now, new)

        self._actor.change(workload, say)

    def _wait(self, workload: Obj, reason: str, message: str) -> None:
        self._say(workload, ("QuotaReserved", False, reason, message))

    def _admit(self, job: Obj, workload: Obj) -> None:
        if not is_true(workload, "Admitted"):
            queue = f"{job['metadata']['namespace']}-{workload['spec']['queueName']}"
            reserved = f"Quota reserved in ClusterQueue {queue}"
            said = [
                ("QuotaReserved", True, "QuotaReserved", reserved),
                ("Admitted", True, "Admitted", "The workload is admitted"),
            ]
            if condition(workload, "Evicted"):
                said.append(("Evicted", False, "QuotaReserved", "Previously: evicted"))
            self._say(workload, *said)
            self._actor.event(job, "Started", f"Admitted by clusterQueue {queue}")
        if job["spec"]["suspend"]:
            self._actor.change(job, lambda j: j["spec"].update(suspend=False))

    def _limit(self, job: Obj, workload: Obj) -> list[float]:
        """When a Job's longest time is over; it is ended for good if it is."""
        most = workload["spec"].get("maximumExecutionTimeSeconds")
        live = self._actor.store.by_uid(workload["metadata"]["uid"])
        admitted = condition(live[1], "Admitted") if live else None
        if not most or admitted is None:
            return []
        ends = from_stamp(admitted["lastTransitionTime"]) + float(most)
        if self._actor.clock.seconds() < ends:
            return [ends]
        self._actor.change(workload, lambda w: w["spec"].update(active=False))
        why = "exceeding the maximum execution time"
        self._evict(job, workload, "DeactivatedDueToMaximumExecutionTimeExceeded", why)
        return []

    def _evict(self, job: Obj, workload: Obj, reason: str, message: str) -> None:
        said = [
            ("Evicted", True, reason, message),
            ("QuotaReserved", False, "Pending", message),
            ("Admitted", False, "NoReservation", "The workload has no reservation"),
        ]
        if reason == "Preempted":
            said += [
                ("Preempted", True, "InClusterQueue", message),
                ("Requeued", True, "Preempted", message),
            ]
        self._say(workload, *said)
        if not job["spec"]["suspend"]:
            self._actor.change(job, lambda j: j["spec"].update(suspend=True))
            self._actor.event(job, "Stopped", message)

    def _finish(self, job: Obj, workload: Obj) -> None:
        for type_, reason in (("Complete", "Succeeded"), ("Failed", "Failed")):
            ended = condition(job, type_)
            if ended and ended["status"] == "True":
                self._say(workload, ("Finished", True, reason, ended["message"]))


def _rank(pair: tuple[Obj, Obj]) -> tuple[bool, str, int]:
    """Those that are admitted stay so; then the oldest first."""
    job, workload = pair
    revision = int(workload["metadata"]["resourceVersion"])
    return (not is_true(workload, "Admitted"), str(job["metadata"]["creationTimestamp"]), revision)


class TrainerController:
    """Kubeflow Trainer: a TrainJob becomes one Job with a pod per node."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "trainer-controller")
        self.behind = 0
        """How many TrainJobs are refused, as its cache does not have their runtimes yet."""

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "TrainJob":
            yield change.address
        elif change.kind.name == "Job":
            owner = owner_of(change.last)
            if owner and owner["kind"] == "TrainJob":
                yield (change.address.namespace, owner["name"])

    def refuse(self, kind: Kind, obj: Obj) -> None:
        """What Trainer's webhook refuses."""
        if kind.name != "TrainJob":
            return
        found, self.behind = None, self.behind - 1
        if self.behind < 0:
            found, self.behind = self.runtime(obj, obj["metadata"]["namespace"]), 0
        if found is None:
            ref = obj["spec"]["runtimeRef"]
            why = (
                'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: '
                f"spec.runtimeRef: Invalid value: {ref['name']}: specified {ref['kind']} must be "
                "created before the TrainJob is created"
            )
            error = forbidden(kind, obj["metadata"].get("name", ""), why)
            error.message = why
            raise error

    def runtime(self, train: Obj, namespace: str) -> Obj | None:
        ref = train["spec"]["runtimeRef"]
        home = namespace if ref["kind"] == "TrainingRuntime" else ""
        return self._actor.get(ref["kind"], home, ref["name"])

    def sync(self, key: Key) -> float | None:
        train = self._actor.get("TrainJob", *key)
        if train is None or train["metadata"].get("deletionTimestamp"):
            return None
        if is_true(train, "Complete") or is_true(train, "Failed"):
            return None
        runtime = self.runtime(train, key[0])
        if runtime is None:
            return None
        job = self._actor.get("Job", key[0], f"{key[1]}-node-0")
        if job is None:
            job = self._actor.create("Job", key[0], self._job(train, runtime))
        if job["spec"]["suspend"] != train["spec"]["suspend"]:
            suspend = train["spec"]["suspend"]
            job = self._actor.change(job, lambda j: j["spec"].update(suspend=suspend)) or job
        self._report(train, job)
        return None

    def _job(self, train: Obj, runtime: Obj) -> Obj:
        spec, trainer = train["spec"], train["spec"].get("trainer", {})
        jobs = dig(runtime, "spec", "template", "spec", "replicatedJobs", default=[])
        trains = next(each for each in jobs if _step(each) == "trainer")
        whole = trains["template"]["spec"]
        template = copied(whole["template"])
        node = next(each for each in template["spec"]["containers"] if each["name"] == "node")
        for name in ("image", "command", "args"):
            if name in trainer:
                node[name] = trainer[name]
        nodes = trainer.get("numNodes") or dig(runtime, "spec", "mlPolicy", "numNodes", default=1)
        known = {each["name"]: each for each in (*node.get("env", ()), *trainer.get("env", ()))}
        if "torch" in dig(runtime, "spec", "mlPolicy", default={}):
            known |= {each["name"]: each for each in _torch(train["metadata"]["name"], nodes)}
        node["env"] = list(known.values())
        if "resourcesPerNode" in trainer:
            node["resources"] = trainer["resourcesPerNode"]
        template["spec"].setdefault("restartPolicy", "Never")
        body: Obj = {
            "metadata": {
                "name": f"{train['metadata']['name']}-node-0",
                "labels": {
                    **spec.get("labels", {}),
                    "jobset.sigs.k8s.io/jobset-name": train["metadata"]["name"],
                },
                "ownerReferences": [owner_reference(train)],
            },
            "spec": {
                **whole,
                "completionMode": "Indexed",
                "completions": nodes,
                "parallelism": nodes,
                "backoffLimit": 0,
                "suspend": spec["suspend"],
                "template": template,
            },
        }
        if "activeDeadlineSeconds" in spec:
            body["spec"]["activeDeadlineSeconds"] = spec["activeDeadlineSeconds"]
        return body

    def _report(self, train: Obj, job: Obj) -> None:
        now = self._actor.clock.stamp()
        status = copied(train.get("status", {}))
        conditions = status.setdefault("conditions", [])
        counts = {
            name: dig(job, "status", name, default=0)
            for name in ("ready", "succeeded", "failed", "active")
        }
        suspended = int(bool(job["spec"]["suspend"]))
        status["jobsStatus"] = [{"name": "node", **counts, "suspended": suspended}]
        said = {"type": "Suspended", "status": "True" if suspended else "False",
                "reason": "Suspended" if suspended else "Resumed",
                "message": f"TrainJob is {'suspended' if suspended else 'resumed'}"}  # fmt: skip
        if suspended or condition(train, "Suspended"):
            set_condition(conditions, now, said)
        for type_, from_, reason in (
            ("Complete", "Complete", "AllJobsCompleted"),
            ("Failed", "Failed", "FailedJobs"),
        ):
            ended = condition(job, from_)
            if ended and ended["status"] == "True":
                late = ended["reason"] == "DeadlineExceeded"
                new = {"type": type_, "status": "True", "message": ended["message"],
                       "reason": "DeadlineExceeded" if late else reason}  # fmt: skip
                set_condition(conditions, now, new)
        self._actor.change(train, lambda t: t.update(status=status))


def _step(job: Obj) -> str:
    """What a job of a runtime does."""
    label = "trainer.kubeflow.org/trainjob-ancestor-step"
    return str(dig(job, "template", "metadata", "labels", default={}).get(label, "trainer"))


def _torch(name: str, nodes: int) -> Iterable[Obj]:
    """What torchrun is told of the nodes."""
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    yield {"name": "PET_NNODES", "value": str(nodes)}
    yield {"name": "PET_NPROC_PER_NODE", "value": "1"}
    yield {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": index}}}
    yield {"name": "PET_MASTER_ADDR", "value": f"{name}-node-0-0.{name}"}
    yield {"name": "PET_MASTER_PORT", "value": "29400"}
