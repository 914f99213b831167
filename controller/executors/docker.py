"""Attempts as containers of the Docker Engine on this machine."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.executors.attempt_folder import (
    collect_outputs,
    explain_failure,
    log_tail,
    read_status,
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
from controller.executors.followed import FollowingExecutor, LiveAttempt
from controller.executors.ownership import take_back
from controller.executors.workspace import Workspace
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from deployers.engine import Engine, owner
from specs.failures import NeedsHuman, TryAgain

if TYPE_CHECKING:
    from docker import DockerClient

FACT = "container.json"
"""The file in an attempt's folder that marks it as having, or about to have, a container."""
POLL = 5.0
"""Seconds between looks at a running container, in case the engine does not report its end."""
RETRY = 0.5
"""Seconds before an unreachable engine is asked again."""


@dataclass
class _Live(LiveAttempt):
    """An attempt as a container."""

    state: AttemptState = AttemptState.PREPARING
    was_unreachable: bool = False
    """Whether the engine was unreachable at some time while it ran."""
    due: float | None = None
    """When its timeout expires, on the monotonic clock."""
    stopping: asyncio.Task[None] | None = None
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)


class DockerExecutor(FollowingExecutor[_Live]):
    """A `ManagedExecutor`. Containers outlive it; the next one finds them by their ids.

    The state of a container is in its attempt's folder and in the engine: `container.started`
    marks that it was started, and see `FollowingExecutor`. This executor enforces timeouts; after
    a restart the next one enforces the rest.

    Secrets are environment variables of the container: anyone with access to the engine can read
    them with `docker inspect` while it exists.
    """

    fact = FACT

    def __init__(
        self,
        workspace: Workspace,
        engine: Engine,
        *,
        slots: asyncio.Semaphore,
        redact: Callable[[str], str],
    ) -> None:
        super().__init__(workspace, slots=slots, redact=redact)
        self._engine = engine
        self._tidying: set[asyncio.Task[None]] = set()

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        """See `Executor`."""
        found = await collect_outputs(self._workspace, attempt)
        tidying = asyncio.create_task(asyncio.to_thread(self._workspace.tidy, attempt.id))
        self._tidying.add(tidying)
        tidying.add_done_callback(self._tidying.discard)
        return found

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
        await super().close()
        await asyncio.gather(*self._tidying, return_exceptions=True)

    # -- the life of one attempt ---------------------------------------------------------------

    def _new(self, attempt: Attempt, *, requested: bool) -> _Live:
        live = _Live(attempt, requested)
        with contextlib.suppress(FileNotFoundError):
            live.started = (self._folder(attempt.id) / "container.started").stat().st_mtime
            live.state = AttemptState.RUNNING
        return live

    def _status(self, live: _Live) -> Status:
        if live.unreachable is not None:
            raise TryAgain(str(live.unreachable), after=live.unreachable.after)
        return Status(state=live.state, started=live.started)

    def _stop_soon(self, live: _Live, grace: float) -> None:
        if grace < live.grace and live.stopping is not None:
            live.stopping.cancel()
            live.stopping = None
        live.grace = min(grace, live.grace)
        live.stop_requested.set()

    async def _remove(self, attempt_id: str) -> None:
        await self._engine.remove(self._engine.container(attempt_id))

    async def _was_launched(self, live: _Live) -> bool:
        """Whether it has or had a container; if not, the record of it is removed."""
        own = self._folder(live.attempt.id)
        seen = await self._inspect(live)
        if (seen is not None and seen.begun) or (own / "container.started").exists():
            return True
        (own / FACT).unlink()
        live.launching = False
        if stop_reason(own) is not None:
            why = "it was cancelled before it began"
            self._end(live, Status(state=AttemptState.CANCELLED, message=why))
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
        live.state, live.started = AttemptState.RUNNING, time.time()

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
            self._end(live, Status(state=state, message=why))
            return
        unobserved = live.was_unreachable or booted_since(seen.started or 0.0)
        state, why = interpret_exit(seen, stop_reason(own), unobserved=unobserved)
        if state is not AttemptState.SUCCEEDED:
            why = explain_failure(why, log_tail(own / "log"), own, self._redact)
        status = Status(
            state=state,
            exit_code=seen.exit_code,
            started=seen.started,
            ended=seen.ended,
            message=why,
        )
        self._end(live, status)

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
