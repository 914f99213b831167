"""Listens to the queues that object stores send events to, and reports a queue that fails."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from controller.machine.core import Envelope, Key
from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.stalls import HUMAN, KIND, OTHERS, Stalls
from controller.sources.sqs import QueueSource, SqsQueue
from controller.sources.watch import Watcher
from controller.store.protocol import Store
from specs.failures import Failure, NeedsHuman

log = structlog.get_logger("headgate.queues")

QUEUE = "queue"
"""The kind of a queue in the name of its stall."""


class Queues:
    """The queues of one controller."""

    def __init__(
        self,
        queues: Sequence[SqsQueue],
        store: Store,
        watch: Watcher,
        hint: Callable[[str], None],
        send: Callable[[Envelope], Awaitable[None]],
        policy: RuntimePolicy,
    ) -> None:
        self._queues = queues
        self._store = store
        self._watch = watch
        self._hint = hint
        self._send = send
        self._policy = policy
        self._troubles = Stalls()

    async def listen(self, wake: Callable[[Key], None]) -> None:
        """Begin to listen; `wake` is called with the key of a stall that was sent or has ended."""
        for record in await self._store.list(KIND, live=True):
            if record.key.name.startswith(f"{QUEUE}/"):
                self._troubles.restore(record.key)
        for queue in self._queues:
            of = Key(QUEUE, queue.name)

            async def told(failure: Failure | None, of: Key = of) -> None:
                await self._told(of, failure, wake)

            source = QueueSource(queue, self._hint, self._watch.pipelines_of, told)
            self._watch.add(QUEUE, queue.url, source)

    async def _told(self, of: Key, failure: Failure | None, wake: Callable[[Key], None]) -> None:
        """Report a failure that lasts, once, and its end, as the loop does for objects."""
        now = self._policy.clock()
        if failure is None:
            message = self._troubles.passed(of, now)
        else:
            patience = HUMAN if isinstance(failure, NeedsHuman) else OTHERS
            patience = min(patience, self._policy.bears)
            message = self._troubles.failed(of, str(failure), now, patience)
        if message is None:
            return
        try:
            await self._send(message)
        except Failure as problem:
            log.warning("the state of a queue cannot be reported yet", reason=str(problem))
            return
        self._troubles.sent(of, message)
        wake(message.to)
