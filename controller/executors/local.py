"""Attempts as supervised processes of this machine."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from controller.executors.workspace import Workspace
from controller.machine.attempt import Attempt, State, Status
from deployers.processes import Exit, Processes, ProcessSpec, Reason
from deployers.processes import State as ProcessState
from specs.failures import Failure, NeedsHuman, TryAgain
from specs.references import TemplateError

log = structlog.get_logger("headgate.executor")

TAIL = 1200
"""Bytes of the log's end that explain a failure."""

_STATES = {
    Reason.SIGNALLED: State.FAILED,
    Reason.EXITED: State.FAILED,
    Reason.COULD_NOT_START: State.FAILED,
    Reason.TIMEOUT: State.TIMED_OUT,
    Reason.CANCELLED: State.CANCELLED,
    Reason.OUT_OF_MEMORY: State.OUT_OF_MEMORY,
    Reason.LOST: State.LOST,
}


class LocalExecutor:
    """An `Executor`. Its attempts run on when it ends, and another finds them by their ids."""

    def __init__(
        self,
        workspace: Workspace,
        processes: Processes,
        *,
        slots: int,
        redact: Callable[[str], str],
    ) -> None:
        self._workspace = workspace
        self._processes = processes
        self._slots = asyncio.Semaphore(slots)
        self._redact = redact
        self._preparing: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, asyncio.Event] = {}

    async def start(self, attempt: Attempt) -> None:
        """See `Executor`. A free slot is waited for in the background, too."""
        if attempt.id in self._preparing:
            return
        if self._processes.status(attempt.id).state is not ProcessState.NEW:
            return
        task = asyncio.create_task(self._run(attempt))
        self._preparing[attempt.id] = task
        task.add_done_callback(lambda _: self._preparing.pop(attempt.id, None))

    async def poll(self, attempt_id: str) -> Status:
        """See `Executor`."""
        known = self._processes.status(attempt_id)
        if known.state is ProcessState.RUNNING:
            return Status(state=State.RUNNING, started=self._started(attempt_id))
        if known.exit is not None:
            return self._ended(attempt_id, known.exit)
        refused = self._folder(attempt_id) / "refused.json"
        if refused.exists():
            return Status.model_validate_json(refused.read_bytes())
        if attempt_id in self._preparing:
            return Status(state=State.PREPARING)
        return Status(state=State.UNKNOWN)

    async def cancel(self, attempt_id: str) -> None:
        """See `Executor`."""
        task = self._preparing.get(attempt_id)
        if task is not None and self._processes.status(attempt_id).state is ProcessState.NEW:
            task.cancel()
            self._refuse(attempt_id, State.CANCELLED, "it was cancelled before it started")
            return
        self._processes.stop(attempt_id)

    async def logs(self, attempt_id: str) -> Path | None:
        """See `Executor`."""
        path = self._processes.log(attempt_id)
        return path if path.exists() else None

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        """See `Executor`."""
        folder = self._folder(attempt.id)
        known = folder / "outputs.json"
        if known.exists():
            return dict(json.loads(known.read_text()))
        found = {}
        for name, file in attempt.outputs.items():
            path = folder / "outputs" / file
            if not path.exists():
                raise NeedsHuman(
                    f"{attempt.node} ended well but did not write its output {name}: write it to "
                    f"{{outputs.{name}}}, or take it out of `outputs`"
                )
            found[name] = (await self._workspace.artifacts.put(path)).digest
        scratch = folder / ".outputs.json"
        scratch.write_text(json.dumps(found))
        scratch.replace(known)
        return found

    async def ended(self) -> str:
        """Wait for the end of an attempt; its id. A hint: `poll` tells what happened."""
        while True:
            name = await self._processes.ended()
            waiting = self._waiting.pop(name, None)
            if waiting is not None:
                waiting.set()
            return name

    async def close(self) -> None:
        """Let go of what is being prepared; what runs goes on."""
        tasks = list(self._preparing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, attempt: Attempt) -> None:
        async with self._slots:
            try:
                await self._prepare_and_start(attempt)
            except TryAgain as failure:
                log.info("an attempt cannot be prepared yet", id=attempt.id, reason=str(failure))
                await asyncio.sleep(failure.after or 1.0)
                return  # the run asks for it again
            except (Failure, TemplateError) as failure:
                self._refuse(attempt.id, State.FAILED, str(failure))
                return
            except OSError as error:
                self._refuse(attempt.id, State.FAILED, f"it cannot be prepared: {error}")
                return
            await self._until_ended(attempt)

    async def _prepare_and_start(self, attempt: Attempt) -> None:
        prepared = await self._workspace.prepare(attempt)
        spec = ProcessSpec(
            argv=prepared.argv,
            cwd=str(prepared.folder),
            environment=prepared.environment,
            timeout=attempt.timeout,
            memory_bytes=attempt.memory,
        )
        self._waiting[attempt.id] = asyncio.Event()
        self._processes.start(attempt.id, spec)

    async def _until_ended(self, attempt: Attempt) -> None:
        """Keep the slot while it runs. Endings are announced; a look now and then is the truth."""
        done = self._waiting[attempt.id]
        while not done.is_set():
            try:
                await asyncio.wait_for(done.wait(), timeout=2.0)
            except TimeoutError:
                state = self._processes.status(attempt.id).state
                if state in (ProcessState.ENDED, ProcessState.LOST):
                    break
        self._waiting.pop(attempt.id, None)

    def _folder(self, attempt_id: str) -> Path:
        return self._workspace.folder(attempt_id)

    def _started(self, attempt_id: str) -> float | None:
        try:
            return self._processes.log(attempt_id).stat().st_ctime
        except FileNotFoundError:
            return None

    def _refuse(self, attempt_id: str, state: State, why: str) -> None:
        folder = self._folder(attempt_id)
        folder.mkdir(parents=True, exist_ok=True)
        status = Status(state=state, message=self._redact(why))
        scratch = folder / ".refused.json"
        scratch.write_text(status.model_dump_json())
        scratch.replace(folder / "refused.json")

    def _ended(self, attempt_id: str, exit_: Exit) -> Status:
        state = State.SUCCEEDED if exit_.succeeded else _STATES[exit_.reason]
        return Status(
            state=state,
            exit_code=exit_.code,
            started=exit_.started,
            ended=exit_.finished,
            message="" if exit_.succeeded else self._why(attempt_id, exit_),
            peak_memory=exit_.peak_bytes,
        )

    def _why(self, attempt_id: str, exit_: Exit) -> str:
        what = {
            Reason.EXITED: f"it ended with exit code {exit_.code}",
            Reason.TIMEOUT: "it was ended at its timeout; raise `timeout` or make it faster",
            Reason.OUT_OF_MEMORY: "it ran out of memory; raise `resources.memory`",
            Reason.CANCELLED: "it was cancelled",
            Reason.LOST: "it was lost with its supervisor",
        }.get(exit_.reason, exit_.detail)
        last = self._redact(self._processes.tail(attempt_id, TAIL)).strip()
        return f"{what}. Its last words: {last}" if last else what
