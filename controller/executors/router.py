"""Sends each attempt to the executor that it names, and later to the executor that knows it."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from controller.executors.protocol import GRACE, ManagedExecutor
from controller.machine.runs.attempt import Attempt, Status
from specs.failures import NeedsHuman

REMEMBERED = 1000
"""How many of the attempts started last are known without asking; others are found by asking."""


class ExecutorRouter:
    """A `ManagedExecutor` over several. `default` is asked about attempts that none of them knows,
    and records the cancellation of one that was never started."""

    def __init__(self, executors: Mapping[str, ManagedExecutor], default: str) -> None:
        self._executors = executors
        self._default = executors[default]
        self._started: OrderedDict[str, ManagedExecutor] = OrderedDict()

    async def start(self, attempt: Attempt) -> None:
        """See `Executor`. Raises `NeedsHuman` for an executor that is not registered."""
        self.resume()  # on every executor, what already runs gets its slot before anything new
        executor = self._executors.get(attempt.executor)
        if executor is None:
            raise NeedsHuman(
                f"this version of Headgate has no executor {attempt.executor}; set `executor` to "
                f"one of {', '.join(self._executors)}"
            )
        if executor is not self._default and (await self._default.poll(attempt.id)).state.ended:
            return  # it was cancelled before it was started
        await executor.start(attempt)
        self._started[attempt.id] = executor
        if len(self._started) > REMEMBERED:
            self._started.popitem(last=False)

    async def poll(self, attempt_id: str) -> Status:
        """See `Executor`."""
        return await self._executor_of(attempt_id).poll(attempt_id)

    async def cancel(self, attempt_id: str, grace: float = GRACE) -> None:
        """See `Executor`."""
        if not self.knows(attempt_id):
            await self.disown(attempt_id)
        await self._executor_of(attempt_id).cancel(attempt_id, grace)

    async def logs(self, attempt_id: str) -> Path | None:
        """See `Executor`."""
        return await self._executor_of(attempt_id).logs(attempt_id)

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        """See `Executor`."""
        return await self._executor_of(attempt.id).collect(attempt)

    def resume(self) -> None:
        """See `ManagedExecutor`."""
        for each in self._executors.values():
            each.resume()

    def knows(self, attempt_id: str) -> bool:
        """See `ManagedExecutor`."""
        return any(each.knows(attempt_id) for each in self._executors.values())

    def unfinished(self) -> Sequence[str]:
        """See `ManagedExecutor`."""
        return [name for each in self._executors.values() for name in each.unfinished()]

    def announce(self, to: Callable[[str], None]) -> None:
        """See `ManagedExecutor`."""
        for each in self._executors.values():
            each.announce(to)

    async def disown(self, attempt_id: str) -> None:
        """See `ManagedExecutor`."""
        for each in self._executors.values():
            await each.disown(attempt_id)

    async def reap(self) -> int:
        """See `ManagedExecutor`."""
        return sum([await each.reap() for each in self._executors.values()])

    async def close(self) -> None:
        """See `ManagedExecutor`."""
        for each in self._executors.values():
            await each.close()

    def _executor_of(self, attempt_id: str) -> ManagedExecutor:
        """The executor that knows the attempt; the default knows the fewest, so it comes last."""
        if attempt_id in self._started:
            return self._started[attempt_id]
        others = (each for each in self._executors.values() if each is not self._default)
        return next((each for each in others if each.knows(attempt_id)), self._default)
