"""One attempt on a cluster, as its controller knows it, and the record of it in its folder."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from controller.executors.followed import LiveAttempt
from controller.executors.kubernetes.interpret import SeenAttempt
from controller.executors.kubernetes.names import INDEX, command_container, kind_of
from controller.machine.runs.attempt import Attempt, AttemptState
from deployers.kubernetes.cluster import Manifest

FACT: Final = "job.json"
"""The file in an attempt's folder that marks it as having, or about to have, a Job."""
CREATED: Final = "job.created"
"""The file that marks that its Job was created."""
STARTED: Final = "job.started"
"""The file that says when its step began, in seconds since the epoch."""
RESULT: Final = "result.json"
"""The file with what was stored of a step that succeeded."""
_PREPARING = SeenAttempt(AttemptState.PREPARING)


class SeenPod(NamedTuple):
    """A pod, as it was seen last."""

    pod: Manifest
    gone: bool = False
    """Whether it has been deleted."""

    @property
    def over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.gone or self.pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


@dataclass
class LiveJob(LiveAttempt):
    """An attempt that is being prepared or is on the cluster."""

    seen: SeenAttempt = _PREPARING
    created: float = float("-inf")
    """When this controller created its Job, on the monotonic clock."""
    job: Manifest | None = None
    """Its Job or TrainJob."""
    pods: dict[int, SeenPod] = field(default_factory=dict)
    """By the number of the node; that of a Job has 0."""
    due: float | None = None
    """When its timeout expires, on the monotonic clock."""
    was_waiting: bool = False
    """Whether this controller saw it before its step began."""
    deleting: bool = False
    """Whether its Job's deletion was asked for, to end it."""
    forgone: bool = False
    """Whether its Job was deleted as the cluster ends its pod."""
    asked_grace: float = float("inf")
    """Seconds that its pod was given last to end."""
    gone_at: float = float("inf")
    """When its pod counts as ended, on the monotonic clock."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def nodes(self) -> int:
        """How many pods it is to have."""
        return self.attempt.train.nodes if self.attempt.train else 1

    @property
    def kind(self) -> str:
        """What it is in the cluster."""
        return kind_of(self.attempt)

    @property
    def first(self) -> SeenPod | None:
        """The pod whose log and outputs are the attempt's."""
        return self.pods.get(0)

    @property
    def lacks_pods(self) -> bool:
        """Whether there are pods that have not been seen."""
        return len(self.pods) < self.nodes

    @property
    def lost_pods(self) -> bool:
        """Whether a pod has been deleted."""
        return any(one.gone for one in self.pods.values())

    def note_pod(self, pod: Manifest, *, gone: bool) -> None:
        """Take note of a pod of the Job. The first pod counts: a cluster may replace one that was
        deleted, and the replacement is another try, which is not the cluster's to begin."""
        number = int(pod["metadata"].get("annotations", {}).get(INDEX, 0))
        known = self.pods.get(number)
        if known is not None and known.pod["metadata"]["uid"] != pod["metadata"]["uid"]:
            made = known.pod["metadata"]["creationTimestamp"]
            if pod["metadata"]["creationTimestamp"] >= made:
                return
        elif known is not None and known.gone:
            return
        self.pods[number] = SeenPod(pod, gone)
        self.changed.set()

    def note(self, seen: SeenAttempt, own: Path) -> None:
        """Take note of what is to be seen of it, also in its folder."""
        if seen.started is None:
            self.was_waiting = True
        elif self.seen.started is None:
            (own / STARTED).write_text(f"{seen.started}")
        if not seen.state.ended:
            self.seen, self.started = seen, seen.started

    def recall(self, own: Path) -> None:
        """Take note of what an earlier controller saw."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            started = float((own / STARTED).read_text())
            self.seen = SeenAttempt(AttemptState.RUNNING, started=started)
            self.started = started

    def seconds_left(self, started: float | None) -> float:
        """Seconds until its timeout. Counted from when it was seen to begin or, if that was before
        this controller, by the node's clock."""
        if self.due is None:
            ran = 0.0 if self.was_waiting or started is None else max(0.0, time.time() - started)
            self.due = time.monotonic() + self.attempt.timeout - ran
        return self.due - time.monotonic()

    def step_is_over(self) -> bool:
        """Whether the first pod's step has ended, or that pod is gone."""
        if self.first is None or self.first.over:
            return True
        pod = self.first.pod
        status = pod.get("status", {})
        known = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
        command = command_container(pod)
        return any(one["name"] == command and "terminated" in one["state"] for one in known)

    @property
    def pods_have_ended(self) -> bool:
        """Whether its pods are there, and all of their containers have ended."""
        there = (one.over and not one.gone for one in self.pods.values())
        return not self.lacks_pods and all(there)

    def is_done(self, seen: SeenAttempt) -> bool:
        """Whether there is nothing more to wait for: it has ended, and so have its processes."""
        if not seen.state.ended:
            return False
        return not self.deleting or all(one.over for one in self.pods.values())

    async def wait(self, seconds: float) -> None:
        """Wait for a change, for so long at the most."""
        try:
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        except TimeoutError:
            return
        finally:
            self.changed.clear()


def record_fact(own: Path, attempt: Attempt) -> None:
    """Record that the attempt is about to have a Job."""
    scratch = own / f".{FACT}"
    scratch.write_text(attempt.model_dump_json())
    scratch.replace(own / FACT)


def forget_fact(own: Path) -> None:
    """Record that it has none."""
    (own / FACT).unlink(missing_ok=True)
