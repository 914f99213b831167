"""Deploy onto this machine: model servers and a router as supervised processes.

A server with an image is a container, for which a process stands (`deployers.container`).

Below the home folder every place has one of its own, with the router's file and socket and a
file for each server; the processes of all places are in `processes/`. Whatever was started is
found again from there, by this controller or the next.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx

from deployers import control
from deployers.confinement import UNCONFINED, Confinement, View, interpreter
from deployers.container import GIVEN, Order
from deployers.control import Backend, RouterRefusedError, RouterStatus, Routing
from deployers.engine import Engine
from deployers.processes import Processes, ProcessSpec, ProcessStatus, Reason, State
from deployers.protocol import Desired, Observed, Server, ServerStatus, Traffic
from deployers.site import HOST, Placed, Site, free_port, is_free
from specs.failures import NeedsHuman, TryAgain
from specs.references import TemplateError, render
from specs.traffic import Arm, Exchange, Waiting

_GRACE = 10.0
"""Seconds that a server without traffic gets to end."""
_DRAIN = 5.0
"""Seconds that requests in flight are waited for when an answer would have had to begin."""
_ROUTER_GRACE = 35.0
"""Seconds that a router gets to end: as long as it goes on answering, and a little."""
_PROBE = 2.0
ANYWHERE = "0.0.0.0"  # noqa: S104 - inside a container, of which the port is published on HOST
_SCRATCH = "/tmp"  # noqa: S108 - a confined server's own, in memory
_ROOT = Path(__file__).parents[1]
_LAST = 2000
"""Characters of a log's end that explain an ending."""
_READ = 16 * _LAST
"""Bytes of it that are read, so that a secret is whole when it is looked for."""


