"""Attempts as containers of the Docker Engine on this machine."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from controller.buckets.protocol import ObjectChanged
from controller.executors import ends
from controller.executors.container import (
    ObservedContainer,
    Output,
    booted_since,
    inspect,
    launch,
    meaning,
    note_stop,
    stop_noted,
)
from controller.executors.ownership import take_back
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
"""The file in an attempt's folder that says that it has, or is about to have, a container."""
LOOK = 5.0
"""Seconds between looks at a running container, should its end not be told."""
RETRY = 0.5
"""Seconds after which an engine that was away is asked again."""
GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL for what is ended."""


@dataclass
class _Live:
    """An attempt that is being prepared or runs."""

    attempt: Attempt
    asked: bool
    """Whether it is to be started where it turns out that it was not."""
    state: AttemptState = AttemptState.PREPARING
    started: float | None = None
    trouble: TryAgain | None = None
    """Why nothing can be told of it now."""
    unseen: bool = False
    """Whether the engine was away while it ran."""
    launching: bool = False
    """Whether it is too late to give it up without a container."""
    due: float | None = None
    """When its time is over, on the monotonic clock."""
    stopping: asyncio.Task[None] | None = None
    grace: float = GRACE
    nudge: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class DockerExecutor:
    """An `Executor`. Containers run on when it ends, and another finds them by their ids.

    What is known of a container is in its attempt's folder and with the engine: `container.json`
    is the attempt, written before the container is made; `container.started`, that it was;
    `container.stop`, why we end it, written before we do; `status.json`, how it ended, written
    before the container is removed. Timeouts are this executor's to enforce, and what is left of
    one is the next executor's.

    Secrets are variables of the container: whoever may use the engine can read them there with
    `docker inspect` for as long as it exists.
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
        self._endings: asyncio.Queue[str] = asyncio.Queue()
        self._holding: set[asyncio.Task[None]] = set()
        self._tidying: set[asyncio.Task[None]] = set()
        self._begun = False

    def begin(self) -> None:
        """Once: find what an earlier executor left, and let it take its slots."""
        if self._begun:
            return
        self._begun = True
        for fact in sorted(self._workspace.home.glob(f"*/{FACT}")):
            if ends.kept(fact.parent) is None:
                attempt = Attempt.model_validate_json(fact.read_bytes())
                self._go_on(_Live(attempt, asked=False))

    def knows(self, attempt_id: str) -> bool:
        """Whether it is, or was, a container."""
        return attempt_id in self._live or (self._folder(attempt_id) / FACT).exists()

    async def start(self, attempt: Attempt) -> None:
        """See `Executor`. A free slot is waited for in the background, too."""
        self.begin()
        live = self._live.get(attempt.id)
        if live is not None:
            live.asked = True
        elif ends.kept(self._folder(attempt.id)) is None:
            self._go_on(_Live(attempt, asked=True))

    async def poll(self, attempt_id: str) -> Status:
        """See `Executor`. Raises `TryAgain` while the engine cannot be reached."""
        self.begin()
        status = ends.kept(self._folder(attempt_id))
        if status is not None:
            await ends.redact_log(self._folder(attempt_id), self._redact)
            return status
        live = self._live.get(attempt_id)
        if live is None:
            return Status(state=AttemptState.UNKNOWN, waits=self._waits.get(attempt_id))
        if live.trouble is not None:
            raise TryAgain(str(live.trouble), after=live.trouble.after)
        return Status(state=live.state, started=live.started, waits=self._waits.get(attempt_id))

    async def cancel(self, attempt_id: str, grace: float = GRACE) -> None:
        """See `Executor`. Called again, it can shorten the grace (seconds) of what runs."""
        self.begin()
        own = self._folder(attempt_id)
        if ends.kept(own) is not None:
            return
        note_stop(own, "cancelled")
        self._waits.pop(attempt_id, None)
        live = self._live.get(attempt_id)
        if live is not None and live.launching:
            if grace < live.grace and live.stopping is not None:
                live.stopping.cancel()
                live.stopping = None
            live.grace = min(grace, live.grace)
            live.nudge.set()
            return
        # Noted before it has a container, an end is final: nobody will start it any more.
        message = "it was cancelled before it began"
        ends.keep(own, Status(state=AttemptState.CANCELLED, message=message, ended=time.time()))
        if live is not None and live.task is not None:
            live.task.cancel()

    async def logs(self, attempt_id: str) -> Path | None:
        """See `Executor`."""
        path = self._folder(attempt_id) / "log"
        return path if path.exists() else None

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        """See `Executor`."""
        found = await ends.collect(self._workspace, attempt)
        _among(self._tidying, asyncio.to_thread(self._workspace.tidy, attempt.id))
        return found

    async def ended(self) -> str:
        """Wait for the end of an attempt; its id. A hint: `poll` tells what happened."""
        self.begin()
        return await self._endings.get()

    async def end_all(self, grace: Callable[[], float]) -> None:
        """Cancel all that runs or is prepared, and wait for the ends; `grace` is in seconds and
        may become shorter."""
        self.begin()
        while self._live:
            for name in list(self._live):
                await self.cancel(name, grace())
            tasks = [each.task for each in self._live.values() if each.task]
            if tasks:
                await asyncio.wait(tasks, timeout=0.1)

    async def reap(self) -> int:
        """Remove the containers of this home whose attempt is over or nobody knows; how many.

        Raises `Failure` where the engine cannot be asked.
        """
        gone = 0
        for each in await self._engine.containers("step"):
            own = self._folder(each.name)
            if not (own / FACT).exists() or ends.kept(own) is not None:
                await self._engine.remove(each.id)
                gone += 1
        return gone

    async def close(self) -> None:
        """Let go of what is being prepared; what runs goes on."""
        tasks = [*self._holding, *(each.task for each in self._live.values() if each.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._tidying, return_exceptions=True)

    # -- the life of one -----------------------------------------------------------------------

    def _folder(self, attempt_id: str) -> Path:
        return self._workspace.folder(attempt_id)

    def _go_on(self, live: _Live) -> None:
        own = self._folder(live.attempt.id)
        noted = (own / FACT).exists()
        live.launching = noted
        if noted:  # it may run already, so it takes its slot before all that is new
            _among(self._holding, self._hold(live))
        with contextlib.suppress(FileNotFoundError):
            live.started = (own / "container.started").stat().st_mtime
            live.state = AttemptState.RUNNING
        self._live[live.attempt.id] = live
        live.task = asyncio.create_task(self._run(live, noted=noted))
        live.task.add_done_callback(lambda _: self._let_go(live))

    def _let_go(self, live: _Live) -> None:
        live.over.set()
        self._live.pop(live.attempt.id, None)
        self._endings.put_nowait(live.attempt.id)

    async def _hold(self, live: _Live) -> None:
        async with self._slots:
            await live.over.wait()

    async def _run(self, live: _Live, *, noted: bool) -> None:
        name = live.attempt.id
        try:
            if noted and await self._found(live):
                await self._follow(live)
            elif live.asked:
                live.over.set()  # of a container that never was, the slot is free
                async with self._slots:
                    await self._launch(live)
                    live.state, live.started = AttemptState.RUNNING, time.time()
                    await self._follow(live)
        except ObjectChanged as change:
            self._end(live, AttemptState.DATA_CHANGED, str(change))
        except TryAgain as failure:
            log.info("an attempt cannot be prepared yet", id=name, reason=str(failure))
            self._waits[name] = Blocked(reason=str(failure), human=failure.human)
            await asyncio.sleep(failure.after or 1.0)  # then the run asks for it again
        except (Failure, TemplateError) as failure:
            self._end(live, AttemptState.FAILED, str(failure))
        except OSError as error:
            self._end(live, AttemptState.FAILED, f"it cannot be prepared: {error}")
        except Exception as fault:
            log.exception("an attempt cannot be followed", id=name)
            what = f"{type(fault).__name__}: {fault}"
            self._end(live, AttemptState.FAILED, f"it failed by a fault of Headgate's own ({what})")

    async def _found(self, live: _Live) -> bool:
        """Whether it has a container, or had one; else it is as if it was never noted."""
        own = self._folder(live.attempt.id)
        seen = await self._look(live)
        if (seen is not None and seen.begun) or (own / "container.started").exists():
            return True
        (own / FACT).unlink()
        live.launching = False
        if stop_noted(own) is not None:
            self._end(live, AttemptState.CANCELLED, "it was cancelled before it began")
            live.asked = False
        return False

    async def _launch(self, live: _Live) -> None:
        attempt = live.attempt
        own = self._folder(attempt.id)
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        image = await self._image(attempt)
        prepared = await self._workspace.prepare(attempt)
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
        """Keep its output and its time, until its end is known and noted."""
        own = self._folder(live.attempt.id)
        output = Output(own)
        reading: asyncio.Task[None] | None = None
        try:
            while (seen := await self._look(live)) is not None and not seen.over:
                live.state, live.started = AttemptState.RUNNING, seen.started
                if reading is None or reading.done():
                    output.again()
                    reading = asyncio.create_task(self._read(seen.id, output, follow=True))
                await self._wait(live, reading, self._stop_if_due(live, seen))
            if reading is not None:
                await asyncio.wait([reading], timeout=LOOK)
            if seen is not None and (live.unseen or output.short):
                # What follows the output of one that ends just then may miss some of it.
                output.again()
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
            state, why = AttemptState.LOST, "its container was removed by somebody else"
            if stop_noted(own) is not None:
                state, why = AttemptState.CANCELLED, "it was cancelled"
            self._end(live, state, why)
            return
        unseen = live.unseen or booted_since(seen.started or 0.0)
        state, why = meaning(seen, stop_noted(own), unseen)
        if state is not AttemptState.SUCCEEDED:
            why = ends.with_last_words(why, _tail(own / "log"), own, self._redact)
        self._end(live, state, why, seen)
        with contextlib.suppress(Failure):  # else it is reaped
            await self._engine.remove(seen.id)

    def _end(
        self, live: _Live, state: AttemptState, why: str, seen: ObservedContainer | None = None
    ) -> None:
        self._waits.pop(live.attempt.id, None)
        own = self._folder(live.attempt.id)
        if ends.kept(own) is not None:
            return
        status = Status(
            state=state,
            exit_code=seen.exit_code if seen else None,
            started=seen.started if seen else live.started,
            ended=(seen.ended if seen else None) or time.time(),
            message=self._redact(why),
        )
        ends.keep(own, status)

    async def _look(self, live: _Live) -> ObservedContainer | None:
        """Its container; an engine that is away is waited for."""
        name = self._engine.container(live.attempt.id)
        while True:
            try:
                seen = await self._engine.call(lambda client: inspect(client, name))
                live.trouble = None
                return seen
            except TryAgain as failure:
                live.trouble, live.unseen = failure, True
                await asyncio.sleep(RETRY)

    async def _read(self, container: str, output: Output, *, follow: bool) -> None:
        def opened(client: "DockerClient") -> Iterable[bytes]:
            from docker.errors import APIError

            with contextlib.suppress(APIError):  # it is gone: its end is seen elsewhere
                chunks: Iterable[bytes] = client.api.logs(container, stream=True, follow=follow)
                yield from chunks

        with contextlib.suppress(TryAgain):  # the next look tells whether it goes on
            await self._engine.stream(opened, output.take)

    def _stop_if_due(self, live: _Live, seen: ObservedContainer) -> float:
        """End it if it is cancelled or late; the seconds after which to look again."""
        own, limit = self._folder(live.attempt.id), live.attempt.timeout
        if live.due is None and seen.started is not None:  # from here on by a clock nobody sets
            ran = max(0.0, time.time() - seen.started)
            live.due = time.monotonic() + limit - ran
        left = limit if live.due is None else live.due - time.monotonic()
        if left <= 0:
            note_stop(own, "timeout")
        if stop_noted(own) is None:
            return min(max(left, 0.0), LOOK)
        if live.stopping is None or live.stopping.done():
            live.stopping = asyncio.create_task(self._stop(seen.id, live.grace))
        return LOOK

    async def _stop(self, container: str, grace: float) -> None:
        def stopped(client: "DockerClient") -> None:
            from docker.errors import APIError

            with contextlib.suppress(APIError):  # it ended meanwhile
                client.api.stop(container, timeout=round(grace))

        with contextlib.suppress(TryAgain):  # asked again, once it is back
            await self._engine.call(stopped)

    async def _wait(self, live: _Live, reading: asyncio.Task[None], seconds: float) -> None:
        """Until its output ends, it is to be ended, or so many seconds have passed."""
        nudged = asyncio.ensure_future(live.nudge.wait())
        try:
            await asyncio.wait(
                [reading, nudged], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            nudged.cancel()
            live.nudge.clear()
        if reading.done():
            await asyncio.sleep(0.01)  # the engine tells the end of the output a moment before


def _among(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    """Begin it, and keep it among the tasks until it is done."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - ends.READ))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
