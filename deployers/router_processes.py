"""Starts, configures and monitors the routers of this machine, each a supervised process."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from deployers import control
from deployers.control import Backend, RouterRefusedError, RouterStatus, Routing
from deployers.health import Health, Probe
from deployers.liveness import Patience
from deployers.place_folder import Site
from deployers.processes import Processes, ProcessSpec, ProcessState
from deployers.protocol import Desired
from deployers.traffic_arms import next_routing
from specs.failures import NeedsHuman, TryAgain

ROUTER_GRACE = 35.0
"""Seconds between SIGTERM and SIGKILL: a little more than it gives its requests in flight."""
_HUNG = 1.0
"""The grace of a router that hangs: short, as its callers are waiting."""
_ANSWERS = 5.0
"""Seconds that the control socket may take to answer."""
_PATIENCE = Patience(15.0, 15.0)
"""How long the control socket may not answer before the router counts as hung."""
_KILLED = 10.0
"""Seconds in which a killed process disappears, unless it is stuck in the kernel."""
_ROOT = Path(__file__).parents[1]

log = structlog.get_logger("headgate.deployer")


class Routers:
    """The routers of one home. `common` are the fields of `Routing` that are the same for all."""

    def __init__(self, processes: Processes, health: Health, common: Mapping[str, Any]) -> None:
        self._processes = processes
        self._health = health
        self._common = common
        self._hung: dict[str, str] = {}

    async def start(self, site: Site, port: int | None) -> None:
        """Start the router if it does not run; restart it if `look` found that it hangs. Raises
        OSError if its files cannot be written."""
        process = site.router
        if silent := self.hung(site):
            log.warning("a router hangs and is restarted", process=process, reason=silent)
            await kill(self._processes, process, _HUNG)
            self._health.forget(process)
            self._hung.pop(process, None)
        status = self._processes.status(process)
        if status.state is ProcessState.RUNNING:
            return
        if status.exit is not None:
            self._processes.remove(process)
        site.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = site.folder / control.STATE
        known = Routing.model_validate_json(state.read_bytes()) if state.exists() else None
        if known is None or port not in (None, known.port):  # the old port may be taken by now
            control.write(state, (known or Routing()).model_copy(update={"port": port or 0}))
        argv = (sys.executable, "-m", "deployers.router", "--folder", str(site.folder))
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        self._processes.start(
            process, ProcessSpec(argv=argv, cwd=str(_ROOT), environment=environment)
        )

    async def status(self, site: Site) -> RouterStatus | None:
        """The router's status; None if it does not answer."""
        try:
            found = await control.ask(site.folder, "status", seconds=_ANSWERS)
            return RouterStatus.model_validate(found)
        except OSError:
            return None

    async def look(self, site: Site) -> RouterStatus | None:
        """The same, and records whether the router answered, to detect that it hangs."""
        status = await self.status(site)
        process = site.router
        self._hung.pop(process, None)
        if self._processes.status(process).state is ProcessState.RUNNING:
            self._health.look(process, Probe("", answered=status is not None), 0)
            if self._health.hangs(process, _PATIENCE):
                self._hung[process] = self._health.silence(process, _PATIENCE)
        return status

    def hung(self, site: Site) -> str:
        """How long it has not answered, if the last `look` found that it hangs; else empty. Only
        a hang that was observed is ended, so that it is also reported."""
        return self._hung.get(site.router, "")

    async def awaited(self, site: Site) -> RouterStatus:
        """The status of a router that was just started, which takes a fraction of a second.

        Raises TryAgain if it does not answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWERS):
                while (status := await self.status(site)) is None:
                    known = self._processes.status(site.router)
                    if known.exit is not None:
                        detail = self._processes.tail(site.router, 500).strip()
                        why = detail or known.exit.detail
                        taken = "cannot listen" in why  # somebody has to free the port
                        raise TryAgain(f"the router ended: {why}", after=1.0, human=taken)
                    await asyncio.sleep(0.05)
                return status
        raise TryAgain("the router does not answer its control socket", after=1.0)

    async def route(
        self, site: Site, desired: Desired, now: Routing, ready: Mapping[str, Backend]
    ) -> None:
        """Change the routing from `now` to the desired servers, as far as they are ready.

        Raises NeedsHuman if the router refuses it."""
        routing = next_routing(desired, now, ready, self._common)
        if routing == now:
            return
        try:
            # Defaults are left out, so that a running router of an older Headgate accepts it.
            order = routing.model_dump(exclude_defaults=True)
            await control.ask(site.folder, "route", routing=order)
        except RouterRefusedError as error:
            raise NeedsHuman(f"the router refused its routing: {error}") from error

    async def move(self, site: Site, port: int | None) -> None:
        """Make the router listen on another port. Called last, so that a taken port delays nothing.

        Raises TryAgain if somebody has to free the port.
        """
        now = (await self.awaited(site)).routing
        if port in (None, now.port):
            return
        moved = now.model_copy(update={"port": port})
        try:
            await control.ask(site.folder, "route", routing=moved.model_dump())
        except RouterRefusedError as error:
            raise TryAgain(
                f"port {port} is not available, so the router stays on port {now.port}: {error}. "
                "Free the port, or set another one in `ports` of the settings",
                human=True,
            ) from error

    async def check_kept(self, site: Site) -> None:
        """Raise TryAgain if the routing is in effect but could not be saved to its file."""
        status = await self.status(site)
        if status is not None and status.unkept:
            raise TryAgain(
                "the traffic split is in effect, but the router cannot save it "
                f"({status.unkept}): after a restart it would use an older one. Is the disk full? "
                "Once there is space, the router saves it by itself",
                human=True,
            )

    def is_configured(self, routing: Routing) -> bool:
        """Whether a router has the settings that are the same for all."""
        return routing == routing.model_copy(update=self._common)


async def kill(processes: Processes, process: str, grace: float) -> None:
    """End a process that hangs. Raises TryAgain if not even SIGKILL ends it."""
    processes.stop(process, grace)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace + _KILLED):
            while processes.status(process).state is ProcessState.RUNNING:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.02)
            return
    raise TryAgain(f"{process} hangs, and SIGKILL does not end it: look at the kernel log (dmesg)")
