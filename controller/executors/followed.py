"""What executors share whose attempts this controller follows: containers, and Jobs of a cluster.

Local processes have supervisors of their own, which record their ends.
"""

import asyncio
import errno
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import structlog

from controller.buckets.protocol import ObjectChanged
from controller.executors.attempt_folder import read_status, redact_log, write_status
from controller.executors.container import request_stop
from controller.executors.protocol import GRACE
from controller.executors.workspace import Workspace
from controller.machine.core import Blocked
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from controller.store.protocol import LostLease
from specs.failures import Failure, NeedsHuman, TryAgain
from specs.references import TemplateError

log = structlog.get_logger("headgate.executor")

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
FULL_AFTER: Final = 10.0
"""Seconds before a full disk is tried again."""
REMOVE_AFTER: Final = 1.0
"""Seconds before a removal that failed is tried again; each time twice as long."""
REMOVE_AFTER_MOST: Final = 60.0


@dataclass
class LiveAttempt:
    """An attempt that is being prepared or is running."""

    attempt: Attempt
    requested: bool
    """Whether to start it if it turns out not to have been launched yet."""
    started: float | None = None
    """In seconds since the epoch."""
    unreachable: TryAgain | None = None
    """Why its state is unknown for now."""
    launching: bool = False
    """Whether it may have been launched already, so that cancelling means stopping that."""
    grace: float = GRACE
    over: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


L = TypeVar("L", bound=LiveAttempt)


