"""Applies the actions in the outbox, and saves the outcome of each as it acknowledges it."""

import asyncio
import errno
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from controller.machine.core import Action, Blocked, Envelope, Key, id_of, parsed
from controller.machine.messages import ActionFailed
from controller.reconcile.batches import Batches
from controller.reconcile.tenure import Alone, Tenure
from controller.reconcile.workqueue import Backoff, WorkQueue
from controller.store.protocol import LostLease, OutboxEntry, Postponed, Store, Transaction
from controller.store.shards import shard_of
from deployers.clock import Steady
from specs.failures import Failure, Ignore, NeedsHuman, TryAgain
from specs.figures import duration

Applier = Callable[[Key, Any], Awaitable[Sequence[Envelope]]]
"""Applies an action for its owner. The outcome is returned as messages, to the owner or to
others, and they are sent in the transaction that acknowledges the action. Raises `TryAgain`,
`NeedsHuman`, or `Ignore` where nothing is to be said. It starts long work and does not await it."""

Boundary = Callable[[str, Key], None]
"""Called with `before save`, `after save`, and so on for `apply` and `acknowledge`."""


class RuntimePolicy(NamedTuple):
    """How effects are made: when, how long, how often. Times are in seconds."""

    clock: Callable[[], float] = Steady()
    """Since the epoch; what decisions and the store are told. Its differences are durations."""
    wall: Callable[[], float] = time.time
    """Since the epoch, as the machine has it just now: for schedules, which are of the day."""
    boundary: Boundary = lambda _step, _key: None
    backoff: Backoff = Backoff()
    jitter: Callable[[], float] = random.random
    patience: float = 60.0
    """How long one observation or one action may take."""
    bears: float = math.inf
    """The longest that an object may fail before somebody is told, where that is shorter than
    `stalls` has it."""
    wake_every: float = 5.0
    """How often schedules look at the clock: it may have been set, or the machine slept."""


FEW = 4
"""How many owners of background actions read the store at a time, so that a thousand that have
something to report are not in the way of one that has something to do."""
LEAVE = 1.0
"""Seconds that background actions which are under way get to end in when the loop stops."""


