"""Deploy with scripts of the team, for targets that Headgate has no deployer for.

The scripts run on the controller's machine, at the released version's commit. They get what should
be, and are asked what is: the second counts. `docs/deployers.md` is their contract.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from deployers.command_place import COMMAND, CommandPlace
from deployers.confinement import Confinement
from deployers.counting.prometheus import NO_SERVERS, PrometheusServer
from deployers.counting.reader import CounterReader
from deployers.protocol import Deployed, Desired, Scripts, Server, Traffic
from deployers.script_runs import run_script
from specs.failures import Failure, NeedsHuman, TryAgain
from specs.figures import clip

M = TypeVar("M", bound=BaseModel)

_OF_CLUSTERS: Final = {"format", "shipment", "secrets", "resources", "profile", "replicas"}
"""What of a server scripts are not told."""
_MOST_PROBLEMS: Final = 5
_STEPS_TO_STOP: Final = 60
"""How often `stop` looks whether all has ended."""
_BETWEEN: Final = 0.5
"""Seconds between these looks."""


class CommandDeployer:
    """A `Deployer` whose target is known to scripts only."""

    def __init__(
        self,
        home: Path,
        *,
        redact: Callable[[str], str],
        reveal: Callable[[tuple[str, ...]], dict[str, str]],
        confinement: Confinement,
        prometheus: Mapping[str, PrometheusServer] = NO_SERVERS,
    ) -> None:
        self._counters = CounterReader(home, prometheus, reveal)
        self._home = home
        self._redact = redact
        self._reveal = reveal
        self._confinement = confinement
        self._locks: dict[str, asyncio.Lock] = {}

    async def apply(self, place: str, desired: Desired) -> None:
        """Run `apply`, then look whether a canary that should have no traffic still has some.

        Without scripts in `desired`, those that the place was deployed with are used.
        """
        async with self._locks.setdefault(place, asyncio.Lock()):
            saved = CommandPlace.load(self._home, place)
            scripts = desired.scripts or (saved.scripts if saved else None)
            if scripts is None:
                raise NeedsHuman(f"{place}: its spec names no scripts to deploy with")
            CommandPlace.remember(self._home, place, scripts)
            if scripts.counters is not None:
                stable, canary = desired.stable, desired.canary
                names = (stable.name if stable else None, canary.name if canary else None)
                self._counters.changing(place, (*names, desired.canary_weight))
            await self._run("apply", place, scripts, _given(place, desired))
            if not desired.canary_weight:
                await self._check_withheld(place, scripts)

    async def observe(self, place: str) -> Deployed:
        """What `observe` prints. Raises TryAgain whatever its failure: looking can be repeated."""
        saved = CommandPlace.load(self._home, place)
        if saved is None:
            return Deployed()
        seen = await self._look(place, saved.scripts)
        if saved.scripts.counters is not None:
            self._counters.seen(place, (seen.stable, seen.canary, seen.canary_weight))
        if seen.address != saved.address:
            saved = CommandPlace.load(self._home, place)
            if saved is not None:  # it may have been removed meanwhile
                saved.model_copy(update={"address": seen.address}).save(self._home, place)
        return seen

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """What `traffic` prints, or what the counters show, without what was read before. Raises
        TryAgain as `observe`."""
        saved = CommandPlace.load(self._home, place)
        if saved is None:
            raise TryAgain(f"{place}: nothing was deployed there")
        counters, scripts = saved.scripts.counters, saved.scripts
        if counters is not None:
            return await self._counters.traffic(
                place, epoch, after, names=counters, errors=scripts.errors, split=scripts.split
            )
        given = {"place": place, "epoch": epoch, "after": after, "errors": scripts.errors}
        printed = await self._ask("traffic", place, scripts, given)
        page = self._read("traffic", place, printed, Traffic)
        return _checked(place, page, epoch, after).model_copy(update={"split": scripts.split})

    async def stop(self, place: str) -> None:
        """Let `apply` end all servers and the address, and wait for that."""
        saved = CommandPlace.load(self._home, place)
        if saved is None:
            return
        for _ in range(_STEPS_TO_STOP):
            await self.apply(place, Desired(closed=True, target=COMMAND, scripts=saved.scripts))
            seen = await self.observe(place)
            if seen.address is None and not any(server.alive for server in seen.servers):
                return
            await asyncio.sleep(_BETWEEN)
        raise TryAgain(f"{place}: servers still run although `apply` was told to close the place")

    async def remove(self, place: str) -> None:
        """Run `remove`, and forget the place once it succeeded."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            saved = CommandPlace.load(self._home, place)
            if saved is not None:
                await self._run("remove", place, saved.scripts, {"place": place})
                CommandPlace.forget(self._home, place)
                self._counters.forget(place)

    async def reap(self) -> int:
        """Nothing: only the scripts know what is left at the target."""
        return 0

    async def forget_logs(self, _before: float) -> int:
        """Nothing: the target keeps the logs."""
        return 0

    async def close(self) -> None:
        """Nothing is held open."""

    async def _check_withheld(self, place: str, scripts: Scripts) -> None:
        seen = await self._look(place, scripts)
        if seen.canary_weight:
            raise TryAgain(
                f"{place}: the script `apply` succeeded, but `observe` says that the canary still "
                f"has {seen.canary_weight:.1%} of the traffic instead of none"
            )

    async def _look(self, place: str, scripts: Scripts) -> Deployed:
        printed = await self._ask("observe", place, scripts, {"place": place})
        return self._read("observe", place, printed, Deployed)

    async def _ask(self, name: str, place: str, scripts: Scripts, given: dict[str, Any]) -> bytes:
        try:
            return await self._run(name, place, scripts, given)
        except NeedsHuman as failure:
            raise TryAgain(str(failure), human=True) from failure

    async def _run(self, name: str, place: str, scripts: Scripts, given: dict[str, Any]) -> bytes:
        try:
            return await run_script(
                name,
                scripts,
                json.dumps(given).encode(),
                secrets=self._reveal(scripts.secrets),
                redact=self._redact,
                confinement=self._confinement,
                pipeline=place.partition("/")[0],
            )
        except Failure as failure:
            raise type(failure)(f"{place}: {failure}") from None

    def _read(self, name: str, place: str, printed: bytes, form: type[M]) -> M:
        """What a script printed, as a value. Raises TryAgain that names script and field."""
        try:
            return form.model_validate_json(printed)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            said = [_problem(one["loc"], one["msg"]) for one in found[:_MOST_PROBLEMS]]
            more = f" and {len(found) - _MOST_PROBLEMS} more" if len(found) > _MOST_PROBLEMS else ""
            text = self._redact("; ".join(said))
            raise TryAgain(
                f"{place}: what the script `{name}` printed is not as expected: {text}{more}",
                human=True,
            ) from None


