"""Deploy onto this machine: model servers and a router as supervised processes.

A server with an image is a container, represented by a process (`deployers.container`).

Below the home folder every place has a folder with the router's file and socket and a file for
each server; the processes of all places are in `processes/`. From there this controller, or the
next one, finds everything that was started. A server's log is kept in `ended/` after its end.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from deployers import control
from deployers.clock import Steady
from deployers.confinement import UNCONFINED, Confinement
from deployers.control import Backend, RouterStatus, Routing
from deployers.ended_logs import EndedLogs
from deployers.engine import Engine
from deployers.health import Health, answered, arm_of, patience_of
from deployers.place_folder import ENDED, HOST, PLACES, PROCESSES, Placed, Site, free_port, is_free
from deployers.processes import Processes, ProcessState, ProcessStatus, Reason
from deployers.protocol import Deployed, Desired, Server, ServerStatus, Traffic
from deployers.record_reader import page
from deployers.router_processes import ROUTER_GRACE, Routers, kill
from deployers.server_command import ServerCommands
from deployers.traffic_arms import named, reached
from specs.failures import Failure, TryAgain
from specs.figures import duration
from specs.traffic import Arm

_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL for a server without traffic."""
_DRAIN = 5.0
"""Seconds, beyond `answer_within`, to wait for the requests in flight of a server that leaves."""
_HUNG = 1.0
"""The grace of a server that hangs: short, as its callers are waiting. A server in a container gets
`_GRACE`, since its keeper has to remove the container."""
_LONGEST_PAUSE = 60.0
"""Seconds before a restart at most; a longer pause comes from a clock that was set."""
_LAST = 2000
"""Characters from the end of a log that a message quotes."""
_READ = 16 * _LAST
"""Bytes that are read for this: enough not to cut a secret before it is redacted."""

log = structlog.get_logger("headgate.deployer")


