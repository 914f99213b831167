"""Attempts as Jobs of a Kubernetes cluster."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from controller.buckets.protocol import ObjectChanged
from controller.executors.attempt_folder import (
    explain_failure,
    log_tail,
    read_status,
    redact_log,
    write_status,
)
from controller.executors.container import request_stop, stop_reason
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
    SeenObjects,
    missing_output,
    observe,
)
from controller.executors.kubernetes.launching import Launcher
from controller.executors.kubernetes.names import ATTEMPT, ELSEWHERE, OUTPUTS, job_name
from controller.executors.kubernetes.pod_log import PodLog
from controller.executors.kubernetes.watching import JobLister, PodWatch, attempt_of
from controller.executors.protocol import GRACE
from controller.executors.workspace import Workspace
from controller.machine.core import Blocked
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from deployers.kubernetes.cluster import ApiRefusal, Cluster, Manifest, passes
from deployers.kubernetes.names import owned, selector
from specs.failures import Failure, NeedsHuman, TryAgain
from specs.references import TemplateError

log = structlog.get_logger("headgate.executor")

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


class KubernetesExecutor:
    """A `ManagedExecutor`. Jobs outlive it; the next one finds them by their names.

    In an attempt's folder, `job.json` holds the attempt, written before its Job is created;
    `job.created` marks that it was; `container.stop` holds the reason for stopping it, written
    before it is stopped; `result.json` holds what was stored of it, and `status.json` the end,
    written before the Job is deleted. If that folder is lost, starting the attempt again finds its
    Job. This executor enforces timeouts; after a restart the next one enforces the rest.
    """

    def __init__(
        self,
        workspace: Workspace,
        cluster: Cluster,
        launcher: Launcher,
        *,
        slots: asyncio.Semaphore,
        redact: Callable[[str], str],
        stray: float = STRAY,
    ) -> None:
        self._workspace = workspace
        self._cluster = cluster
        self._launcher = launcher
        self._slots = slots
        self._redact = redact
        self._stray = stray
        self._opened = time.monotonic()
        self._live: dict[str, LiveJob] = {}
        self._by_name: dict[str, LiveJob] = {}
        self._waits: dict[str, Blocked] = {}
        self._announce: Callable[[str], None] = lambda _: None
        self._streams = asyncio.Semaphore(STREAMS)
        self._background: set[asyncio.Task[None]] = set()
        self._watch: PodWatch | None = None
        self._jobs: JobLister | None = None
        self._resumed = False

    async def start(self, attempt: Attempt) -> None:
        """See `Executor`. Waiting for a free slot happens in the background, too."""
        self.resume()
        live = self._live.get(attempt.id)
        if live is not None:
            live.requested = True
        elif read_status(self._folder(attempt.id)) is None:
            self._track(LiveJob(attempt, requested=True))

    async def poll(self, attempt_id: str) -> Status:
        """See `Executor`. Raises `TryAgain` while the cluster is unreachable."""
        self.resume()
        status = read_status(self._folder(attempt_id))
        if status is not None:
            await redact_log(self._folder(attempt_id), self._redact)
            return status
        live = self._live.get(attempt_id)
        if live is None:
            return Status(state=AttemptState.UNKNOWN, waits=self._waits.get(attempt_id))
        away = live.launching and self._why_unknown(live)
        if away:
            if not isinstance(away, TryAgain):
                raise TryAgain(str(away), human=True)
            raise TryAgain(str(away), after=away.after, human=away.human)
        waits = Blocked(reason=live.seen.waits, human=False) if live.seen.waits else None
        return Status(
            state=live.seen.state,
            started=live.seen.started,
            waits=waits or self._waits.get(attempt_id),
        )

    def _why_unknown(self, live: LiveJob) -> Failure | None:
        """Why the state of an attempt that may have a Job is unknown for now, if it is."""
        if live.unreachable is not None or self._watch is None or self._jobs is None:
            return live.unreachable
        without_pod = self._jobs.unreachable if live.pod is None else None
        return self._watch.unreachable or without_pod

    async def cancel(self, attempt_id: str, grace: float = GRACE) -> None:
        """See `Executor`."""
        self.resume()
        own = self._folder(attempt_id)
        if read_status(own) is not None:
            return
        request_stop(own, "cancelled")
        self._waits.pop(attempt_id, None)
        live = self._live.get(attempt_id)
        if live is not None and live.launching:
            live.grace = min(grace, live.grace)
            live.changed.set()
            return
        # It has no Job yet, and with its end recorded it will never get one.
        message = "it was cancelled before it began"
        write_status(own, Status(state=AttemptState.CANCELLED, message=message, ended=time.time()))
        if live is not None and live.task is not None:
            live.task.cancel()

    async def logs(self, attempt_id: str) -> Path | None:
        """See `Executor`."""
        path = self._folder(attempt_id) / "log"
        return path if path.exists() else None

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        """See `Executor`."""
        said = json.loads((self._folder(attempt.id) / RESULT).read_bytes())
        lacking = missing_output(said)
        if lacking is not None:
            raise NeedsHuman(lacking)
        if ELSEWHERE in said:
            said = json.loads(await self._workspace.artifacts.read_bytes(said[ELSEWHERE]))
        found = {name: str(digest) for name, digest in said[OUTPUTS].items()}
        self._run_in_background(self._remove(attempt.id))
        return found

    def resume(self) -> None:
        """See `ManagedExecutor`."""
        if self._resumed:
            return
        self._resumed = True
        for fact in sorted(self._workspace.home.glob(f"*/{FACT}")):
            if read_status(fact.parent) is None:
                attempt = Attempt.model_validate_json(fact.read_bytes())
                self._track(LiveJob(attempt, requested=False))

    def knows(self, attempt_id: str) -> bool:
        """See `ManagedExecutor`."""
        return attempt_id in self._live or (self._folder(attempt_id) / FACT).exists()

    def unfinished(self) -> Sequence[str]:
        """See `ManagedExecutor`."""
        self.resume()
        return list(self._live)

    def announce(self, to: Callable[[str], None]) -> None:
        """See `ManagedExecutor`."""
        self._announce = to
        self.resume()

    async def reap(self) -> int:
        """See `ManagedExecutor`: removes Jobs and Secrets of this owner."""
        if not self._was_used():
            return 0
        return await self._reap()

    async def close(self) -> None:
        """See `ManagedExecutor`."""
        tasks = [*self._background, *(each.task for each in self._live.values() if each.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._cluster.close()

    # -- the cluster ---------------------------------------------------------------------------

    def _observing(self) -> tuple[PodWatch, JobLister]:
        """The watch and the list of Jobs, begun with the first attempt."""
        if self._watch is None or self._jobs is None:
            selected = selector(owned(self._launcher.owner))
            self._jobs = JobLister(self._cluster, selected)
            self._watch = PodWatch(self._cluster, selected, self._on_pod, self._on_list)
            self._run_in_background(self._jobs.run())
            self._run_in_background(self._watch.run())
            self._run_in_background(self._reap_strays())
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
            if live.pod is not None and live.pod["metadata"]["uid"] not in there:
                live.note_pod(live.pod, gone=True)

    def _was_used(self) -> bool:
        return self._watch is not None or any(self._workspace.home.glob(f"*/{FACT}"))

    async def _reap_strays(self) -> None:
        await asyncio.sleep(self._stray)
        with contextlib.suppress(Failure):  # the daily one does it again
            await self._reap()

    async def _reap(self) -> int:
        selected = selector(owned(self._launcher.owner))
        is_old = time.monotonic() - self._opened >= self._stray
        jobs, _ = await self._cluster.list("jobs", labelSelector=selected)
        removed = 0
        for job in jobs:
            known = self._of_nobody(job["metadata"]["name"], job["metadata"]["annotations"])
            if known == "ended" or (known == "stray" and is_old):
                await self._remove_job(job["metadata"]["name"])
                removed += 1
        names = {job["metadata"]["name"] for job in jobs}
        secrets, _ = await self._cluster.list("secrets", labelSelector=selected)
        for name in (secret["metadata"]["name"] for secret in secrets):
            if name not in names and name not in self._by_name and is_old:
                await self._cluster.delete("secrets", name)
                removed += 1
        return removed

    def _of_nobody(self, name: str, annotations: Mapping[str, str]) -> str:
        """Whether the Job's attempt has `ended`, or it is a `stray`; empty if it is needed."""
        if name in self._by_name:
            return ""
        own = self._folder(annotations.get(ATTEMPT, "").replace("/", "_") or name)
        if read_status(own) is not None:
            return "ended"
        return "" if (own / FACT).exists() else "stray"

    async def _remove(self, attempt_id: str) -> None:
        with contextlib.suppress(Failure):  # `reap` removes it later
            await self._remove_job(job_name(self._launcher.owner, attempt_id))

    async def _remove_job(self, name: str) -> None:
        await self._cluster.delete("jobs", name, propagationPolicy="Background")

    # -- the life of one attempt ---------------------------------------------------------------

    def _folder(self, attempt_id: str) -> Path:
        return self._workspace.folder(attempt_id)

    def _track(self, live: LiveJob) -> None:
        own = self._folder(live.attempt.id)
        recorded = (own / FACT).exists()
        live.launching = recorded
        live.recall(own)
        if recorded:  # it may be running already, so it takes its slot before new attempts
            self._run_in_background(self._hold_slot(live))
        self._live[live.attempt.id] = live
        self._by_name[job_name(self._launcher.owner, live.attempt.id)] = live
        live.task = asyncio.create_task(self._run(live, recorded=recorded))
        live.task.add_done_callback(lambda _: self._untrack(live))

    def _untrack(self, live: LiveJob) -> None:
        live.over.set()
        self._live.pop(live.attempt.id, None)
        self._by_name.pop(job_name(self._launcher.owner, live.attempt.id), None)
        self._announce(live.attempt.id)

    def _run_in_background(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _hold_slot(self, live: LiveJob) -> None:
        async with self._slots:
            await live.over.wait()

    async def _run(self, live: LiveJob, *, recorded: bool) -> None:
        name = live.attempt.id
        try:
            if recorded and await self._was_launched(live):
                await self._follow(live)
            elif live.requested:
                live.over.set()  # there was no Job: give back the slot held for it
                async with self._slots:
                    await self._launch(live)
                    await self._follow(live)
        except ObjectChanged as change:
            self._end(live, SeenAttempt(AttemptState.DATA_CHANGED, str(change)))
        except TryAgain as failure:
            log.info("an attempt cannot be prepared yet", id=name, reason=str(failure))
            self._waits[name] = Blocked(reason=str(failure), human=failure.human)
            await asyncio.sleep(failure.after or 1.0)  # then the run starts it again
        except (Failure, TemplateError) as failure:
            self._end(live, SeenAttempt(AttemptState.FAILED, str(failure)))
        except OSError as error:
            why = f"it cannot be prepared: {error}"
            self._end(live, SeenAttempt(AttemptState.FAILED, why))
        except Exception as error:
            log.exception("an attempt cannot be followed", id=name)
            why = f"internal error ({type(error).__name__}: {error})"
            self._end(live, SeenAttempt(AttemptState.FAILED, why))

    async def _was_launched(self, live: LiveJob) -> bool:
        """Whether it has or had a Job; if not, the record of it is removed."""
        watch, jobs = self._observing()
        await asyncio.gather(watch.first.wait(), jobs.after(time.monotonic()))
        own = self._folder(live.attempt.id)
        live.job = jobs.jobs.get(job_name(self._launcher.owner, live.attempt.id))
        if live.job is not None or (own / CREATED).exists():
            return True
        forget_fact(own)
        live.launching = False
        if stop_reason(own) is not None:
            why = "it was cancelled before it began"
            self._end(live, SeenAttempt(AttemptState.CANCELLED, why))
            live.requested = False
        return False

    async def _launch(self, live: LiveJob) -> None:
        own = self._folder(live.attempt.id)
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
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
                failure = self._launcher.explain(refusal)
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

    async def _follow(self, live: LiveJob) -> None:
        """Record its log and enforce its timeout, until its end is known and recorded."""
        own = self._folder(live.attempt.id)
        name = job_name(self._launcher.owner, live.attempt.id)
        output = PodLog(self._cluster, own)
        reading: asyncio.Task[None] | None = None
        try:
            while True:
                seen = await self._look(live)
                if reading is None and seen.started is not None and live.pod is not None:
                    pod = live.pod["metadata"]["name"]
                    work = output.follow(pod, live.step_is_over, self._streams)
                    reading = asyncio.create_task(work)
                wait = self._until_due(live, seen)
                stopped = stop_reason(own)
                if stopped is not None and not live.is_done(seen):
                    if await stop(self._cluster, live, name):
                        break
                    wait = STOPPING
                elif live.is_done(seen):
                    break
                else:
                    await forgo_replacement(self._cluster, live, name)
                await live.wait(wait)
            if reading is not None:
                await asyncio.wait([reading], timeout=LOG_PATIENCE)
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.wait([reading])
            output.close()
        self._conclude(live, seen)
        if read_status(own) is not None and seen.state is not AttemptState.SUCCEEDED:
            await self._remove(live.attempt.id)

    async def _look(self, live: LiveJob) -> SeenAttempt:
        """What is to be seen of it now; where pods do not say it, by a list of Jobs."""
        _, jobs = self._observing()
        name = job_name(self._launcher.owner, live.attempt.id)
        seen = self._observed(live, jobs, name)
        is_new = live.pod is None and time.monotonic() < live.created + WAITING
        if (live.pod is None or live.gone) and not is_new:
            await jobs.after(time.monotonic())
            live.job = jobs.jobs.get(name)
            seen = self._observed(live, jobs, name)
        live.note(seen, self._folder(live.attempt.id))
        return seen

    def _observed(self, live: LiveJob, jobs: JobLister, name: str) -> SeenAttempt:
        objects = SeenObjects(
            live.job, live.pod, live.gone, jobs.queued.get(name, ""), jobs.refused.get(name, "")
        )
        return observe(objects, self._launcher.profile_of(live.attempt), time.time())

    def _until_due(self, live: LiveJob, seen: SeenAttempt) -> float:
        """Ask for its end if its timeout expired; the seconds until the next look."""
        if seen.state is not AttemptState.RUNNING:
            return POLL if live.pod is not None and not seen.waits else WAITING
        left = live.seconds_left(seen.started)
        if left <= 0:
            request_stop(self._folder(live.attempt.id), "timeout")
        return min(max(left, 0.0), POLL)

    def _conclude(self, live: LiveJob, seen: SeenAttempt) -> None:
        own = self._folder(live.attempt.id)
        stopped = stop_reason(own)
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
        self._end(live, seen)

    def _end(self, live: LiveJob, seen: SeenAttempt) -> None:
        self._waits.pop(live.attempt.id, None)
        own = self._folder(live.attempt.id)
        if read_status(own) is not None:
            return
        status = Status(
            state=seen.state,
            exit_code=seen.exit_code,
            started=seen.started,
            ended=seen.ended or time.time(),
            message=self._redact(seen.why),
        )
        write_status(own, status)
