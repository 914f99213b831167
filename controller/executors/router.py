"""Each attempt to the executor that it names, and afterwards to the one that has it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from controller.executors.docker import DockerExecutor
from controller.executors.local import LocalExecutor
from controller.machine.runs.attempt import Attempt, Status


class ExecutorRouter:
    """An `Executor` over processes and containers, which share their slots and their folders."""

    def __init__(self, local: LocalExecutor, docker: DockerExecutor) -> None:
        self._local = local
        self._docker = docker
        self._hearing: dict[LocalExecutor | DockerExecutor, asyncio.Task[str]] = {}

    async def start(self, attempt: Attempt) -> None:
        """See `Executor`."""
        # What runs already takes its slots before anything new does, wherever that runs.
        self._local.begin()
        self._docker.begin()
        if attempt.executor == "local":
            await self._local.start(attempt)
        elif not (await self._local.poll(attempt.id)).state.ended:  # cancelled, unheard of before
            await self._docker.start(attempt)

    async def poll(self, attempt_id: str) -> Status:
        """See `Executor`."""
        return await self._of(attempt_id).poll(attempt_id)

    async def cancel(self, attempt_id: str) -> None:
        """See `Executor`."""
        await self._of(attempt_id).cancel(attempt_id)

    async def logs(self, attempt_id: str) -> Path | None:
        """See `Executor`."""
        return await self._of(attempt_id).logs(attempt_id)

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        """See `Executor`."""
        return await self._of(attempt.id).collect(attempt)

    async def ended(self) -> str:
        """Wait for the end of an attempt; its id. A hint: `poll` tells what happened."""
        for each in (self._local, self._docker):
            if each not in self._hearing:
                self._hearing[each] = asyncio.create_task(each.ended())
        await asyncio.wait(self._hearing.values(), return_when=asyncio.FIRST_COMPLETED)
        heard = next(each for each, task in self._hearing.items() if task.done())
        return self._hearing.pop(heard).result()

    async def close(self) -> None:
        """Let go of what is being prepared; what runs goes on."""
        for task in self._hearing.values():
            task.cancel()
        await asyncio.gather(*self._hearing.values(), return_exceptions=True)
        await self._docker.close()
        await self._local.close()

    def _of(self, attempt_id: str) -> LocalExecutor | DockerExecutor:
        return self._docker if self._docker.knows(attempt_id) else self._local
