"""The loop: load, observe, decide, save the intent, apply, save the outcome; key by key.

A key is reconciled by one worker at a time, so a decision never races the actions of the one
before. What a decision changes, enqueues, sends and consumes is saved in one transaction before any
of its actions is applied; the outcome of an action is saved in the transaction that acknowledges
it. After a crash at any point the outbox says what is left to do, and actions are safe to apply
twice.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import structlog
from pydantic import ValidationError
from structlog.contextvars import bind_contextvars

from controller.machine.core import Action, Blocked, Decision, Envelope, InboxMessage, Key, Value
from controller.reconcile import inbox as inboxes
from controller.reconcile.inbox import Handled
from controller.reconcile.outbox import Applier, Outbox, RuntimePolicy, outbox_entry, within
from controller.reconcile.reconciler import Reconciler
from controller.reconcile.stalls import HUMAN, KIND, OTHERS, REFUSED, Stalls
from controller.reconcile.witness import TurnResult, Witness
from controller.reconcile.workqueue import WorkQueue
from controller.store.protocol import (
    Changes,
    Conflict,
    OutboxEntry,
    Put,
    Record,
    SetAside,
    Store,
    StoredObject,
    Transaction,
)
from controller.store.remembered import MOST
from specs.failures import Failure, Ignore, NeedsHuman, TryAgain

log = structlog.get_logger("headgate.loop")

BEHIND = 10_000
"""How many keys that come later go before a patient one, after a restart: what there is to do must
not wait until everything was looked at."""
SOON = 5.0
"""Seconds for which the acknowledgement of a lasting action may wait for its owner's next
transaction."""

SELDOM = 5.0
"""The most seconds between two attempts to hear of messages while the store is away."""

_UNREADABLE = (
    "Its stored state cannot be read, so it stands still while the others go on. Perhaps a newer "
    "version of Headgate wrote it; `headgate doctor` names the fix."
)


class HistoryLost(Exception):  # noqa: N818 - the name says what happened
    """The store may not have what was committed last, as `Changes.LOST` says: what this process
    remembers is not to be relied on."""


class Loop:
    """Reconciles keys until it is cancelled; then it finishes those that have begun, and returns.

    `workers` keys are reconciled at a time. `listen` is how often, in seconds, a store that cannot
    tell of them is asked for messages that another process sent.
    """

    def __init__(
        self,
        store: Store,
        reconcilers: Mapping[str, Reconciler[Any, Any]],
        appliers: Mapping[type[Action], Applier],
        *,
        policy: RuntimePolicy = RuntimePolicy(),  # noqa: B008 - a constant value
        workers: int = 8,
        listen: float = 0.2,
        witness: Witness | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Since the start: `reconciled`, `saves`, `conflicts`; `acknowledged`, `postponed`
        and `failed` of actions; `internal_errors`."""
        self.parked: dict[Key, int] = {}
        """Keys whose state cannot be read, with the revision that could not."""
        self.begun = False
        """Whether all that the store says is alive has been woken."""
        self.ticked = self.turned = time.monotonic()
        """When it last looked for messages of other processes, and when a turn last ended or the
        queue was empty; of the monotonic clock."""
        self._store = store
        self._reconcilers = reconcilers
        self._policy = policy
        self._workers = workers
        self._listen = listen
        self._witness = witness
        self._turns = 0
        self._stalls = Stalls()
        self._decided: dict[Key, tuple[str, Value]] = {}  # the latest last
        """The states that were saved last, with their JSON: what was made here is not parsed."""
        self._queue: WorkQueue[Key] = WorkQueue(policy.backoff, policy.jitter)
        self._outbox = Outbox(store, appliers, self.wake, self.counts, policy)

    def wake(self, key: Key) -> None:
        """Look at `key` soon. For the event loop's own thread."""
        if key.kind in self._reconcilers:
            self._queue.add(key)
        else:
            log.warning("no reconciler is for the kind that was woken", woken=str(key))

    @property
    def depth(self) -> Mapping[str, int]:
        """How many keys wait for a worker, are being reconciled, and wait for their time."""
        return {
            "ready": len(self._queue),
            "in_progress": self._turns,
            "delayed": self._queue.delayed,
        }

    async def run(self) -> None:
        """Wake what the store says is alive, then reconcile keys until cancelled. Raises
        `RuntimeError` if a part of the loop ends by itself, without which it would do only a part
        of its work."""
        await self._store.changed()  # from now on it knows what comes; all that is there is woken
        await self._wake_stored()
        self.begun = True
        tasks: set[asyncio.Task[None]] = set()
        hearing = asyncio.create_task(self._hear_others(), name="messages of other processes")
        handing_out = asyncio.create_task(self._hand_out(tasks), name="the work queue")
        behind = asyncio.create_task(self._outbox.run(), name="background actions")
        parts = (hearing, handing_out, behind)
        try:
            ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            _raise_end(ended.pop())
        finally:
            hearing.cancel()
            handing_out.cancel()
            self._queue.close()
            if tasks:
                await asyncio.wait(tasks, timeout=self._policy.patience)
            for task in (*parts, *tasks):
                task.cancel()
            await asyncio.gather(*parts, *tasks, return_exceptions=True)

    async def _hand_out(self, tasks: set[asyncio.Task[None]]) -> None:
        """Have as many keys reconciled at a time as there are workers. `tasks` are those that have
        begun."""
        free = asyncio.Semaphore(self._workers)
        while True:
            await free.acquire()
            task = asyncio.create_task(self._work_on(await self._queue.get()))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: free.release())

    async def _wake_stored(self) -> None:
        for kind, reconciler in self._reconcilers.items():
            for record in await self._store.list(kind, live=True):
                self._queue.add(record.key, BEHIND if reconciler.patient else 0)
                if kind == KIND:
                    self._stalls.restore(record.key)
        for entry in await self._store.outbox():
            self.wake(entry.owner)
        await self._wake_addressees()

    async def _wake_addressees(self) -> None:
        for key in await self._store.addressees():
            self.wake(key)

    async def _hear_others(self) -> None:
        missed = Changes.NONE
        """What was heard, while what it is about could not be read."""
        pause = self._listen
        while True:
            self.ticked = time.monotonic()
            if not len(self._queue):
                self.turned = self.ticked
            try:
                missed = max(missed, await self._store.hear(self._listen))
                if missed is Changes.LOST:
                    raise HistoryLost("the state's server may not have what was saved last")  # noqa: TRY301
                if missed is Changes.ANYTHING:
                    log.warning("the store was away: everything is looked at again")
                    await self._wake_stored()
                elif missed:
                    await self._wake_addressees()
                missed, pause = Changes.NONE, self._listen
                continue
            except HistoryLost:
                raise
            except TryAgain as failure:
                log.warning("could not look for messages yet", reason=str(failure))
            except Exception:
                self.counts["internal_errors"] += 1
                log.exception("could not look for messages")
            await asyncio.sleep(pause)
            pause = min(2 * pause, SELDOM)

    async def _work_on(self, key: Key) -> None:
        """Reconcile once, and do what follows from how that ended."""
        self.counts["reconciled"] += 1
        bind_contextvars(
            key=str(key), reconcile=self.counts["reconciled"]
        )  # the task's own context
        self._turns += 1
        began = time.perf_counter()
        try:
            result = await self._turn(key)
            self._told(lambda tell: tell.turned(key, time.perf_counter() - began, result))
        finally:
            self._turns -= 1
            self.turned = time.monotonic()
            self._queue.done(key)

    async def _turn(self, key: Key) -> TurnResult:
        try:
            waits = await self._reconcile(key)
            self._queue.forget(key)
            await self._made_progress(key, waits)
        except Conflict:
            self.counts["conflicts"] += 1
            self._queue.add(key)
            return "conflict"
        except Ignore as reason:
            log.debug("nothing to do", reason=str(reason))
            return "ignored"
        except TryAgain as failure:
            delay = self._queue.add_failed(key, failure.after or 0.0)
            log.warning("reconciling is tried again", reason=str(failure), delay=delay)
            await self._failed(key, str(failure), REFUSED if failure.human else OTHERS)
            return "retried"
        except NeedsHuman as failure:
            delay = self._queue.add_failed(key)
            log.error(  # noqa: TRY400 - the reason is the user's, and no traceback
                "reconciling needs a human", reason=str(failure), delay=delay
            )
            await self._failed(key, str(failure), HUMAN)
            return "human"
        except Exception as error:
            self.counts["internal_errors"] += 1
            delay = self._queue.add_failed(key)
            log.exception("reconciling failed with an internal error", delay=delay)
            why = f"An internal error ({type(error).__name__}); the log says where."
            await self._failed(key, why, HUMAN)
            return "error"
        return "done"

    def _told(self, tell: Callable[[Witness], None]) -> None:
        """Tell the witness. What is saved is saved: its errors change nothing."""
        if self._witness is None:
            return
        try:
            tell(self._witness)
        except Exception:
            self.counts["internal_errors"] += 1
            log.exception("what happened could not be counted")

    async def _made_progress(self, key: Key, waits: Blocked | None) -> None:
        if key in self.parked:
            await self._failed(key, _UNREADABLE, 0.0)
        elif waits is not None:
            patience = REFUSED if waits.human else OTHERS
            if self._stalls.since(key) is None:
                log.warning("it waits", reason=waits.reason, human=waits.human)
                self._queue.add_after(key, patience)  # else somebody would be told too late
            await self._failed(key, waits.reason, patience)
        else:
            await self._say(key, self._stalls.passed(key, self._policy.clock()))

    async def _failed(self, key: Key, reason: str, patience: float) -> None:
        patience = min(patience, self._policy.bears)
        now = self._policy.clock()
        await self._say(key, self._stalls.failed(key, reason, now, patience))

    async def _say(self, key: Key, envelope: Envelope | None) -> None:
        """Tell of a stall, or of its end; if the store takes nothing, the next time round."""
        if envelope is None or KIND not in self._reconcilers:
            return
        try:
            await self._store.commit(Transaction(send=(envelope,)), self._policy.clock())
        except Failure as failure:
            log.error(  # noqa: TRY400 - the reason is the user's, and no traceback
                "nobody could be told of a stall yet", reason=str(failure)
            )
            return
        self._stalls.sent(key, envelope)
        self.wake(envelope.to)

    async def _reconcile(self, key: Key) -> Blocked | None:
        look = await self._store.load(key)
        try:
            decided = await self._decide(key, look)
        except Exception:
            # What is in the outbox is to be done whatever can be seen now.
            await self._apply(key, _Decided(await self._store.outbox(key)))
            raise
        await self._apply(key, decided)
        return decided.waits or self._outbox.waits(decided.outbox)

    async def _apply(self, key: Key, decided: "_Decided") -> None:
        if not decided.outbox:
            return
        again = decided.again is not None and decided.again <= SOON
        due = await self._outbox.apply(decided.outbox, decided.made, again=again)
        if due is not None:
            self._queue.add_after(key, due)

    async def _decide(self, key: Key, look: StoredObject) -> "_Decided":
        """Decide and save."""
        reconciler = self._reconcilers[key.kind]
        record = look.record
        bind_contextvars(revision=record.revision if record else 0)
        try:
            state = None if record is None else self._state(record)
        except ValidationError as error:
            self._park(key, record, error)
            return _Decided(look.outbox)
        self.parked.pop(key, None)
        inbox = inboxes.read(look.inbox, reconciler)
        await self._set_aside(inbox.set_aside)
        async with within(self._policy.patience, "Observing"):
            observed = await reconciler.observer.observe(key, state, inbox.messages)
        now = self._policy.clock()

        def decide(messages: Sequence[InboxMessage]) -> Decision[Any]:
            return reconciler.decide(key, state, observed, messages, now)

        handled = self._handle(key, inbox.messages, decide, exists=state is not None)
        decision = handled.decision
        if decision is None:
            await self._set_aside(handled.set_aside)
            return _Decided(look.outbox)
        if decision.requeue_after is not None:
            self._queue.add_after(key, decision.requeue_after)
        return await self._save(key, look, state, handled, decision)

    def _state(self, record: Record) -> Value:
        """The state of a record, as it was decided if nobody has changed it since."""
        known = self._decided.get(record.key)
        if known is not None and known[0] == record.text:
            return known[1]
        state: type[Value] = self._reconcilers[record.key.kind].state
        return state.model_validate_json(record.text)

    def _handle(
        self,
        key: Key,
        messages: tuple[InboxMessage, ...],
        decide: Callable[[Sequence[InboxMessage]], Decision[Any]],
        *,
        exists: bool,
    ) -> Handled:
        """Decide on all messages at once, or else without those that make the machine fail."""
        try:
            return Handled(decide(messages), messages)
        except (Failure, Ignore):
            raise
        except Exception:
            if not messages:
                raise
        handled = inboxes.isolate(messages, decide, exists=exists)
        self.counts["internal_errors"] += len(handled.set_aside)
        self._queue.add(key)  # for those that had to wait until the object exists
        return handled

    async def _set_aside(self, messages: Sequence[SetAside]) -> None:
        if messages:
            change = Transaction(set_aside=tuple(messages))
            await self._store.commit(change, self._policy.clock())

    def _park(self, key: Key, record: Record | None, error: ValidationError) -> None:
        revision = record.revision if record else 0
        if self.parked.get(key) != revision:
            self.parked[key] = revision
            log.error(
                "the stored state cannot be read, so this object stands still and the others go "
                "on; did a newer version write it? `headgate doctor` names the fix",
                problems=[f"{e['loc']}: {e['msg']}" for e in error.errors(include_input=False)],
            )

    async def _save(
        self,
        key: Key,
        look: StoredObject,
        before: Value | None,
        handled: Handled,
        decision: Decision[Any],
    ) -> "_Decided":
        record = look.record
        put = Put(
            key=key,
            revision=record.revision if record else 0,
            text=decision.state.model_dump_json(),
            live=decision.requeue_after is not None,
        )
        enqueue = tuple(outbox_entry(key, action) for action in decision.actions)
        withdrawn = tuple(each for each in look.outbox if each.lane in decision.withdraw)
        change = Transaction(
            put=put,
            facts=decision.facts,
            enqueue=enqueue,
            acknowledge=tuple(each.id for each in withdrawn),
            send=decision.messages,
            consume=tuple(each.number for each in handled.messages),
            set_aside=handled.set_aside,
            absent=decision.absent,
        )
        applied = self._outbox.applied(key)
        same = record is not None and (record.text, record.live) == (put.text, put.live)
        made = {each.id: action for each, action in zip(enqueue, decision.actions, strict=True)}
        if same and change == Transaction(put=put):
            if applied:
                await self._store.commit(Transaction(acknowledge=applied), self._policy.clock())
                self._outbox.acknowledged(key)
            left = [each for each in look.outbox if each.id not in applied]
            return _Decided(left, decision.waits, decision.requeue_after)
        change = change.model_copy(update={"acknowledge": (*change.acknowledge, *applied)})
        self._policy.boundary("before save", key)
        outbox = await self._store.commit(change, self._policy.clock())
        self._policy.boundary("after save", key)
        self._outbox.acknowledged(key)
        self._outbox.withdrawn(withdrawn)
        self._remember(put, decision.state)
        self.counts["saves"] += 1
        self._told(lambda tell: tell.saved(key, before, decision))
        for envelope in change.send:
            self.wake(envelope.to)
        return _Decided(outbox, decision.waits, decision.requeue_after, made)

    def _remember(self, put: Put, state: Value) -> None:
        self._decided.pop(put.key, None)
        if put.live:
            self._decided[put.key] = (put.text, state)
            while len(self._decided) > MOST:
                del self._decided[next(iter(self._decided))]


def _raise_end(part: asyncio.Task[None]) -> NoReturn:
    failure = None if part.cancelled() else part.exception()
    if isinstance(failure, HistoryLost):
        raise failure
    raise RuntimeError(f"the loop ends, as its part for {part.get_name()} has ended") from failure


class _Decided(NamedTuple):
    """What follows from a decision that was saved."""

    outbox: Sequence[OutboxEntry]
    waits: Blocked | None = None
    """What the object waits for."""
    again: float | None = None
    """In how many seconds it is reconciled again, whatever happens."""
    made: Mapping[str, Action] = MappingProxyType({})
    """The actions of the decision by their ids in the outbox."""