class FollowingExecutor(ABC, Generic[L]):
    """Most of a `ManagedExecutor`. What it launches outlives it; the next one finds that.

    In an attempt's folder, the file `fact` holds the attempt, written before it is launched;
    `container.stop` holds the reason for stopping it, written before it is stopped; `status.json`
    holds the end, written before what was launched is removed.
    """

    fact: ClassVar[str]
    """The file that marks an attempt as launched, or about to be."""
    removes_succeeded: ClassVar[bool] = True
    """Whether what ran is not needed any more once it has succeeded."""

    def __init__(
        self, workspace: Workspace, *, slots: asyncio.Semaphore, redact: Callable[[str], str]
    ) -> None:
        self._workspace = workspace
        self._slots = slots
        self._redact = redact
        self._live: dict[str, L] = {}
        self._waits: dict[str, Blocked] = {}
        self._announce: Callable[[str], None] = lambda _: None
        self._background: set[asyncio.Task[None]] = set()
        self._resumed = False

    # -- what each does in its own way ---------------------------------------------------------

    @abstractmethod
    def _new(self, attempt: Attempt, *, requested: bool) -> L:
        """An attempt that is followed from now on."""

    @abstractmethod
    def _status(self, live: L) -> Status:
        """What is known of one that has not ended. Raises `TryAgain` if that is out of reach."""

    @abstractmethod
    def _stop_soon(self, live: L, grace: float) -> None:
        """Have one stopped that was launched, and for which a stop was requested."""

    @abstractmethod
    async def _was_launched(self, live: L) -> bool:
        """Whether one of which there is a record was launched; if not, the record is removed."""

    @abstractmethod
    async def _launch(self, live: L) -> None:
        """Prepare and launch it. Raises `Failure` and `TemplateError`."""

    @abstractmethod
    async def _follow(self, live: L) -> None:
        """Follow one that was launched until its end is recorded."""

    @abstractmethod
    async def _remove(self, attempt_id: str) -> None:
        """Remove what is left of one that has ended, also if it still runs. Raises `Failure`."""

    def _is_ours(self, _attempt_id: str) -> bool:
        """Whether an attempt is this controller's, and no other's, just now."""
        return True

    def _lingers(self, _live: L) -> float:
        """Seconds from the end of an attempt that did not succeed until what is left is removed."""
        return 0.0

    # -- as every executor ---------------------------------------------------------------------

    async def start(self, attempt: Attempt) -> None:
        """See `Executor`. Waiting for a free slot happens in the background, too."""
        self.resume()
        live = self._live.get(attempt.id)
        if live is not None:
            live.requested = True
        elif read_status(self._folder(attempt.id)) is None:
            self._track(self._new(attempt, requested=True))

    async def poll(self, attempt_id: str) -> Status:
        """See `Executor`. Raises `TryAgain` while what it runs on is unreachable."""
        self.resume()
        status = read_status(self._folder(attempt_id))
        if status is not None:
            await redact_log(self._folder(attempt_id), self._redact)
            return status
        live, waits = self._found(attempt_id), self._waits.get(attempt_id)
        if live is None:
            return Status(state=AttemptState.UNKNOWN, waits=waits)
        status = self._status(live)
        return status if waits is None else status.model_copy(update={"waits": waits})

    async def cancel(self, attempt_id: str, grace: float = GRACE) -> None:
        """See `Executor`."""
        self.resume()
        own = self._folder(attempt_id)
        if read_status(own) is not None:
            return
        request_stop(own, "cancelled")
        self._waits.pop(attempt_id, None)
        live = self._found(attempt_id)
        if live is not None and live.launching:
            self._stop_soon(live, grace)
            return
        # Nothing of it runs yet, and with its end recorded nothing ever will.
        message = "it was cancelled before it began"
        write_status(own, Status(state=AttemptState.CANCELLED, message=message, ended=time.time()))
        if live is not None and live.task is not None:
            live.task.cancel()

    async def logs(self, attempt_id: str) -> Path | None:
        """See `Executor`."""
        path = self._folder(attempt_id) / "log"
        return path if path.exists() else None

    def resume(self) -> None:
        """See `ManagedExecutor`."""
        if self._resumed:
            return
        self._resumed = True
        for fact in sorted(self._workspace.home.glob(f"*/{self.fact}")):
            if read_status(fact.parent) is None:
                attempt = Attempt.model_validate_json(fact.read_bytes())
                if self._is_ours(attempt.id):
                    self._track(self._new(attempt, requested=False))

    def _found(self, attempt_id: str) -> L | None:
        """The attempt, if it may have been launched; also one that was let go, as another
        controller had it for a while."""
        fact = self._folder(attempt_id) / self.fact
        if attempt_id not in self._live and fact.exists():
            attempt = Attempt.model_validate_json(fact.read_bytes())
            self._track(self._new(attempt, requested=False))
        return self._live.get(attempt_id)

    def knows(self, attempt_id: str) -> bool:
        """See `ManagedExecutor`."""
        return attempt_id in self._live or (self._folder(attempt_id) / self.fact).exists()

    def unfinished(self) -> Sequence[str]:
        """See `ManagedExecutor`."""
        self.resume()
        return list(self._live)

    def announce(self, to: Callable[[str], None]) -> None:
        """See `ManagedExecutor`."""
        self._announce = to
        self.resume()

    async def close(self) -> None:
        """See `ManagedExecutor`."""
        tasks = [*self._background, *(each.task for each in self._live.values() if each.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- the life of one attempt ---------------------------------------------------------------

    def _folder(self, attempt_id: str) -> Path:
        return self._workspace.folder(attempt_id)

    def _track(self, live: L) -> None:
        recorded = (self._folder(live.attempt.id) / self.fact).exists()
        live.launching = recorded
        if recorded:  # it may be running already, so it takes its slot before new attempts
            self._run_in_background(self._hold_slot(live))
        self._live[live.attempt.id] = live
        live.task = asyncio.create_task(self._run(live, recorded=recorded))
        live.task.add_done_callback(lambda _: self._untrack(live))

    def _untrack(self, live: L) -> None:
        live.over.set()
        self._live.pop(live.attempt.id, None)
        self._announce(live.attempt.id)

    def _run_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task and keep a reference to it until it is done."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _hold_slot(self, live: L) -> None:
        async with self._slots:
            await live.over.wait()

    async def _run(self, live: L, *, recorded: bool) -> None:
        """Bring it to its end. If that cannot go on for now, the run starts it again."""
        name = live.attempt.id
        try:
            try:
                await self._run_once(live, recorded=recorded)
            except LostLease:
                log.info("another controller goes on with an attempt", id=name)
                return
            except Exception as error:
                self._end(live, _ended_by(error, name))
        except (TryAgain, OSError) as error:  # `OSError`: its end cannot be recorded
            again = error if isinstance(error, TryAgain) else _no_room(error)
            log.info("an attempt cannot go on yet", id=name, reason=str(again))
            self._waits[name] = Blocked(reason=str(again), human=again.human)
            await asyncio.sleep(again.after or 1.0)
            return
        ended = read_status(self._folder(name))
        needed = ended is None or (
            ended.state is AttemptState.SUCCEEDED and not self.removes_succeeded
        )
        if live.launching and not needed:
            self._run_in_background(self._clear_away(name, self._lingers(live)))

    async def _run_once(self, live: L, *, recorded: bool) -> None:
        if recorded and await self._was_launched(live):
            self._waits.pop(live.attempt.id, None)
            await self._follow(live)
        elif live.requested:
            live.over.set()  # it was not launched: give back the slot held for it
            async with self._slots:
                await self._launch(live)
                await self._follow(live)

    async def _clear_away(self, attempt_id: str, after: float) -> None:
        """Remove what is left of an attempt that has ended, which may still run beside its retry,
        after so many seconds. If that is never possible, `reap` does it."""
        await asyncio.sleep(after)
        pause = REMOVE_AFTER
        while True:
            try:
                return await self._remove(attempt_id)
            except LostLease:
                return None
            except NeedsHuman as failure:
                log.warning("an attempt cannot be removed", id=attempt_id, reason=str(failure))
                return None
            except Failure as failure:
                log.info("an attempt cannot be removed yet", id=attempt_id, reason=str(failure))
            await asyncio.sleep(pause)
            pause = min(2 * pause, REMOVE_AFTER_MOST)

    def _end(self, live: L, status: Status) -> None:
        """Record how it ended, unless that is recorded."""
        self._waits.pop(live.attempt.id, None)
        own = self._folder(live.attempt.id)
        if read_status(own) is not None or not self._is_ours(live.attempt.id):
            return
        more = {
            "message": self._redact(status.message),
            "started": status.started or live.started,
            "ended": status.ended or time.time(),
        }
        write_status(own, status.model_copy(update=more))


def _ended_by(error: Exception, attempt_id: str) -> Status:
    """How an attempt ends by an error. Raises `TryAgain` if it does not."""
    if isinstance(error, ObjectChanged):
        return Status(state=AttemptState.DATA_CHANGED, message=str(error))
    if isinstance(error, TryAgain):
        raise error
    if isinstance(error, OSError) and error.errno in FULL:
        raise _no_room(error)
    if isinstance(error, Failure | TemplateError):
        why = str(error)
    elif isinstance(error, OSError):
        why = f"it cannot be prepared or followed: {error}"
    else:
        log.exception("an attempt cannot be followed", id=attempt_id)
        why = f"internal error ({type(error).__name__}: {error})"
    return Status(state=AttemptState.FAILED, message=why)


def _no_room(error: OSError) -> TryAgain:
    where = f" ({error.filename})" if error.filename else ""
    fix = "Free some space" if error.errno in FULL else "See to that"
    return TryAgain(
        f"the controller cannot write its record of it{where}: {error.strerror}. {fix}, in "
        "Headgate's home first; then it goes on by itself",
        after=FULL_AFTER,
        human=True,
    )