class LocalDeployer:
    """The `Deployer` of one machine. Only one at a time may apply to a home folder.

    `redact` hides the secrets in a text; server logs are quoted only through it. `silence` and
    `trusted` are settings of the routers, see `deployers.control.Routing`.
    """

    def __init__(
        self,
        home: Path,
        *,
        redact: Callable[[str], str],
        engine: Engine | None = None,
        confinement: Confinement = UNCONFINED,
        silence: float = control.SILENCE,
        trusted: Sequence[str] = control.LOOPBACK,
    ) -> None:
        self._home = home.absolute()
        self._redact = redact
        self._engine = engine
        self._commands = ServerCommands(engine, confinement)
        self._processes = Processes(self._home / PROCESSES)
        self._ended = EndedLogs(self._home / ENDED)
        self._health = Health()
        common = {"silence": silence, "trusted": tuple(trusted)}
        self._routers = Routers(self._processes, self._health, common)
        self._clock = Steady()
        self._locks: dict[str, asyncio.Lock] = {}
        self._retiring: dict[str, asyncio.Task[None]] = {}

    async def apply(self, place: str, desired: Desired) -> None:
        """Converge on `desired`; see `deployers.protocol.Deployer`.

        A server gets traffic once it is ready; until then its predecessor keeps it.
        """
        site = self._site(place)
        async with self._locks.setdefault(place, asyncio.Lock()):
            try:
                if desired.closed:
                    await self._close(place, site, desired)
                    return
                await self._routers.start(site, desired.port)
                problem = await self._start_all(site, desired)
                now = (await self._routers.awaited(site)).routing
                await self._routers.route(site, desired, now, await self._ready(site, desired, now))
                self._dismiss(site, _wanted(desired))
                if not await self._retire(site):
                    self._retire_later(place)
                await self._routers.move(site, desired.port)
                if problem is not None:
                    raise problem
                await self._routers.check_kept(site)
            except OSError as error:
                raise TryAgain(f"{place}: {error.strerror or error or 'no answer'}") from error

    async def observe(self, place: str) -> Deployed:
        """What runs at the place, according to the processes, the servers and the router."""
        site = self._site(place)
        router = await self._routers.look(site)
        hung = self._routers.hung(site)
        servers = await asyncio.gather(
            *(self._server_status(site, one, router) for one in site.placed().values())
        )
        placed = site.placed()
        if any(one.leaving is not None for one in placed.values()):
            self._retire_later(place)  # the controller that dismissed them may have been killed
        if router is None:
            return Deployed(servers=tuple(servers), hung_router=hung)
        routing = router.routing
        return Deployed(
            servers=tuple(servers),
            address=f"http://{HOST}:{routing.port}",
            stable=reached(routing.stable, placed),
            canary=reached(routing.canary, placed),
            canary_weight=routing.weight,
            silence=router.silence,
            configured=self._routers.is_configured(routing),
        )

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """One page of the records after number `after`. Raises TryAgain without a router."""
        return await page(self._site(place), place, epoch, after)

    async def stop(self, place: str) -> None:
        """End the router, then the servers of the place; the next `apply` starts them again."""
        site = self._site(place)
        async with self._locks.setdefault(place, asyncio.Lock()):
            await self._end_all(site)
            (site.folder / control.SOCKET).unlink(missing_ok=True)

    async def remove(self, place: str) -> None:
        """End the router, then the servers of the place, and forget it."""
        site = self._site(place)
        async with self._locks.setdefault(place, asyncio.Lock()):
            await self._end_all(site)
            self._ended.forget_site(site)
            shutil.rmtree(site.folder, ignore_errors=True)

    async def reap(self) -> int:
        """Remove the containers of servers whose process is gone; how many. Raises `Failure` if
        the engine cannot be asked."""
        gone = 0
        for each in await self._engine.containers("server") if self._engine else ():
            if self._processes.status(each.name).state is not ProcessState.RUNNING:
                assert self._engine is not None
                await self._engine.remove(each.id)
                gone += 1
        return gone

    async def forget_logs(self, before: float) -> int:
        """Delete the logs of servers that ended before then; how many."""
        return await asyncio.to_thread(self._ended.forget, before)

    async def close(self) -> None:
        """Release this object's resources; servers and routers keep running."""
        for task in self._retiring.values():
            task.cancel()
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)
        self._processes.close()
        await self._health.close()

    def _site(self, place: str) -> Site:
        return Site.of(self._home / PLACES, place)

    # Servers

    async def _start_all(self, site: Site, desired: Desired) -> Failure | None:
        """Start the servers, and restart a stable one that hangs. Returns the first failure, which
        must not hold up the others: a return to stable does not wait for a canary, or for a disk.
        """
        problem: Failure | None = None
        for server in _wanted(desired).values():
            try:
                if server is desired.stable:
                    await self._end_hung(site, server)
                self._start(site, server)
            except Failure as failure:
                problem = problem or failure
            except OSError as error:
                why = f"{server.name} cannot be started: {error.strerror or error}"
                problem = problem or TryAgain(why)
        return problem

    def _start(self, site: Site, server: Server) -> None:
        """Start a server, or restart it if it ended and its pause is over."""
        process = site.server(server.name)
        status = self._processes.status(process)
        placed = site.placed().get(server.name)
        if placed is None:
            placed = Placed(
                name=server.name,
                port=free_port(),
                ready=server.ready,
                predict=server.predict,
                bounds=server.bounds,
                hung_after=server.hung_after,
                startup=server.startup,
            )
        if status.exit is not None:
            placed = self._record_end(site, placed, status, process)
        if placed.leaving is not None:
            placed = placed.model_copy(update={"leaving": None})
        site.save(placed)
        if (
            status.state is ProcessState.RUNNING
            or 0 < placed.not_before - self._clock() <= _LONGEST_PAUSE
        ):
            return
        if status.state is ProcessState.NEW and not is_free(placed.port):
            placed = placed.model_copy(update={"port": free_port()})
            site.save(placed)
        self._processes.start(process, self._commands.of(site, server, placed.port))

    def _record_end(
        self, site: Site, placed: Placed, status: ProcessStatus, process: str
    ) -> Placed:
        """Record how a server ended, and clear the way for its next start."""
        assert status.exit is not None
        crashes = placed.crashes + (status.exit.reason is not Reason.CANCELLED or placed.hung != "")
        pause = min(0.5 * 2.0**crashes, _LONGEST_PAUSE) if crashes > placed.crashes else 0.0
        placed = placed.model_copy(
            update={
                "crashes": crashes,
                "not_before": min(status.exit.finished, self._clock()) + pause,
                "last": self._last_words(status, process, placed.hung),
                "hung": "",
                "port": placed.port if is_free(placed.port) else free_port(),
            }
        )
        self._health.forget(process)
        self._ended.put_away(self._processes, site, process)
        return placed

    async def _end_hung(self, site: Site, server: Server) -> None:
        """End a server that hangs, so that it is restarted."""
        placed, process = site.placed().get(server.name), site.server(server.name)
        if placed is None or not self._health.hangs(process, patience_of(placed)):
            return
        if not placed.hung:
            silent = duration(placed.hung_after)
            why = f"it hung: it did not answer for {silent} or longer, and was ended"
            site.save(placed.model_copy(update={"hung": why}))
            log.warning("a server hangs and is restarted", server=server.name)
        await kill(self._processes, process, _HUNG if server.image is None else _GRACE)
        self._health.forget(process)

    def _last_words(self, status: ProcessStatus, process: str, hung: str = "") -> str:
        assert status.exit is not None
        ended = status.exit
        how = f"exit code {ended.code}" if ended.reason == "exited" else ended.detail
        how = hung or how
        log = self._redact(self._processes.tail(process, _READ)).strip()[-_LAST:]
        return f"{how}; its log ends:\n{log}" if log else f"{how}; it wrote no log"

    async def _server_status(
        self, site: Site, placed: Placed, router: RouterStatus | None
    ) -> ServerStatus:
        process = site.server(placed.name)
        status = self._processes.status(process)
        alive, hung = status.state is ProcessState.RUNNING, False
        problem = ""
        if alive:
            problem, hung = await self._look(site, placed, router)
        elif status.exit is not None:
            problem = f"it ended: {self._last_words(status, process)}"
        elif placed.last:
            problem = (
                f"it ended {_times(placed.crashes)} and is restarted after a growing pause;"
                f" the last time: {placed.last}"
            )
        else:
            problem = "it is about to start"
        return ServerStatus(
            name=placed.name,
            alive=alive,
            ready=alive and not problem,
            address=f"http://{HOST}:{placed.port}" if alive else None,
            detail=problem or (f"restarted {_times(placed.crashes)}" if placed.crashes else ""),
            hung=hung,
        )

    async def _look(
        self, site: Site, placed: Placed, router: RouterStatus | None
    ) -> tuple[str, bool]:
        """Why a running server is not ready, and whether it hangs as the stable one."""
        process = site.server(placed.name)
        probe = await self._health.probe(placed)
        serves = arm_of(placed.name, router) is Arm.STABLE
        self._health.look(process, probe, answered(placed.name, router) if serves else 0)
        if not serves or not probe.problem:
            return probe.problem, False
        if probe.answered:
            return f"{probe.problem}; it is alive, so it is not restarted", False
        patience = patience_of(placed)
        said = self._health.silence(process, patience)
        said = said or "it has answered callers meanwhile, so it is not restarted"
        return f"{probe.problem}; {said}", self._health.hangs(process, patience)

    # Traffic

    async def _ready(self, site: Site, desired: Desired, now: Routing) -> dict[str, Backend]:
        """The desired servers that can take requests. Those that have traffic are not probed again,
        so that a return to stable does not wait for a canary that hangs.
        """
        routed, found = {now.stable, now.canary}, {}
        for server in (desired.stable, desired.canary):
            placed = site.placed().get(server.name) if server is not None else None
            if placed is None or not self._runs(site, placed.name):
                continue
            backend = Backend(
                name=placed.name,
                host=HOST,
                port=placed.port,
                predict=placed.predict,
                bounds=placed.bounds,
            )
            if backend in routed or not (await self._health.probe(placed)).problem:
                found[placed.name] = backend
        return found

    def _runs(self, site: Site, name: str) -> bool:
        return self._processes.status(site.server(name)).state is ProcessState.RUNNING

    # Leaving

    async def _close(self, place: str, site: Site, desired: Desired) -> None:
        """End each server once its requests in flight are answered, then the router; call it again
        until the place is empty."""
        router = await self._routers.status(site)
        if router is not None:
            await self._routers.route(site, desired, router.routing, {})
        self._dismiss(site, {})
        if not await self._retire(site):
            self._retire_later(place)
            return
        await self._end([site.router], ROUTER_GRACE)
        (site.folder / control.SOCKET).unlink(missing_ok=True)

    def _dismiss(self, site: Site, wanted: Mapping[str, Server]) -> None:
        """Record which servers are no longer desired."""
        for placed in site.placed().values():
            if placed.name not in wanted and placed.leaving is None:
                site.save(placed.model_copy(update={"leaving": self._clock()}))

    async def _retire(self, site: Site) -> bool:
        """End the dismissed servers that have nothing in flight; whether all of them are gone."""
        leaving = [placed for placed in site.placed().values() if placed.leaving is not None]
        if not leaving:
            return True
        router = await self._routers.status(site)
        for placed in leaving:
            assert placed.leaving is not None
            # If the router does not answer, requests may be in flight.
            used = router is None or placed.name in router.in_flight
            routed = router is not None and placed.name in named(router.routing)
            patience = placed.bounds.answer_within + _DRAIN
            if routed or (used and 0 <= self._clock() - placed.leaving < patience):
                continue
            process = site.server(placed.name)
            self._processes.stop(process, _GRACE)
            if not self._runs(site, placed.name):
                self._ended.put_away(self._processes, site, process)
                site.forget(placed.name)
        return not any(placed.leaving is not None for placed in site.placed().values())

    def _retire_later(self, place: str) -> None:
        """End the dismissed servers in the background."""
        if place not in self._retiring:
            task = asyncio.create_task(self._retire_all(place))
            self._retiring[place] = task
            task.add_done_callback(lambda _: self._retiring.pop(place, None))

    async def _retire_all(self, place: str) -> None:
        gone = False
        while not gone:
            await asyncio.sleep(0.05)
            async with self._locks.setdefault(place, asyncio.Lock()):
                with contextlib.suppress(OSError):
                    gone = await self._retire(self._site(place))

    async def _end_all(self, site: Site) -> None:
        # The router first: it answers what is in flight, and for that it needs the servers.
        await self._end([site.router], ROUTER_GRACE)
        await self._end([n for n in self._processes.names() if site.owns(n)], _GRACE)

    async def _end(self, processes: list[str], grace: float) -> None:
        for process in processes:
            self._processes.stop(process, grace)
        for process in processes:
            while self._processes.status(process).state is ProcessState.RUNNING:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.01)
            self._processes.remove(process)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _wanted(desired: Desired) -> Mapping[str, Server]:
    return {one.name: one for one in (desired.stable, desired.canary) if one is not None}
