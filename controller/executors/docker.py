"""Attempts as containers of the Docker Engine on this machine."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from controller.buckets.protocol import ObjectChanged
from controller.executors.attempt_folder import (
    collect_outputs,
    explain_failure,
    log_tail,
    read_status,
    redact_log,
    write_status,
)
from controller.executors.container import (
    ContainerOutput,
    ObservedContainer,
    booted_since,
    inspect,
    interpret_exit,
    launch,
    request_stop,
    stop_reason,
)
from controller.executors.ownership import take_back
from controller.executors.protocol import GRACE
from controller.executors.workspace import Workspace
from controller.machine.core import Blocked
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from deployers.engine import Engine, owner
from specs.failures import Failure, NeedsHuman, TryAgain
from specs.references import TemplateError

if TYPE_CHECKING:
    from docker import DockerClient

log = structlog.get_logger("headgate.executor")

FACT = "container.json"
"""The file in an attempt's folder that marks it as having, or about to have, a container."""
POLL = 5.0
"""Seconds between looks at a running container, in case the engine does not report its end."""
RETRY = 0.5
"""Seconds before an unreachable engine is asked again."""


@dataclass
class _Live:
    """An attempt that is being prepared or is running."""

    attempt: Attempt
    requested: bool
    """Whether to start it if it turns out not to have a container yet."""
    state: AttemptState = AttemptState.PREPARING
    started: float | None = None
    unreachable: TryAgain | None = None
    """Why its state is unknown for now."""
    was_unreachable: bool = False
    """Whether the engine was unreachable at some time while it ran."""
    launching: bool = False
    """Whether it may have a container already, so that cancelling means stopping that."""
    due: float | None = None
    """When its timeout expires, on the monotonic clock."""
    stopping: asyncio.Task[None] | None = None
    grace: float = GRACE
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class DockerExecutor:
    """A `ManagedExecutor`. Containers outlive it; the next one finds them by their ids.

    The state of a container is in its attempt's folder and in the engine. In the folder,
    `container.json` holds the attempt, written before the container is created;
    `container.started` marks that it was started; `container.stop` holds the reason for stopping
    it, written before it is stopped; `status.json` holds the result, written before the container
    is removed. This executor enforces timeouts; after a restart the next one enforces the rest.

    Secrets are environment variables of the container: anyone with access to the engine can read
    them with `docker inspect` while it exists.
    """

    def __init__(
        self,
        workspace: Workspace,
        engine: Engine,
        *,
        slots: asyncio.Semaphore,
        redact: Callable[[str], str],
    ) -> None:
        self._workspace = workspace
        self._engine = engine
        self._slots = slots
        self._redact = redact
        self._live: dict[str, _Live] = {}
        self._waits: dict[str, Blocked] = {}
        self._announce: Callable[[str], None] = lambda _: None
        self._holding: set[asyncio.Task[None]] = set()
        self._tidying: set[asyncio.Task[None]] = set()
        self._resumed = False

    async def start(self, attempt: Attempt) -> None:
        """See `Executor`. Waiting for a free slot happens in the background, too."""
        self.resume()
        live = self._live.get(attempt.id)
        if live is not None:
            live.requested = True
        elif read_status(self._folder(attempt.id)) is None:
            self._track(_Live(attempt, requested=True))

    async def poll(self, attempt_id: str) -> Status:
        """See `Executor`. Raises `TryAgain` while the engine is unreachable."""
        self.resume()
        status = read_status(self._folder(attempt_id))
        if status is not None:
            await redact_log(self._folder(attempt_id), self._redact)
            return status
        live = self._live.get(attempt_id)
        if live is None:
            return Status(state=AttemptState.UNKNOWN, waits=self._waits.get(attempt_id))
        if live.unreachable is not None:
            raise TryAgain(str(live.unreachable), after=live.unreachable.after)
        return Status(state=live.state, started=live.started, waits=self._waits.get(attempt_id))

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
            if grace < live.grace and live.stopping is not None:
                live.stopping.cancel()
                live.stopping = None
            live.grace = min(grace, live.grace)
            live.stop_requested.set()
            return
        # It has no container yet, and with its end recorded it will never get one.
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
        found = await collect_outputs(self._workspace, attempt)
        _run_in_background(self._tidying, asyncio.to_thread(self._workspace.tidy, attempt.id))
        return found

    def resume(self) -> None:
        """See `ManagedExecutor`."""
        if self._resumed:
            return
        self._resumed = True
        for fact in sorted(self._workspace.home.glob(f"*/{FACT}")):
            if read_status(fact.parent) is None:
                attempt = Attempt.model_validate_json(fact.read_bytes())
                self._track(_Live(attempt, requested=False))

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

    async def disown(self, _attempt_id: str) -> None:
        """See `ManagedExecutor`: nothing, as what runs here has its record here."""

    async def reap(self) -> int:
        """See `ManagedExecutor`: removes containers of this home folder."""
        removed = 0
        for each in await self._engine.containers("step"):
            own = self._folder(each.name)
            if not (own / FACT).exists() or read_status(own) is not None:
                await self._engine.remove(each.id)
                removed += 1
        return removed

    async def close(self) -> None:
        """See `ManagedExecutor`."""
        tasks = [*self._holding, *(each.task for each in self._live.values() if each.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._tidying, return_exceptions=True)

    # -- the life of one attempt ---------------------------------------------------------------

    def _folder(self, attempt_id: str) -> Path:
        return self._workspace.folder(attempt_id)

    def _track(self, live: _Live) -> None:
        own = self._folder(live.attempt.id)
        recorded = (own / FACT).exists()
        live.launching = recorded
        if recorded:  # it may be running already, so it takes its slot before new attempts
            _run_in_background(self._holding, self._hold_slot(live))
        with contextlib.suppress(FileNotFoundError):
            live.started = (own / "container.started").stat().st_mtime
            live.state = AttemptState.RUNNING
        self._live[live.attempt.id] = live
        live.task = asyncio.create_task(self._run(live, recorded=recorded))
        live.task.add_done_callback(lambda _: self._untrack(live))

    def _untrack(self, live: _Live) -> None:
        live.over.set()
        self._live.pop(live.attempt.id, None)
        self._announce(live.attempt.id)

    async def _hold_slot(self, live: _Live) -> None:
        async with self._slots:
            await live.over.wait()

    async def _run(self, live: _Live, *, recorded: bool) -> None:
        name = live.attempt.id
        try:
            if recorded and await self._was_launched(live):
                await self._follow(live)
            elif live.requested:
                live.over.set()  # there was no container: give back the slot held for it
                async with self._slots:
                    await self._launch(live)
                    live.state, live.started = AttemptState.RUNNING, time.time()
                    await self._follow(live)
        except ObjectChanged as change:
            self._end(live, AttemptState.DATA_CHANGED, str(change))
        except TryAgain as failure:
            log.info("an attempt cannot be prepared yet", id=name, reason=str(failure))
            self._waits[name] = Blocked(reason=str(failure), human=failure.human)
            await asyncio.sleep(failure.after or 1.0)  # then the run starts it again
        except (Failure, TemplateError) as failure:
            self._end(live, AttemptState.FAILED, str(failure))
        except OSError as error:
            self._end(live, AttemptState.FAILED, f"it cannot be prepared: {error}")
        except Exception as error:
            log.exception("an attempt cannot be followed", id=name)
            what = f"{type(error).__name__}: {error}"
            self._end(live, AttemptState.FAILED, f"internal error ({what})")

    async def _was_launched(self, live: _Live) -> bool:
        """Whether it has or had a container; if not, the record of it is removed."""
        own = self._folder(live.attempt.id)
        seen = await self._inspect(live)
        if (seen is not None and seen.begun) or (own / "container.started").exists():
            return True
        (own / FACT).unlink()
        live.launching = False
        if stop_reason(own) is not None:
            self._end(live, AttemptState.CANCELLED, "it was cancelled before it began")
            live.requested = False
        return False

    async def _launch(self, live: _Live) -> None:
        attempt = live.attempt
        own = self._folder(attempt.id)
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        image = await self._image(attempt)
        prepared = await self._workspace.prepare(attempt)
        await asyncio.to_thread(prepared.write, None)
        self._waits.pop(attempt.id, None)
        live.launching = True
        scratch = own / f".{FACT}"
        scratch.write_text(attempt.model_dump_json())
        scratch.replace(own / FACT)
        try:
            await self._engine.call(
                lambda client: launch(client, self._engine, attempt, own, prepared, image)
            )
        except TryAgain:
            (own / FACT).unlink()
            live.launching = False
            raise

    async def _image(self, attempt: Attempt) -> str:
        if attempt.build is not None:
            checkout = await self._workspace.checkouts.folder(attempt.repository, attempt.commit)
            return await self._engine.build(checkout / attempt.build.context, attempt.build.digest)
        if attempt.image is None:
            raise NeedsHuman(f"{attempt.node} has neither `image` nor `build`; give it one")
        await self._engine.ensure(attempt.image)
        return attempt.image

    async def _follow(self, live: _Live) -> None:
        """Record its output and enforce its timeout, until its end is known and recorded."""
        own = self._folder(live.attempt.id)
        output = ContainerOutput(own)
        reading: asyncio.Task[None] | None = None
        try:
            while (seen := await self._inspect(live)) is not None and not seen.over:
                live.state, live.started = AttemptState.RUNNING, seen.started
                if reading is None or reading.done():
                    output.rewind()
                    reading = asyncio.create_task(self._read(seen.id, output, follow=True))
                await self._wait(live, reading, self._stop_if_due(live, seen))
            if reading is not None:
                await asyncio.wait([reading], timeout=POLL)
            if seen is not None and (live.was_unreachable or output.short):
                # Following the output of a container that is just ending may miss some of it.
                output.rewind()
                await self._read(seen.id, output, follow=False)
        finally:
            for task in (reading, live.stopping):
                if task is not None:
                    task.cancel()
                    await asyncio.wait([task])
            output.close()
        await self._conclude(live, seen)

    async def _conclude(self, live: _Live, seen: ObservedContainer | None) -> None:
        own = self._folder(live.attempt.id)
        await asyncio.to_thread(take_back, own, owner()[0])
        if seen is None:
            state, why = AttemptState.LOST, "its container was removed from outside Headgate"
            if stop_reason(own) is not None:
                state, why = AttemptState.CANCELLED, "it was cancelled"
            self._end(live, state, why)
            return
        unobserved = live.was_unreachable or booted_since(seen.started or 0.0)
        state, why = interpret_exit(seen, stop_reason(own), unobserved=unobserved)
        if state is not AttemptState.SUCCEEDED:
            why = explain_failure(why, log_tail(own / "log"), own, self._redact)
        self._end(live, state, why, seen)
        with contextlib.suppress(Failure):  # `reap` removes it later
            await self._engine.remove(seen.id)

    def _end(
        self, live: _Live, state: AttemptState, why: str, seen: ObservedContainer | None = None
    ) -> None:
        self._waits.pop(live.attempt.id, None)
        own = self._folder(live.attempt.id)
        if read_status(own) is not None:
            return
        status = Status(
            state=state,
            exit_code=seen.exit_code if seen else None,
            started=seen.started if seen else live.started,
            ended=(seen.ended if seen else None) or time.time(),
            message=self._redact(why),
        )
        write_status(own, status)

    async def _inspect(self, live: _Live) -> ObservedContainer | None:
        """Its container. Waits while the engine is unreachable."""
        name = self._engine.container(live.attempt.id)
        while True:
            try:
                seen = await self._engine.call(lambda client: inspect(client, name))
                live.unreachable = None
                return seen
            except TryAgain as failure:
                live.unreachable, live.was_unreachable = failure, True
                await asyncio.sleep(RETRY)

    async def _read(self, container: str, output: ContainerOutput, *, follow: bool) -> None:
        def read(client: "DockerClient") -> Iterable[bytes]:
            from docker.errors import APIError

            with contextlib.suppress(APIError):  # the container is gone; `_inspect` notices that
                chunks: Iterable[bytes] = client.api.logs(container, stream=True, follow=follow)
                yield from chunks

        with contextlib.suppress(TryAgain):  # `_inspect` waits for the engine
            await self._engine.stream(read, output.write)

    def _stop_if_due(self, live: _Live, seen: ObservedContainer) -> float:
        """Stop it if it was cancelled or its timeout expired; the seconds until the next look."""
        own, limit = self._folder(live.attempt.id), live.attempt.timeout
        if live.due is None and seen.started is not None:  # from here on, by the monotonic clock
            ran = max(0.0, time.time() - seen.started)
            live.due = time.monotonic() + limit - ran
        left = limit if live.due is None else live.due - time.monotonic()
        if left <= 0:
            request_stop(own, "timeout")
        if stop_reason(own) is None:
            return min(max(left, 0.0), POLL)
        if live.stopping is None or live.stopping.done():
            live.stopping = asyncio.create_task(self._stop(seen.id, live.grace))
        return POLL

    async def _stop(self, container: str, grace: float) -> None:
        def stop(client: "DockerClient") -> None:
            from docker.errors import APIError

            with contextlib.suppress(APIError):  # it ended in the meantime
                client.api.stop(container, timeout=round(grace))

        with contextlib.suppress(TryAgain):  # tried again once the engine is reachable
            await self._engine.call(stop)

    async def _wait(self, live: _Live, reading: asyncio.Task[None], seconds: float) -> None:
        """Wait until its output ends, its stop is requested, or the seconds have passed."""
        requested = asyncio.ensure_future(live.stop_requested.wait())
        try:
            await asyncio.wait(
                [reading, requested], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            requested.cancel()
            live.stop_requested.clear()
        if reading.done():
            await asyncio.sleep(0.01)  # the output ends a moment before the container does


def _run_in_background(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    """Start a task and keep a reference to it until it is done."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