def _problem(where: tuple[int | str, ...], message: str) -> str:
    field = ".".join(map(str, where))
    return f"{f'`{field}`: ' if field else ''}{clip(message, 300)}"


def _given(place: str, desired: Desired) -> dict[str, Any]:
    """What `apply` reads."""
    return {
        "place": place,
        "stable": _server(desired.stable),
        "canary": _server(desired.canary),
        "canary_weight": desired.canary_weight,
        "seed": desired.seed,
        "port": desired.port,
        "closed": desired.closed,
    }


def _server(server: Server | None) -> dict[str, Any] | None:
    return None if server is None else server.model_dump(mode="json", exclude=_OF_CLUSTERS)


def _checked(place: str, page: Traffic, epoch: str | None, after: int) -> Traffic:
    """The page without what was read before, so that a report that is given twice counts once.
    Raises TryAgain if its numbers contradict each other."""
    first = after if page.epoch == epoch else 0
    if page.exchanges and page.windows:
        problem = "it has both `exchanges` and `windows`; a target gives one of them"
    elif page.next < first:
        problem = f"`next` is {page.next}, before `after`, {first}, in the same `epoch`"
    elif page.more and page.next == first:
        problem = f"`more` is true, but `next` is still {first}: to read on would never end"
    else:
        problem = _disorder("exchanges", [one.seq for one in page.exchanges], page.next)
        problem = problem or _disorder("windows", [one.seq for one in page.windows], page.next)
    if problem:
        raise TryAgain(f"{place}: what the script `traffic` printed: {problem}", human=True)
    return page.model_copy(
        update={
            "exchanges": tuple(one for one in page.exchanges if one.seq >= first),
            "windows": tuple(one for one in page.windows if one.seq >= first),
            "counted": page.counted or bool(page.windows),
        }
    )


def _disorder(name: str, numbers: list[int], following: int) -> str:
    if any(before >= one for before, one in pairwise(numbers)):
        return f"the `seq` of `{name}` does not increase"
    if numbers and numbers[-1] >= following:
        return f"the last `seq` of `{name}`, {numbers[-1]}, is not below `next`, {following}"
    return ""
