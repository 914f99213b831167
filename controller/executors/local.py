"""Attempts as supervised processes on this machine."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import structlog
from pydantic import TypeAdapter

from controller.buckets.protocol import ObjectChanged
from controller.executors.attempt_folder import (
    TAIL_BYTES,
    collect_outputs,
    explain_failure,
    read_status,
    redact_log,
    write_status,
)
from controller.executors.installer import CannotBuild
from controller.executors.leftovers import Leftover, Leftovers, pipeline_of
from controller.executors.ownership import hand_over
from controller.executors.protocol import GRACE
from controller.executors.step_files import marks_of
from controller.executors.warm_gates import WarmGates, peak_memory
from controller.executors.workspace import Prepared, Workspace
from controller.machine.core import Blocked
from controller.machine.runs.attempt import Attempt, AttemptState, Building, Status
from deployers.confinement import UNCONFINED, Confinement
from deployers.processes import Exit, Processes, ProcessSpec, ProcessState, Reason
from specs.failures import Failure, TryAgain
from specs.references import TemplateError

log = structlog.get_logger("headgate.executor")

BUILT = "environment.json"
"""The file of an attempt that lists the environments built for it."""
_BUILDS = TypeAdapter(tuple[Building, ...])
TIDY = 1.0
"""Seconds after which files that are not needed any more are deleted at the latest."""
POLL = 2.0
"""Seconds between looks at a running attempt, in case its end is not announced."""

_STATES = {
    Reason.SIGNALLED: AttemptState.FAILED,
    Reason.EXITED: AttemptState.FAILED,
    Reason.COULD_NOT_START: AttemptState.FAILED,
    Reason.TIMEOUT: AttemptState.TIMED_OUT,
    Reason.CANCELLED: AttemptState.CANCELLED,
    Reason.OUT_OF_MEMORY: AttemptState.OUT_OF_MEMORY,
    Reason.LOST: AttemptState.LOST,
}


class LocalExecutor:
    """A `ManagedExecutor`. Processes outlive it; the next one finds them by their ids.

    An attempt holds one of `slots` while it runs, including those started by an earlier executor.
    """

    def __init__(
        self,
        workspace: Workspace,
        processes: Processes,
        *,
        slots: asyncio.Semaphore,
        redact: Callable[[str], str],
        confinement: Confinement = UNCONFINED,
    ) -> None:
        self._confinement = confinement
        self._workspace = workspace
        self._processes = processes
        self._slots = slots
        self._redact = redact
        self._gates = WarmGates(workspace.home, confinement)
        self._preparing: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, asyncio.Event] = {}
        self._waits: dict[str, Blocked] = {}
        self._builds: dict[str, dict[str, Building]] = {}
        self._announce: Callable[[str], None] = lambda _: None
        self._resumed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._leftovers = Leftovers()
        self._tidying_at: asyncio.TimerHandle | None = None
        self._tidying: set[asyncio.Future[None]] = set()

    async def start(self, attempt: Attempt) -> None:
        """See `Executor`. Waiting for a free slot happens in the background, too."""
        self.resume()
        if attempt.id in self._preparing or self._was_started(attempt.id):
            return
        task = asyncio.create_task(self._run(attempt))
        self._preparing[attempt.id] = task
        task.add_done_callback(lambda _: self._preparing.pop(attempt.id, None))

    async def poll(self, attempt_id: str) -> Status:
        """See `Executor`."""
        known = self._processes.status(attempt_id)
        if known.state is ProcessState.RUNNING:
            return Status(
                state=AttemptState.RUNNING,
                started=self._started(attempt_id),
                built=self._built(attempt_id),
            )
        if known.exit is not None:
            self._release_slot(attempt_id)
            await redact_log(self._folder(attempt_id), self._redact)
            return self._ended(attempt_id, known.exit)
        refused = read_status(self._folder(attempt_id))
        if refused is not None:
            return refused
        if attempt_id in self._preparing:
            return Status(
                state=AttemptState.PREPARING,
                waits=self._waits.get(attempt_id),
                built=tuple(self._builds.get(attempt_id, {}).values()),
            )
        return Status(state=AttemptState.UNKNOWN, waits=self._waits.get(attempt_id))

    async def cancel(self, attempt_id: str, grace: float = GRACE) -> None:
        """See `Executor`."""
        # If it is not running yet, the recorded stop prevents that it is ever started.
        self._waits.pop(attempt_id, None)
        self._folder(attempt_id).mkdir(parents=True, exist_ok=True)
        self._processes.stop(attempt_id, grace)
        task = self._preparing.get(attempt_id)
        if (
            task is not None
            and self._processes.status(attempt_id).state is not ProcessState.RUNNING
        ):
            task.cancel()

    async def logs(self, attempt_id: str) -> Path | None:
        """See `Executor`."""
        path = self._processes.log(attempt_id)
        return path if path.exists() else None

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        """See `Executor`."""
        found = await collect_outputs(self._workspace, attempt)
        self._leftovers.add(attempt)
        if self._tidying_at is None:  # for what no other attempt takes soon
            self._tidying_at = asyncio.get_running_loop().call_later(TIDY, self._tidy_alone)
        return found

    def resume(self) -> None:
        """See `ManagedExecutor`."""
        if self._resumed:
            return
        running = self._running()
        self._resumed = True
        self._processes.announce(self._on_end)
        for name in running:
            self._waiting[name] = asyncio.Event()
            self._tasks.add(asyncio.create_task(self._hold_slot(name)))

    def knows(self, attempt_id: str) -> bool:
        """See `ManagedExecutor`."""
        started = self._processes.status(attempt_id).state is not ProcessState.NEW
        return started or attempt_id in self._preparing

    def unfinished(self) -> Sequence[str]:
        """See `ManagedExecutor`."""
        return list(dict.fromkeys((*self._preparing, *self._running())))

    def announce(self, to: Callable[[str], None]) -> None:
        """See `ManagedExecutor`."""
        self._announce = to
        self.resume()

    async def disown(self, _attempt_id: str) -> None:
        """See `ManagedExecutor`: nothing, as what runs here has its record here."""

    async def reap(self) -> int:
        """See `ManagedExecutor`. Processes die with their supervisor, so there is nothing to do."""
        return 0

    async def close(self) -> None:
        """See `ManagedExecutor`."""
        tasks = [*self._preparing.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        self._tidy_alone()
        await asyncio.gather(*tasks, *self._tidying, return_exceptions=True)
        self._gates.close()

    def _was_started(self, attempt_id: str) -> bool:
        folder = self._folder(attempt_id)
        if not folder.exists():  # as most often: nothing of it was ever written
            return False
        begun = self._processes.status(attempt_id).state is not ProcessState.NEW
        return begun or read_status(folder) is not None

    def _tidy_alone(self) -> None:
        """Delete what attempts left and no other has taken, in a thread."""
        if self._tidying_at is not None:
            self._tidying_at.cancel()
            self._tidying_at = None
        left = self._leftovers.take_all()
        if left:
            tidying = asyncio.get_running_loop().run_in_executor(None, self._tidy, left)
            self._tidying.add(tidying)
            tidying.add_done_callback(self._tidying.discard)

    def _tidy(self, attempts: Sequence[str]) -> None:
        for each in attempts:
            self._workspace.tidy(each)

    def _running(self) -> list[str]:
        """Those that run. All folders are looked at once; then those that hold a slot are known."""
        names = [*self._waiting] if self._resumed else self._processes.names()
        running = ProcessState.RUNNING
        return [name for name in names if self._processes.status(name).state is running]

    def _on_end(self, attempt_id: str) -> None:
        self._release_slot(attempt_id)
        self._announce(attempt_id)

    async def _hold_slot(self, attempt_id: str) -> None:
        async with self._slots:  # first come, first served
            await self._until_ended(attempt_id)

    async def _run(self, attempt: Attempt) -> None:
        try:
            async with self._slots:
                await self._prepare_and_start(attempt)
                await self._until_ended(attempt.id)
        except ObjectChanged as change:
            self._fail(attempt.id, str(change), AttemptState.DATA_CHANGED)
        except TryAgain as failure:
            log.info("an attempt cannot be prepared yet", id=attempt.id, reason=str(failure))
            self._waits[attempt.id] = Blocked(reason=str(failure), human=failure.human)
            await asyncio.sleep(failure.after or 1.0)  # then the run starts it again
        except CannotBuild as failure:
            self._fail(attempt.id, str(failure), AttemptState.NO_ENVIRONMENT)
        except (Failure, TemplateError) as failure:
            self._fail(attempt.id, str(failure))
        except OSError as error:
            self._fail(attempt.id, f"it cannot be prepared: {error}")
        except Exception as error:
            log.exception("an attempt cannot be prepared", id=attempt.id)
            what = f"{type(error).__name__}: {error}"
            self._fail(attempt.id, f"it cannot be prepared: internal error ({what})")
        finally:
            self._builds.pop(attempt.id, None)

    async def _prepare_and_start(self, attempt: Attempt) -> None:
        def on_build(building: Building) -> None:
            self._builds.setdefault(attempt.id, {})[building.name] = building

        prepared = self._gates.warmed(attempt, await self._workspace.prepare(attempt, on_build))
        self._waits.pop(attempt.id, None)
        self._waiting[attempt.id] = asyncio.Event()
        built = tuple(self._builds.get(attempt.id, {}).values())
        await asyncio.to_thread(self._begin, attempt, prepared, built)

    def _begin(self, attempt: Attempt, prepared: Prepared, built: Sequence[Building]) -> None:
        """Write its files and start it: all that is slow enough for a thread, in one."""
        own = self._folder(attempt.id)
        taken = self._leftovers.take(attempt)
        left = Leftover(self._folder(taken[0]), taken[1]) if taken else None
        try:
            moved = prepared.write(left)
            if built:
                (own / BUILT).write_bytes(_BUILDS.dump_json(tuple(built)))
            self._start(attempt, prepared, own, moved)
        finally:
            if taken:
                self._workspace.tidy(taken[0])  # while it runs

    def _start(
        self, attempt: Attempt, prepared: Prepared, own: Path, moved: Collection[str]
    ) -> None:
        user = self._confinement.user(
            pipeline_of(attempt), "trusted" if attempt.trusted else "proposed"
        )
        if user is not None:
            hand_over(own, (user.uid, user.gid), moved)
        self._leftovers.begins(attempt, marks_of(f"{own}"))
        spec = ProcessSpec(
            argv=prepared.argv,
            cwd=str(prepared.folder),
            within=self._confinement.within(prepared.view(own), user),
            environment=prepared.environment,
            timeout=attempt.timeout,
            memory_bytes=attempt.memory,
            cpus=math.ceil(attempt.cpu) if attempt.cpu else None,
        )
        self._processes.start(attempt.id, spec)

    async def _until_ended(self, attempt_id: str) -> None:
        """Keep the slot while it runs. Ends are announced, and polled in case that is lost."""
        done = self._waiting[attempt_id]
        over = (ProcessState.ENDED, ProcessState.LOST)
        while not done.is_set():
            try:
                async with asyncio.timeout(POLL):
                    await done.wait()
            except TimeoutError:
                if self._processes.status(attempt_id).state in over:
                    break
        self._waiting.pop(attempt_id, None)

    def _release_slot(self, attempt_id: str) -> None:
        waiting = self._waiting.get(attempt_id)
        if waiting is not None:
            waiting.set()

    def _folder(self, attempt_id: str) -> Path:
        return self._workspace.folder(attempt_id)

    def _started(self, attempt_id: str) -> float | None:
        try:
            return (self._folder(attempt_id) / "started").lstat().st_mtime
        except FileNotFoundError:
            return None

    def _built(self, attempt_id: str) -> tuple[Building, ...]:
        try:
            return _BUILDS.validate_json((self._folder(attempt_id) / BUILT).read_bytes())
        except FileNotFoundError:
            return ()

    def _fail(self, attempt_id: str, why: str, state: AttemptState = AttemptState.FAILED) -> None:
        """Record that it failed permanently before it was started."""
        self._waits.pop(attempt_id, None)
        built = tuple(
            one.model_copy(update={"failed": self._redact(one.failed)})
            for one in self._builds.get(attempt_id, {}).values()
        )
        status = Status(state=state, message=self._redact(why), ended=time.time(), built=built)
        write_status(self._folder(attempt_id), status)

    def _ended(self, attempt_id: str, exit_: Exit) -> Status:
        state = AttemptState.SUCCEEDED if exit_.succeeded else _STATES[exit_.reason]
        return Status(
            state=state,
            exit_code=exit_.code,
            started=exit_.started,
            ended=exit_.finished,
            message="" if exit_.succeeded else self._why(attempt_id, exit_),
            peak_memory=max(exit_.peak_bytes, peak_memory(self._folder(attempt_id))),
            built=self._built(attempt_id),
        )

    def _why(self, attempt_id: str, exit_: Exit) -> str:
        what = {
            Reason.EXITED: f"it ended with exit code {exit_.code}",
            Reason.TIMEOUT: "it reached its timeout; raise `timeout` or make the step faster",
            Reason.OUT_OF_MEMORY: f"it ran out of memory: {exit_.detail}; raise "
            "`resources.memory`, or have it hold less at a time",
            Reason.CANCELLED: "it was cancelled",
            Reason.LOST: "its supervisor was killed",
        }.get(exit_.reason, exit_.detail)
        return explain_failure(
            what,
            self._processes.tail(attempt_id, TAIL_BYTES),
            self._folder(attempt_id),
            self._redact,
        )
