"""Attempts as Jobs of a Kubernetes cluster."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Collection, Mapping
from itertools import chain, repeat
from pathlib import Path
from typing import Final

from controller.executors.attempt_folder import (
    explain_failure,
    log_tail,
)
from controller.executors.container import request_stop, stop_reason
from controller.executors.followed import FollowingExecutor
from controller.executors.kubernetes.attempts import (
    CREATED,
    FACT,
    RESULT,
    LiveJob,
    forget_fact,
    record_fact,
)
from controller.executors.kubernetes.ending import forgo_replacement, stop
from controller.executors.kubernetes.interpret import (
    SeenAttempt,
    has_pods,
    missing_output,
)
from controller.executors.kubernetes.job import is_of
from controller.executors.kubernetes.launching import Launcher
from controller.executors.kubernetes.names import ATTEMPT, ELSEWHERE, OUTPUTS, job_name
from controller.executors.kubernetes.nodes import SETTLED, SeenNodes, failed_node, observe_nodes
from controller.executors.kubernetes.pod_log import PodLog
from controller.executors.kubernetes.reaping import Reaper
from controller.executors.kubernetes.tenancy import AttemptTenancy
from controller.executors.kubernetes.watching import JobLister, PodWatch, attempt_of
from controller.executors.workspace import Workspace
from controller.machine.core import Blocked
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from deployers.kubernetes.cluster import ApiRefusal, Cluster, Manifest, passes
from deployers.kubernetes.names import owned, selector
from specs.failures import Failure, NeedsHuman, TryAgain

POLL: Final = 30.0
"""Seconds between looks at an attempt of which nothing is heard."""
WAITING: Final = 5.0
"""Seconds between looks at a Job that has no pod, or whose pod waits for something."""
STOPPING: Final = 1.0
"""Seconds between looks at a Job that is being deleted."""
LOG_PATIENCE: Final = 30.0
"""Seconds in which a log has to be read after its step has ended."""
STREAMS: Final = 100
"""How many logs are followed at once; others are read when their steps have ended."""
STRAY: Final = 600.0
"""Seconds after which Jobs count as nobody's: runs that this controller has no record of, as after
the loss of its disk, find theirs before."""
LIST_PATIENCE: Final = 5.0
"""Seconds in which Jobs have to be listed, before it is said that this is waited for."""
SETTLES: Final = 60.0
"""Seconds from the end of an attempt until its Job is removed. By then the state has its outcome:
a controller that does not know it finds the Job, and not that there is none."""


class KubernetesExecutor(FollowingExecutor[LiveJob]):
    """A `ManagedExecutor`. Jobs outlive it; the next one finds them by their names.

    In an attempt's folder, besides what `FollowingExecutor` tells: `job.created` marks that its
    Job was created, `job.started` says when its step began, and `result.json` holds what was
    stored of it. If that folder is lost, starting the attempt again finds its Job. This executor
    enforces timeouts; after a restart the next one enforces the rest.
    """

    fact = FACT
    removes_succeeded = False  # until `collect`: it is found again if the folder is lost

    def __init__(
        self,
        workspace: Workspace,
        cluster: Cluster,
        launcher: Launcher,
        *,
        slots: asyncio.Semaphore,
        redact: Callable[[str], str],
        tenancy: AttemptTenancy,
        stray: float = STRAY,
        settles: float = SETTLES,
    ) -> None:
        super().__init__(workspace, slots=slots, redact=redact)
        self._cluster = cluster
        self._launcher = launcher
        self._stray = stray
        self._tenancy = tenancy
        self._settles = settles
        self._reaper = Reaper(cluster, tenancy, launcher.owner, self._folder, stray)
        self._by_name: dict[str, LiveJob] = {}
        self._kinds: set[str] = set()
        self._streams = asyncio.Semaphore(STREAMS)
        self._watch: PodWatch | None = None
        self._jobs: JobLister | None = None

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        """See `Executor`."""
        said = json.loads((self._folder(attempt.id) / RESULT).read_bytes())
        lacking = missing_output(said)
        if lacking is not None:
            raise NeedsHuman(lacking)
        if ELSEWHERE in said:
            said = json.loads(await self._workspace.artifacts.read_bytes(said[ELSEWHERE]))
        found = {name: str(digest) for name, digest in said[OUTPUTS].items()}
        self._run_in_background(self._clear_away(attempt.id, self._settles))
        return found

    def resume(self) -> None:
        """See `ManagedExecutor`."""
        if not self._resumed and self._launcher.is_set_up:
            self._run_in_background(self._reap_regularly())
        super().resume()

    async def disown(self, attempt_id: str) -> None:
        """See `ManagedExecutor`."""
        if self._launcher.is_set_up:
            self._run_in_background(self._clear_away(attempt_id, 0.0))

    async def reap(self) -> int:
        """See `ManagedExecutor`: removes Jobs and Secrets of this owner, those of the attempts that
        are this controller's."""
        if not self._was_used():
            return 0
        return await self._reaper.reap(self._by_name)

    async def close(self) -> None:
        """See `ManagedExecutor`."""
        await super().close()
        await self._cluster.close()

    # -- the cluster ---------------------------------------------------------------------------

    def _observing(self) -> tuple[PodWatch, JobLister]:
        """The watch and the list of Jobs, begun with the first attempt."""
        if self._watch is None or self._jobs is None:
            selected = selector(owned(self._launcher.owner))
            self._jobs = JobLister(self._cluster, selected, self._kinds)
            self._watch = PodWatch(self._cluster, selected, self._on_pod, self._on_list)
            self._run_in_background(self._jobs.run())
            self._run_in_background(self._watch.run())
        return self._watch, self._jobs

    def _on_pod(self, pod: Manifest, gone: bool) -> None:
        live = self._by_name.get(attempt_of(pod))
        if live is not None:
            live.note_pod(pod, gone=gone)

    def _on_list(self, pods: Collection[Manifest]) -> None:
        """The pods that there are; every other is gone."""
        there = {pod["metadata"]["uid"] for pod in pods}
        for pod in pods:
            self._on_pod(pod, False)
        for live in self._live.values():
            for pod, _ in list(live.pods.values()):
                if pod["metadata"]["uid"] not in there:
                    live.note_pod(pod, gone=True)

    def _was_used(self) -> bool:
        return self._watch is not None or any(self._workspace.home.glob(f"*/{FACT}"))

    async def _reap_regularly(self) -> None:
        """At once what has ended, as an earlier controller may not have come to that; strays when
        they may count as such, and what comes with a lease later on."""
        for pause in chain((0.0, self._stray), repeat(max(self._stray, STRAY))):
            await asyncio.sleep(pause)
            with contextlib.suppress(Failure):
                await self._reaper.reap(self._by_name)

    async def _remove(self, attempt_id: str) -> None:
        await self._reaper.remove(attempt_id)

    # -- the life of one attempt ---------------------------------------------------------------

    def _new(self, attempt: Attempt, *, requested: bool) -> LiveJob:
        live = LiveJob(attempt, requested)
        live.recall(self._folder(attempt.id))
        return live

    def _track(self, live: LiveJob) -> None:
        self._kinds.add(live.kind)
        self._by_name[self._name(live)] = live
        super()._track(live)

    def _untrack(self, live: LiveJob) -> None:
        self._by_name.pop(self._name(live), None)
        super()._untrack(live)

    def _name(self, live: LiveJob) -> str:
        return job_name(self._launcher.owner, live.attempt.id)

    def _status(self, live: LiveJob) -> Status:
        away = live.launching and self._why_unknown(live)
        if away:
            if not isinstance(away, TryAgain):
                raise TryAgain(str(away), human=True)
            raise TryAgain(str(away), after=away.after, human=away.human)
        waits = Blocked(reason=live.seen.waits, human=False) if live.seen.waits else None
        return Status(state=live.seen.state, started=live.seen.started, waits=waits)

    def _why_unknown(self, live: LiveJob) -> Failure | None:
        """Why the state of an attempt that may have a Job is unknown for now, if it is."""
        if live.unreachable is not None or self._watch is None or self._jobs is None:
            return live.unreachable
        without_pod = self._jobs.unreachable if live.lacks_pods else None
        return self._watch.unreachable or without_pod

    def _is_ours(self, attempt_id: str) -> bool:
        return self._tenancy.holds(attempt_id)

    def _lingers(self, live: LiveJob) -> float:
        return self._settles if live.pods_have_ended else 0.0

    def _stop_soon(self, live: LiveJob, grace: float) -> None:
        live.grace = min(grace, live.grace)
        live.changed.set()

    async def _was_launched(self, live: LiveJob) -> bool:
        """Whether it has or had a Job; if not, the record of it is removed."""
        watch, jobs = self._observing()
        await asyncio.gather(watch.first.wait(), jobs.after(time.monotonic()))
        own = self._folder(live.attempt.id)
        live.job = jobs.jobs.get(self._name(live))
        if live.job is not None or (own / CREATED).exists():
            return True
        forget_fact(own)
        live.launching = False
        if stop_reason(own) is not None:
            why = "it was cancelled before it began"
            self._end(live, Status(state=AttemptState.CANCELLED, message=why))
            live.requested = False
        return False

    async def _launch(self, live: LiveJob) -> None:
        own = self._folder(live.attempt.id)
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        if await self._adopts(live, own):
            return
        ready = await self._launcher.prepare(live.attempt, own)
        self._observing()
        self._waits.pop(live.attempt.id, None)
        live.launching = True
        record_fact(own, live.attempt)
        while True:
            try:
                live.job = await self._launcher.create(live.attempt, ready)
                break
            except ApiRefusal as refusal:
                failure = self._launcher.explain(refusal, live.attempt)
                if not passes(refusal) or not isinstance(failure, TryAgain):  # there is no Job
                    forget_fact(own)
                    live.launching = False
                    raise failure from None
                live.unreachable = failure
            except TryAgain as failure:
                live.unreachable = failure
            await asyncio.sleep(live.unreachable.after or 1.0)  # there may be a Job
        live.unreachable, live.created = None, time.monotonic()
        (own / CREATED).touch()

    async def _adopts(self, live: LiveJob, own: Path) -> bool:
        """Whether it has a Job already: one that the former holder of its lease made, or a former
        life whose home folder was lost. One list tells that of all. Raises `TryAgain`."""
        if not self._launcher.is_set_up:
            return False
        _, jobs = self._observing()
        try:
            async with asyncio.timeout(LIST_PATIENCE):
                await jobs.after(self._tenancy.held_since(live.attempt.id))
        except TimeoutError:
            why = jobs.unreachable or "it gives no list of Jobs yet"
            human = isinstance(why, NeedsHuman) or (isinstance(why, TryAgain) and why.human)
            raise TryAgain(f"{why}", human=human) from None
        job = jobs.jobs.get(self._name(live))
        if job is None or not is_of(job, live.attempt) or job["metadata"].get("deletionTimestamp"):
            return False
        live.job = job
        self._waits.pop(live.attempt.id, None)
        record_fact(own, live.attempt)
        (own / CREATED).touch()
        live.launching = True
        return True

    async def _follow(self, live: LiveJob) -> None:
        """Record its log and enforce its timeout, until its end is known and recorded."""
        own = self._folder(live.attempt.id)
        name, cluster = self._name(live), self._tenancy.cluster(live.attempt.id)
        output = PodLog(self._cluster, own)
        reading: asyncio.Task[None] | None = None
        try:
            while True:
                self._tenancy.check(live.attempt.id)
                seen = await self._look(live)
                if reading is None and seen.started is not None and live.first is not None:
                    work = output.follow(live.first.pod, live.step_is_over, self._streams)
                    reading = asyncio.create_task(work)
                wait = await self._until_due(live, seen)
                stopped = stop_reason(own)
                if stopped is not None and not live.is_done(seen):
                    if await stop(cluster, live, name):
                        break
                    wait = STOPPING
                elif live.is_done(seen):
                    break
                else:
                    await forgo_replacement(cluster, live, name)
                await live.wait(wait)
            if reading is not None and live.step_is_over():
                await asyncio.wait([reading], timeout=LOG_PATIENCE)
            await self._read_failed_node(live, output)
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.wait([reading])
            output.close()
        self._conclude(live, seen)

    async def _read_failed_node(self, live: LiveJob, output: PodLog) -> None:
        """Add the log of the node that failed first to that of the first node."""
        profile = self._launcher.profile_of(live.attempt)
        number = failed_node(self._objects(live), profile, time.time())
        if number and not live.pods[number].gone:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOG_PATIENCE):
                    await output.add(live.pods[number].pod, f"[headgate: of node {number}]")

    async def _look(self, live: LiveJob) -> SeenAttempt:
        """What is to be seen of it now; where pods do not say it, by a list of Jobs."""
        _, jobs = self._observing()
        seen = self._observed(live)
        is_new = live.lacks_pods and time.monotonic() < live.created + WAITING
        if (live.lacks_pods or live.lost_pods) and not is_new:
            await jobs.after(time.monotonic())
            live.job = jobs.jobs.get(self._name(live))
            seen = self._observed(live)
        # The watch may be behind the list of Jobs; and of pods that it saw before the attempt was
        # followed it tells nothing.
        if live.lacks_pods and (seen.state.ended or (live.job and has_pods(live.job))):
            away = await self._list_pods(live)
            seen = away or self._observed(live)
        live.note(seen, self._folder(live.attempt.id))
        return seen

    def _observed(self, live: LiveJob) -> SeenAttempt:
        profile = self._launcher.profile_of(live.attempt)
        return observe_nodes(self._objects(live), profile, time.time())

    def _objects(self, live: LiveJob) -> SeenNodes:
        _, jobs = self._observing()
        queued, refused = (each.get(self._name(live), "") for each in (jobs.queued, jobs.refused))
        return SeenNodes(live.job, live.pods, live.nodes, queued, refused)

    async def _list_pods(self, live: LiveJob) -> SeenAttempt | None:
        """Take note of its pods past the watch; that it waits, if that cannot be done now."""
        try:
            pods, _ = await self._cluster.list(
                "pods", labelSelector=f"{ATTEMPT}={self._name(live)}"
            )
        except TryAgain as failure:
            return live.seen._replace(waits=str(failure))
        for pod in pods:
            live.note_pod(pod, gone=False)
        return None

    async def _until_due(self, live: LiveJob, seen: SeenAttempt) -> float:
        """Ask for its end if its timeout expired; the seconds until the next look."""
        if seen.state is not AttemptState.RUNNING:
            if seen.state is AttemptState.ENDING and live.nodes > 1:
                return SETTLED
            return WAITING if live.lacks_pods or seen.waits else POLL
        left, own = live.seconds_left(seen.started), self._folder(live.attempt.id)
        if left > 0 or stop_reason(own) is not None:
            return min(max(left, 0.0), POLL)
        # It may have ended in time while nothing was heard of it.
        if self._why_unknown(live) is not None or await self._list_pods(live) is not None:
            return WAITING
        if self._observed(live).state is AttemptState.RUNNING:
            request_stop(own, "timeout")
        return 0.0

    def _conclude(self, live: LiveJob, seen: SeenAttempt) -> None:
        own = self._folder(live.attempt.id)
        stopped = stop_reason(own)
        if stopped == "timeout" and seen.succeeded_within(live.attempt.timeout):
            stopped = None
        if stopped == "timeout":
            why = "it reached its timeout; raise `timeout` or make the step faster"
            seen = seen._replace(state=AttemptState.TIMED_OUT, why=why)
        elif stopped is not None:
            seen = seen._replace(state=AttemptState.CANCELLED, why="it was cancelled")
        if seen.state is AttemptState.SUCCEEDED:
            (own / RESULT).write_text(json.dumps(dict(seen.said)))
        else:
            why = explain_failure(seen.why, log_tail(own / "log"), own, self._redact)
            seen = seen._replace(why=why)
        status = Status(
            state=seen.state,
            exit_code=seen.exit_code,
            started=seen.started,
            ended=seen.ended,
            message=seen.why,
        )
        self._end(live, status)
