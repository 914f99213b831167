"""Places whose attempts go through the router over every registered executor, as a controller's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controller.executors.registry import ExecutorSetup, make_executor
from controller.executors.router import ExecutorRouter
from deployers.confinement import UNCONFINED
from deployers.engine import Engine
from deployers.processes import Processes
from tests.controller.executors.docker_site import DockerSite, ToldEngine
from tests.controller.executors.site import LocalSite

NOWHERE = "unix:///nowhere.sock"


@asynccontextmanager
async def routed(site: LocalSite, engine: Engine, slots: int) -> AsyncIterator[ExecutorRouter]:
    """The executor of a controller at that place."""
    with Processes(site.workspace.home) as processes:
        semaphore = asyncio.Semaphore(slots)
        executor = make_executor(
            ExecutorSetup(site.workspace, semaphore, processes, UNCONFINED, engine)
        )
        try:
            yield executor
        finally:
            await executor.close()
            await engine.close()


class RoutedLocalSite(LocalSite):
    """Attempts are processes; no Docker Engine is reachable."""

    @asynccontextmanager
    async def open(self, slots: int = 4) -> AsyncIterator[ExecutorRouter]:  # type: ignore[override]  # another executor
        async with routed(self, Engine(NOWHERE, self.folder.parent), slots) as executor:
            yield executor


class RoutedDockerSite(DockerSite):
    """Attempts are containers."""

    @asynccontextmanager
    async def open(self, slots: int = 4) -> AsyncIterator[ExecutorRouter]:  # type: ignore[override]  # another executor
        engine = ToldEngine(self.host, self.folder.parent, self.folder)
        async with routed(self, engine, slots) as executor:
            yield executor
