"""The routers of this machine: each a supervised process, started, told and looked at."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from deployers import control
from deployers.arms import kept, successor
from deployers.control import Backend, RouterRefusedError, RouterStatus, Routing
from deployers.health import Health, Probe
from deployers.liveness import Patience
from deployers.processes import Processes, ProcessSpec, State
from deployers.protocol import Desired
from deployers.site import Site
from specs.failures import NeedsHuman, TryAgain

ROUTER_GRACE = 35.0
"""Seconds that a router gets to end: as long as it goes on answering, and a little."""
_HUNG = 1.0
"""Seconds that one which hangs gets to end: its callers wait."""
_ANSWERS = 5.0
"""Seconds for an answer of the control socket."""
_PATIENCE = Patience(15.0, 15.0)
"""How long a router may leave its control socket unanswered."""
_KILLED = 10.0
"""Seconds in which a process is gone once it was killed, unless the kernel itself holds it."""
_ROOT = Path(__file__).parents[1]

log = structlog.get_logger("headgate.deployer")


class Routers:
    """Of the places of one home. `told` is what every router is told, as `Routing` has it."""

    def __init__(self, processes: Processes, health: Health, told: Mapping[str, Any]) -> None:
        self._processes = processes
        self._health = health
        self._told = told
        self._hung: dict[str, str] = {}

    async def start(self, site: Site, port: int | None) -> None:
        """Start the router if it does not run, or a look found that it answers nobody. Raises
        OSError where its files cannot be written."""
        process = site.router
        if silent := self.hung(site):
            log.warning(
                "a router that hangs is ended, and started again", process=process, reason=silent
            )
            await kill(self._processes, process, _HUNG)
            self._health.forget(process)
            self._hung.pop(process, None)
        status = self._processes.status(process)
        if status.state is State.RUNNING:
            return
        if status.exit is not None:
            self._processes.remove(process)
        site.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = site.folder / control.STATE
        known = Routing.model_validate_json(state.read_bytes()) if state.exists() else None
        if known is None or port not in (None, known.port):  # where it was may be taken by now
            control.write(state, (known or Routing()).model_copy(update={"port": port or 0}))
        argv = (sys.executable, "-m", "deployers.router", "--folder", str(site.folder))
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        self._processes.start(
            process, ProcessSpec(argv=argv, cwd=str(_ROOT), environment=environment)
        )

    async def status(self, site: Site) -> RouterStatus | None:
        """The router's word; None without an answer."""
        try:
            found = await control.ask(site.folder, "status", seconds=_ANSWERS)
            return RouterStatus.model_validate(found)
        except OSError:
            return None

    async def look(self, site: Site) -> RouterStatus | None:
        """The same, to be remembered: a router that hangs answers no caller either."""
        status = await self.status(site)
        process = site.router
        self._hung.pop(process, None)
        if self._processes.status(process).state is State.RUNNING:
            self._health.look(process, Probe("", answered=status is not None), 0)
            if self._health.hangs(process, _PATIENCE):
                self._hung[process] = self._health.silence(process, _PATIENCE)
        return status

    def hung(self, site: Site) -> str:
        """How long it has answered nobody, if the last look found that it hangs; else empty. Only
        what was seen so is ended, so that whoever looks can tell of it."""
        return self._hung.get(site.router, "")

    async def awaited(self, site: Site) -> RouterStatus:
        """The same of one that was started: a new one takes a fraction of a second to answer.

        Raises TryAgain without an answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWERS):
                while (status := await self.status(site)) is None:
                    known = self._processes.status(site.router)
                    if known.exit is not None:
                        detail = self._processes.tail(site.router, 500).strip()
                        why = detail or known.exit.detail
                        taken = "cannot listen" in why  # which a person has to mend
                        raise TryAgain(f"the router ended: {why}", after=1.0, human=taken)
                    await asyncio.sleep(0.05)
                return status
        raise TryAgain("the router does not answer its control socket", after=1.0)

    async def route(
        self, site: Site, desired: Desired, now: Routing, ready: Mapping[str, Backend]
    ) -> None:
        """Split the traffic, which goes by `now`, between those that are wanted and ready.

        Raises NeedsHuman where the router refuses that."""
        routing = Routing(
            stable=successor(desired.stable, now.stable, ready),
            canary=successor(desired.canary, None, ready),
            seed=desired.seed,
            port=now.port,
        ).model_copy(update=self._told)
        if routing.canary is None and now.canary is not None and desired.canary is not None:
            routing = routing.model_copy(update={"canary": kept(desired.canary, now.canary)})
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

    async def move(self, site: Site, port: int | None) -> None:
        """Have the router listen at another port; last, so that one that is taken holds up nothing.

        Raises TryAgain where a person has to free it.
        """
        now = (await self.awaited(site)).routing
        if port in (None, now.port):
            return
        moved = now.model_copy(update={"port": port})
        try:
            await control.ask(site.folder, "route", routing=moved.model_dump())
        except RouterRefusedError as error:
            raise TryAgain(
                f"the port {port} cannot be had, so it goes on to answer at {now.port}: {error}. "
                "Free that port, or name another in `ports` of the settings",
                human=True,
            ) from error

    async def check_kept(self, site: Site) -> None:
        """Raise TryAgain where the routing holds and the router's file does not say so."""
        status = await self.status(site)
        if status is not None and status.unkept:
            raise TryAgain(
                "the router does as it was told, but cannot keep how it splits the traffic "
                f"({status.unkept}): started again it would go by an older order. Is the disk "
                "full? It writes it by itself once it can",
                human=True,
            )

    def is_told(self, routing: Routing) -> bool:
        """Whether a router goes by what all are told."""
        return routing == routing.model_copy(update=self._told)


async def kill(processes: Processes, process: str, grace: float) -> None:
    """End a process that hangs. Raises TryAgain where not even SIGKILL does."""
    processes.stop(process, grace)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace + _KILLED):
            while processes.status(process).state is State.RUNNING:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.02)
            return
    raise TryAgain(f"{process} hangs and is not ended by SIGKILL; what does the kernel log say?")