class Outbox:
    """The effects of every object. Not for two callers with one owner at a time.

    `apply` applies actions and waits for them, except for those in the background, which `run`
    applies: for one owner at a time as well, and as long as it takes.
    """

    def __init__(
        self,
        store: Store,
        appliers: Mapping[type[Action], Applier],
        wake: Callable[[Key], None],
        counts: Counter[str],
        policy: RuntimePolicy,
        tenure: Tenure = Alone(),  # noqa: B008 - it has no state
    ) -> None:
        self._store = store
        self._appliers = {_type_of(action): (action, apply) for action, apply in appliers.items()}
        self._behind: WorkQueue[Key] = WorkQueue(policy.backoff, policy.jitter)
        self._few = asyncio.Semaphore(FEW)
        self._outcomes: Batches[_Outcome] = Batches(self._save_outcomes)
        self._wake = wake
        self._counts = counts
        self._policy = policy
        self._tenure = tenure
        self._waits: dict[str, Blocked] = {}
        self._due: dict[int, float] = {}
        """When what was put off is due, by the number of its entry."""
        self._came: dict[int, Sequence[Envelope]] = {}
        """The outcome of what was applied and could not be acknowledged, by that number."""
        self._applied: dict[Key, dict[int, str]] = {}
        """By owner: the numbers and ids of what was applied and is yet to be acknowledged."""

    def waits(self, outbox: Sequence[OutboxEntry]) -> Blocked | None:
        """What one of these waits for that only a person can fix."""
        return next((self._waits[one.id] for one in outbox if one.id in self._waits), None)

    def applied(self, owner: Key) -> tuple[str, ...]:
        """The ids of what was applied and is to be acknowledged with the owner's next transaction;
        say `acknowledged` after that."""
        return tuple(self._applied.get(owner, {}).values())

    def acknowledged(self, owner: Key) -> None:
        """All that was `applied` is out of the outbox."""
        self._counts["acknowledged"] += len(self._applied.pop(owner, ()))

    def forget(self, shards: Collection[int]) -> None:
        """Another controller may have had these: what was applied here is acknowledged there."""
        for owner in [one for one in self._applied if shard_of(one) in shards]:
            del self._applied[owner]

    def withdrawn(self, entries: Sequence[OutboxEntry]) -> None:
        """These have left the outbox without having been applied. The same action inherits nothing
        from them if it is enqueued again."""
        for entry in entries:
            self._waits.pop(entry.id, None)
            self._due.pop(entry.number, None)
            self._came.pop(entry.number, None)

    async def apply(
        self,
        outbox: Sequence[OutboxEntry],
        made: Mapping[str, Action] = MappingProxyType({}),
        *,
        again: bool = False,
    ) -> float | None:
        """Apply the outbox of one owner: each lane in its order, the lanes side by side. What it
        has in the background is left to `run`.

        `made` has actions by id that need not be read from it. `again`: the owner is reconciled
        again soon, so the acknowledgement of what is lasting may wait for its next transaction.

        Returns the seconds until something is due again, or None if nothing is left to do. Raises
        what the store raises; what was applied then is acknowledged next time, and applied again
        by another process only.
        """
        behind = [entry for entry in outbox if self._is_behind(entry)]
        if behind:
            self._behind.add(behind[0].owner)
        mine = [entry for entry in outbox if not self._is_behind(entry)]
        return await self._apply_lanes(mine, made, again)

    async def run(self) -> None:
        """Apply what is in the background until cancelled. What has not been done then stays in the
        outbox."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                task = asyncio.create_task(self._apply_behind(await self._behind.get()))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        finally:
            self._behind.close()
            if tasks:
                await asyncio.wait(tasks, timeout=LEAVE)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._outcomes.close()

    def _is_behind(self, entry: OutboxEntry) -> bool:
        known = self._appliers.get(str(entry.action.get("type")))
        return known is not None and known[0].background

    async def _apply_behind(self, owner: Key) -> None:
        """Apply what an owner has in the background, as it is in the store by now."""
        _bind(owner)
        try:
            if not self._tenure.begins(owner):
                raise LostLease("another controller may have it")  # noqa: TRY301
            with self._tenure.working(owner):
                async with self._few:
                    outbox = await self._store.outbox(owner)
                behind = [entry for entry in outbox if self._is_behind(entry)]
                due = await self._apply_lanes(behind)
            self._behind.forget(owner)
            if due is not None:
                self._behind.add_after(owner, due)
        except LostLease as reason:
            self._behind.forget(owner)
            if self._tenure.begins(owner):  # another's, whose outcome was to be saved with this one
                self._behind.add_failed(owner)
            else:
                _log().info("the outbox is left to another controller", reason=str(reason))
        except Exception as error:
            if not isinstance(error, Failure):
                self._counts["internal_errors"] += 1
            delay = self._behind.add_failed(owner)
            _log().warning("the outbox is tried again", reason=str(error), delay=delay)
        finally:
            self._behind.done(owner)

    async def _apply_lanes(
        self,
        outbox: Sequence[OutboxEntry],
        made: Mapping[str, Action] = MappingProxyType({}),
        again: bool = False,
    ) -> float | None:
        by_lane = attrgetter("lane")  # sorting is stable: within a lane the oldest stays first
        ordered = sorted(outbox, key=by_lane)
        lanes = [[*lane] for _, lane in groupby(ordered, by_lane)]
        if len(lanes) == 1:  # which needs no task
            return await self._apply_lane(lanes[0], made, again)
        ends = (self._apply_lane(lane, made, again, beside=True) for lane in lanes)
        waits = []
        # Every lane comes to its end before a failure of the store is raised.
        for end in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(end, BaseException):
                raise end
            if end is not None:
                waits.append(end)
        return min(waits, default=None)

    async def _apply_lane(
        self,
        lane: Sequence[OutboxEntry],
        made: Mapping[str, Action],
        again: bool,
        *,
        beside: bool = False,
    ) -> float | None:
        """Apply a lane in its order. `beside` others it begins later than the outbox was read."""
        for place, entry in enumerate(lane):
            if entry.number in self._applied.get(entry.owner, ()):
                continue
            if (place or beside) and await self._is_gone(entry):
                continue
            wait = self._wait(entry)
            if wait > 0:
                return wait
            postponed = await self._apply_one(entry, made.get(entry.id), again)
            if postponed is not None:
                return postponed
        return None

    async def _is_gone(self, entry: OutboxEntry) -> bool:
        """Whether it was withdrawn since the outbox was read. Its owner, which may withdraw it, is
        not reconciled meanwhile unless it is in the background."""
        if not self._is_behind(entry):
            return False
        there = await self._store.outbox(entry.owner)
        return all(one.number != entry.number for one in there)

    def _wait(self, entry: OutboxEntry) -> float:
        """The seconds until it is due. What another controller put off may be of another clock: it
        is put off for no longer than so many failures have it."""
        now = self._policy.clock()
        if entry.attempts and entry.number not in self._due:
            longest = self._policy.backoff.delay(entry.attempts, 1.0)
            self._due[entry.number] = min(entry.not_before, now + longest)
        return self._due.get(entry.number, now) - now

    async def _apply_one(
        self, entry: OutboxEntry, made: Action | None, again: bool
    ) -> float | None:
        """Apply and acknowledge; or postpone, and return the seconds until it is due again."""
        try:
            outcome = self._came.get(entry.number)
            if outcome is None:
                outcome = await self._effect(entry, made)
        except LostLease:
            raise
        except Ignore as reason:
            _log().debug("an action was not needed", action=_type(entry), reason=str(reason))
            outcome = ()
        except NeedsHuman as failure:
            self._counts["failed"] += 1
            _log().error("an action needs a human", action=_type(entry), reason=str(failure))
            outcome = (_failed(entry, str(failure)),)
        except TryAgain as failure:
            _log().warning("an action is tried again", action=_type(entry), reason=str(failure))
            if await self._is_gone(entry):
                return None
            self._waits.pop(entry.id, None)
            if failure.human:
                self._waits[entry.id] = Blocked(reason=str(failure), human=True)
                self._look_again(entry)
            return await self._postpone(entry, str(failure), failure.after or 0.0)
        except Exception as error:
            self._counts["internal_errors"] += 1
            _log().exception("an action failed with an internal error", action=_type(entry))
            if await self._is_gone(entry):
                return None
            return await self._postpone(entry, f"{type(error).__name__}: {error}", 0.0)
        if again and not outcome and made is not None and made.lasting:
            self._forget(entry)
            self._applied.setdefault(entry.owner, {})[entry.number] = entry.id
        else:
            await self._acknowledge(entry, outcome)
        return None

    async def _effect(self, entry: OutboxEntry, made: Action | None) -> Sequence[Envelope]:
        name = entry.action.get("type")
        if name not in self._appliers:
            # Perhaps another version of Headgate left it: it stays there until that one is back.
            raise TryAgain(f"nothing in this version of Headgate applies {name!r}")
        action, apply = self._appliers[name]
        self._policy.boundary("before apply", entry.owner)
        if not self._tenure.holds(entry.owner):
            raise LostLease("another controller may have it")
        async with within(self._policy.patience, f"The action {name}"):
            outcome = await apply(entry.owner, made or parsed(action, entry.action))
        self._policy.boundary("after apply", entry.owner)
        return outcome

    async def _postpone(self, entry: OutboxEntry, error: str, at_least: float) -> float:
        policy = self._policy
        wait = max(at_least, policy.backoff.delay(entry.attempts + 1, policy.jitter()))
        now = policy.clock()
        postponed = Postponed(id=entry.id, not_before=now + wait, error=error)
        await self._store.commit(Transaction(postpone=(postponed,), owners=(entry.owner,)), now)
        self._due[entry.number] = postponed.not_before
        self._counts["postponed"] += 1
        return wait

    async def _acknowledge(self, entry: OutboxEntry, outcome: Sequence[Envelope]) -> None:
        self._forget(entry)
        # Else a store that takes nothing would have people told again.
        self._came[entry.number] = outcome
        # The owner is told once per entry. Without the number, the outcome of an action that is
        # enqueued a second time would be taken for an old message and dropped.
        send = tuple(
            message.model_copy(update={"id": f"{message.id}#{entry.number}"})
            if message.to == entry.owner
            else message
            for message in outcome
        )
        self._policy.boundary("before acknowledge", entry.owner)
        if self._is_behind(entry):
            await self._outcomes.add(_Outcome(entry.owner, entry.id, send))
        else:
            await self._save_outcomes([_Outcome(entry.owner, entry.id, send)])
        self._came.pop(entry.number, None)  # it may have been withdrawn
        self._policy.boundary("after acknowledge", entry.owner)
        self._counts["acknowledged"] += 1
        for message in send:
            self._wake(message.to)

    async def _save_outcomes(self, outcomes: Sequence["_Outcome"]) -> None:
        change = Transaction(
            acknowledge=tuple(one.id for one in outcomes),
            send=tuple(message for one in outcomes for message in one.send),
            owners=tuple({one.owner for one in outcomes}),
        )
        await self._store.commit(change, self._policy.clock())

    def _look_again(self, entry: OutboxEntry) -> None:
        """Have the loop ask `waits` of an owner that is not being reconciled now."""
        if self._is_behind(entry):
            self._wake(entry.owner)

    def _forget(self, entry: OutboxEntry) -> None:
        if self._waits.pop(entry.id, None):
            self._look_again(entry)
        self._due.pop(entry.number, None)


class _Outcome(NamedTuple):
    """What is saved of an entry that was applied."""

    owner: Key
    id: str
    send: tuple[Envelope, ...]


def outbox_entry(owner: Key, action: Action) -> OutboxEntry:
    """`action` as it is put into the outbox."""
    plain = action.plain()
    return OutboxEntry(id=id_of(owner, plain), owner=owner, lane=action.lane, action=plain)


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """`TryAgain` if the block takes longer than `seconds`, or if a disk has no room for it."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TryAgain(f"{what} took longer than {duration(seconds)}.") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise TryAgain(
            f"{what} cannot write{where}: {error.strerror}. Free some space, in Headgate's home "
            "first; then it goes on by itself.",
            human=True,
        ) from error


def _failed(entry: OutboxEntry, reason: str) -> Envelope:
    known = Action.by_type()[entry.action["type"]]
    message = ActionFailed(action=parsed(known, entry.action), reason=reason)
    return Envelope(to=entry.owner, id=f"{message.type}:{entry.id}", message=message)


def _type(entry: OutboxEntry) -> str:
    """What the entry is, for the log: its fields may be long."""
    return str(entry.action.get("type"))


def _type_of(action: type[Action]) -> str:
    name = action.model_fields["type"].default
    if not isinstance(name, str):
        raise TypeError(f"{action.__name__}.type needs a default, by which the outbox knows it")
    return name


def _bind(owner: Key) -> None:
    """What is logged from here on by this task is about `owner`."""
    from structlog.contextvars import bind_contextvars

    bind_contextvars(key=str(owner))


def _log() -> Any:
    """Imported where something is said: half of what a command takes that says nothing."""
    import structlog

    return structlog.get_logger("headgate.outbox")