class LocalDeployer:
    """The `Deployer` of one machine. One at a time may apply to a home folder.

    `redact` hides the secrets in a text; what a server wrote is told only through it. `silence` and
    `trusted` are for the routers, see `deployers.control.Routing`.
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
        self._confinement = confinement
        self._home = home.absolute()
        self._redact = redact
        self._told = {"silence": silence, "trusted": tuple(trusted)}
        """What every router is told."""
        self._engine = engine
        self._processes = Processes(self._home / "processes")
        self._client = httpx.AsyncClient(
            timeout=_PROBE,
            trust_env=False,
            # An open connection would keep a server from ending.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._locks: dict[str, asyncio.Lock] = {}
        self._retiring: dict[str, asyncio.Task[None]] = {}

    async def apply(self, place: str, desired: Desired) -> None:
        """Converge on `desired`; see `deployers.protocol.Deployer`.

        A server gets traffic once it is ready; until then the one before it keeps what it has.
        """
        site = self._site(place)
        wanted = {s.name: s for s in (desired.stable, desired.canary) if s is not None}
        async with self._locks.setdefault(place, asyncio.Lock()):
            try:
                self._start_router(site, desired.port)
                problem = self._start_all(site, wanted)
                await self._route(site, desired)
                self._dismiss(site, wanted)
                if not await self._retire(site):
                    self._retire_later(place)
                if problem is not None:
                    raise problem
            except OSError as error:
                raise TryAgain(f"{place}: {error.strerror or error or 'no answer'}") from error

    async def observe(self, place: str) -> Observed:
        """What runs at the place, asked of the processes, the servers and the router."""
        site = self._site(place)
        servers = await asyncio.gather(
            *(self._server_status(site, one) for one in site.placed().values())
        )
        placed = site.placed()
        if any(one.leaving is not None for one in placed.values()):
            self._retire_later(place)  # perhaps the controller that dismissed them was killed
        router = await self._router(site)
        if router is None:
            return Observed(servers=tuple(servers))
        routing = router.routing
        return Observed(
            servers=tuple(servers),
            address=f"http://{HOST}:{routing.port}",
            stable=_reached(routing.stable, placed),
            canary=_reached(routing.canary, placed),
            canary_weight=routing.weight,
            silence=router.silence,
            configured=routing == routing.model_copy(update=self._told),
        )

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """Records later than `after`, one page of them. Raises TryAgain without a router."""
        site = self._site(place)
        try:
            page = await control.ask(site.folder, "traffic", epoch=epoch, after=after)
        except OSError as error:
            raise TryAgain(f"the router of {place} does not answer", after=1.0) from error
        first = page["first"]
        exchanges = tuple(
            Exchange(number, at, Arm(arm), *rest)
            for number, (at, arm, *rest) in enumerate(page["records"], first)
        )
        return Traffic(
            epoch=page["epoch"],
            exchanges=exchanges,
            next=first + len(exchanges),
            dropped=first - page["start"],
            waiting=tuple(Waiting(Arm(arm), *rest) for arm, *rest in page.get("waiting", ())),
        )

    async def remove(self, place: str) -> None:
        """End the router, then the servers of the place, and forget it."""
        site = self._site(place)
        async with self._locks.setdefault(place, asyncio.Lock()):
            # The router first: it answers what is in flight, and for that it needs the servers.
            await self._end([site.router], _ROUTER_GRACE)
            await self._end([n for n in self._processes.names() if site.owns(n)], _GRACE)
            shutil.rmtree(site.folder, ignore_errors=True)

    async def reap(self) -> int:
        """Remove the containers of servers whose process is gone; how many. Raises `Failure` where
        the engine cannot be asked."""
        gone = 0
        for each in await self._engine.containers("server") if self._engine else ():
            if self._processes.status(each.name).state is not State.RUNNING:
                assert self._engine is not None
                await self._engine.remove(each.id)
                gone += 1
        return gone

    async def close(self) -> None:
        """Let go; servers and routers go on."""
        for task in self._retiring.values():
            task.cancel()
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)
        self._processes.close()
        await self._client.aclose()

    def _site(self, place: str) -> Site:
        return Site.of(self._home / "places", place)

    # Servers

    def _start_all(self, site: Site, servers: Mapping[str, Server]) -> NeedsHuman | None:
        """Start what can be; a canary that cannot must not keep stable from its traffic."""
        problem = None
        for server in servers.values():
            try:
                self._start(site, server)
            except NeedsHuman as error:
                problem = problem or error
        return problem

    def _start(self, site: Site, server: Server) -> None:
        """Start a server, or start it again if it ended and its pause is over."""
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
            )
        if status.exit is not None:
            placed = self._mourn(placed, status, process)
        if placed.leaving is not None:
            placed = placed.model_copy(update={"leaving": None})
        site.save(placed)
        if status.state is State.RUNNING or placed.not_before > time.time():
            return
        if status.state is State.NEW and not is_free(placed.port):
            placed = placed.model_copy(update={"port": free_port()})
            site.save(placed)
        self._processes.start(process, self._server_process(site, server, placed.port))

    def _server_process(self, site: Site, server: Server, port: int) -> ProcessSpec:
        """The process of a server. Raises NeedsHuman if it can't be one."""
        if not Path(server.model).exists():
            raise NeedsHuman(f"server {server.name}: there is no model file at {server.model}")
        if not Path(server.folder).is_dir():
            raise NeedsHuman(f"server {server.name}: there is no folder {server.folder}")
        if server.image is None:
            return self._own_process(site, server, port)
        locale = {"LC_ALL": "C.UTF-8"}
        if self._engine is None:
            raise NeedsHuman(
                f"server {server.name} has an image, and there is no Docker Engine: set "
                "`docker.host` in the settings"
            )
        process = site.server(server.name)
        order = Order(
            host=self._engine.address,
            name=self._engine.container(process),
            labels=self._engine.labels("server", process),
            image=server.image,
            argv=_argv(server, ANYWHERE, port),
            folder=server.folder,
            model=server.model,
            environment={**locale, **server.environment},
            port=port,
            network=f"headgate-{site.key}-{self._engine.home}",
            lock=str(site.folder / "network.lock"),
        )
        return ProcessSpec(
            argv=(sys.executable, "-m", "deployers.container"),
            cwd=str(_ROOT),
            environment={"PATH": os.defpath, **locale, GIVEN: order.model_dump_json()},
        )

    def _own_process(self, site: Site, server: Server, port: int) -> ProcessSpec:
        """Of a server without an image: what it reads it cannot write, as in a container."""
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **server.environment}
        within: tuple[str, ...] = ()
        if self._confinement.works:
            environment = {"HOME": _SCRATCH, "TMPDIR": _SCRATCH, **environment}
            virtualenv = server.environment.get("VIRTUAL_ENV")
            programs = interpreter(Path(virtualenv)) if virtualenv else ()
            view = View(Path(server.folder), (Path(server.folder), Path(server.model), *programs))
            user = self._confinement.user(site.pipeline, "served")
            within = self._confinement.within(view, user)
        return ProcessSpec(
            argv=_argv(server, HOST, port),
            cwd=server.folder,
            within=within,
            environment=environment,
        )

    def _mourn(self, placed: Placed, status: ProcessStatus, process: str) -> Placed:
        """Write down how a server ended, and make room for its next start."""
        assert status.exit is not None
        crashes = placed.crashes + (status.exit.reason is not Reason.CANCELLED)
        pause = min(0.5 * 2.0**crashes, 60.0) if crashes > placed.crashes else 0.0
        placed = placed.model_copy(
            update={
                "crashes": crashes,
                "not_before": status.exit.finished + pause,
                "last": self._last_words(status, process),
                "port": placed.port if is_free(placed.port) else free_port(),
            }
        )
        self._processes.remove(process)
        return placed

    def _last_words(self, status: ProcessStatus, process: str) -> str:
        assert status.exit is not None
        ended = status.exit
        how = f"exit code {ended.code}" if ended.reason == "exited" else ended.detail
        log = self._redact(self._processes.tail(process, _READ)).strip()[-_LAST:]
        return f"{how}; its log ends:\n{log}" if log else f"{how}; it wrote no log"

    async def _server_status(self, site: Site, placed: Placed) -> ServerStatus:
        process = site.server(placed.name)
        status = self._processes.status(process)
        alive = status.state is State.RUNNING
        trouble = ""
        if alive:
            trouble = await self._probe(placed)
        elif status.exit is not None:
            trouble = f"it ended: {self._last_words(status, process)}"
        elif placed.last:
            trouble = (
                f"it ended {_times(placed.crashes)} and is started again after a growing pause;"
                f" the last time: {placed.last}"
            )
        else:
            trouble = "it is about to start"
        return ServerStatus(
            name=placed.name,
            alive=alive,
            ready=alive and not trouble,
            address=f"http://{HOST}:{placed.port}" if alive else None,
            detail=trouble or (f"started again {_times(placed.crashes)}" if placed.crashes else ""),
        )

    async def _probe(self, placed: Placed) -> str:
        """Why a running server is not ready; empty if it is."""
        try:
            answer = await self._client.get(f"http://{HOST}:{placed.port}{placed.ready}")
        except httpx.TimeoutException:
            return f"{placed.ready} did not answer within {_PROBE:g} s"
        except httpx.HTTPError:
            return f"it does not answer on port {placed.port} yet"
        if answer.status_code == 200:
            return ""
        return f"{placed.ready} answered {answer.status_code}"

    # The router

    def _start_router(self, site: Site, port: int | None) -> None:
        process = site.router
        status = self._processes.status(process)
        if status.state is State.RUNNING:
            return
        if status.exit is not None:
            self._processes.remove(process)
        site.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = site.folder / control.STATE
        if not state.exists():
            state.write_text(Routing(port=port or 0).model_dump_json())
        argv = (sys.executable, "-m", "deployers.router", "--folder", str(site.folder))
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        self._processes.start(
            process, ProcessSpec(argv=argv, cwd=str(_ROOT), environment=environment)
        )

    async def _router(self, site: Site) -> RouterStatus | None:
        try:
            return RouterStatus.model_validate(await control.ask(site.folder, "status"))
        except OSError:
            return None

    async def _route(self, site: Site, desired: Desired) -> None:
        """Split the traffic between those that are wanted and ready."""
        router = await self._await_router(site)
        now = router.routing
        ready = await self._ready(site, desired, now)
        routing = Routing(
            stable=_next(desired.stable, now.stable, ready),
            canary=_next(desired.canary, None, ready),
            seed=desired.seed,
            port=desired.port or now.port,
        ).model_copy(update=self._told)
        if routing.canary is None and now.canary is not None and desired.canary is not None:
            routing = routing.model_copy(update={"canary": _kept(desired.canary, now.canary)})
        weight = desired.canary_weight if routing.canary is not None else 0.0
        routing = routing.model_copy(update={"weight": weight})
        if routing == now:
            return
        try:
            # A router of an older Headgate goes on; what it does not know is left out if it can be.
            order = routing.model_dump(exclude_defaults=True)
            await control.ask(site.folder, "route", routing=order)
        except RouterRefusedError as error:
            raise NeedsHuman(f"the router refused its routing: {error}") from error

    async def _await_router(self, site: Site) -> RouterStatus:
        """The router's word; a new one takes a fraction of a second to give it."""
        for _ in range(100):
            status = await self._router(site)
            if status is not None:
                return status
            known = self._processes.status(site.router)
            if known.exit is not None:
                detail = self._processes.tail(site.router, 500).strip()
                raise TryAgain(f"the router ended: {detail or known.exit.detail}", after=1.0)
            await asyncio.sleep(0.05)
        raise TryAgain("the router does not answer its control socket", after=1.0)

    async def _ready(self, site: Site, desired: Desired, now: Routing) -> dict[str, Backend]:
        """The wanted servers that can take requests; who has traffic already is not asked again.

        So going back to stable at once does not wait for a canary that hangs.
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
            if backend in routed or not await self._probe(placed):
                found[placed.name] = backend
        return found

    def _runs(self, site: Site, name: str) -> bool:
        return self._processes.status(site.server(name)).state is State.RUNNING

    # Leaving

    def _dismiss(self, site: Site, wanted: Mapping[str, Server]) -> None:
        """Write down which servers are not wanted any more."""
        for placed in site.placed().values():
            if placed.name not in wanted and placed.leaving is None:
                site.save(placed.model_copy(update={"leaving": time.time()}))

    async def _retire(self, site: Site) -> bool:
        """End the dismissed servers that have nothing in flight; are all of them gone?"""
        leaving = [placed for placed in site.placed().values() if placed.leaving is not None]
        if not leaving:
            return True
        router = await self._router(site)
        for placed in leaving:
            assert placed.leaving is not None
            # Without an answer from the router nobody knows what is in flight.
            used = router is None or placed.name in router.in_flight
            routed = router is not None and placed.name in _names(router.routing)
            patience = placed.bounds.answer_within + _DRAIN
            if routed or (used and time.time() < placed.leaving + patience):
                continue
            process = site.server(placed.name)
            self._processes.stop(process, _GRACE)
            if not self._runs(site, placed.name):
                self._processes.remove(process)
                site.forget(placed.name)
        return not any(placed.leaving is not None for placed in site.placed().values())

    def _retire_later(self, place: str) -> None:
        """See to the dismissed servers until they are gone."""
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

    async def _end(self, processes: list[str], grace: float) -> None:
        for process in processes:
            self._processes.stop(process, grace)
        for process in processes:
            while self._processes.status(process).state is State.RUNNING:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.01)
            self._processes.remove(process)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _reached(backend: Backend | None, placed: Mapping[str, Placed]) -> str | None:
    """The server that the router really sends to: one that moved to another port is not it."""
    there = placed.get(backend.name) if backend else None
    return there.name if there and backend and there.port == backend.port else None


def _names(routing: Routing) -> Iterator[str]:
    return (backend.name for backend in (routing.stable, routing.canary) if backend is not None)


def _next(
    server: Server | None, now: Backend | None, ready: Mapping[str, Backend]
) -> Backend | None:
    """Who gets an arm: the wanted server if it is ready, until then the one that has it."""
    return None if server is None else ready.get(server.name, now)


def _kept(server: Server, now: Backend) -> Backend | None:
    """A canary that has its arm keeps it although it is not ready: its failures are the signal."""
    return now if now.name == server.name else None


def _argv(server: Server, host: str, port: int) -> tuple[str, ...]:
    """The server's command. Raises NeedsHuman for a template that cannot be filled in."""
    params = {f"params.{name}": value for name, value in server.params.items()}
    given = {"model": server.model, "host": host, "port": str(port)}
    try:
        return tuple(render(server.run, {**params, **given}))
    except TemplateError as error:
        raise NeedsHuman(f"server {server.name}: {error}") from error
