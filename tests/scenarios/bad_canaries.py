"""Canaries of every kind that were tried, and what has to become of each; for the story that tells
it, and for the benchmark that says how long it takes."""

import asyncio
import itertools
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.messages import Abort
from tests.deployers.caller import Caller
from tests.scenarios.world import PIPELINE as ORDINARY
from tests.scenarios.world import World
from validators.canary.judgement import Judgement

PIPELINE = Path(__file__).parent / "canaries"
PRODUCTION = Key("environment", "mean/production")
CALLERS = 64
PAUSE = 0.15
"""Seconds between an answer and the caller's next request."""
TENANTS = 20

Decided = Literal["promoted", "rolled back", "held"]


class Case(NamedTuple):
    """A kind of canary, as `canaries/serve.py` has it."""

    kind: str
    decided: Decided
    signal: str = ""
    """The one that has to be named; empty where none is."""
    margin: str = "0.5%"
    """How many more of its requests may fail."""


FINE = Case("fine", "promoted")
CASES = (
    # Within a margin of half a point it might be promoted first.
    Case("errors 0.3 %", "rolled back", "errors", margin="0.1%"),
    Case("errors 1 %", "rolled back", "errors"),
    Case("errors 5 %", "rolled back", "errors"),
    Case("one tenant", "rolled back", "errors"),
    Case("late", "rolled back", "errors"),
    Case("slow", "rolled back", "latency_p90"),
    Case("leaking", "rolled back", "latency_p90"),
    Case("bimodal", "rolled back", "latency_p90"),
    Case("truncated", "rolled back", "errors"),
    Case("closing", "rolled back", "errors"),
    Case("hanging", "rolled back", "latency_p90"),
    Case("garbage", "rolled back", "errors"),
    Case("refusing", "rolled back", "refusals"),
    Case("page", "held", "content"),
    Case("empty", "held", "content"),
    # Its answers look like stable's: what they say, the judge does not read.
    Case("constant", "promoted"),
    FINE,
)


class Seen(NamedTuple):
    """How a canary went."""

    decided: Decided
    signals: tuple[str, ...]
    """What was named as worse or different; the first most of all."""
    seconds: float
    """From the canary's beginning to the decision."""
    requests: int
    """That it answered, or failed to."""
    hurt: int
    """Those among them that failed."""


class Trial:
    """A world whose production serves, under traffic, a server that is fine."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._serves = "fine"
        self._pushed = 0

    async def see(self, case: Case) -> Seen:
        """Send such a canary on its way beside a server that is fine; what becomes of it."""
        if self._serves != "fine":
            await self._canary(FINE)
        return await self._canary(case)

    async def _canary(self, case: Case) -> Seen:
        env = await self._at_rest()
        self._push(case)
        last: list[Judgement] = []
        seen = await self._world.until(lambda: self._look(env, last), f"an end of {case.kind!r}")
        if seen.decided == "promoted":
            self._serves = case.kind
        if seen.decided == "held":
            await self._world.say(PRODUCTION, Abort(by="ada"))
        return seen

    async def _look(self, before: EnvironmentState, last: list[Judgement]) -> Seen | None:
        """What has become of the canary after that environment, once that is known."""
        env = await self._world.environment("production")
        if env is None or env.rollouts == before.rollouts:
            return None
        now = env.rollout
        if now is not None and now.judgement is not None:
            last[:] = [now.judgement]
            return _seen("held", now.judgement) if now.held else None
        if now is not None or env.write is not None:
            return None
        if env.stable != before.stable:
            return _seen("promoted", last[0])
        assert env.stopped is not None
        assert env.stopped.judgement is not None, "it was never judged"
        return _seen("rolled back", env.stopped.judgement)

    async def _at_rest(self) -> EnvironmentState:
        async def look() -> EnvironmentState | None:
            env = await self._world.environment("production")
            return env if env and env.stable and not env.rollout and not env.write else None

        return await self._world.until(look, "production to be at rest")

    def _push(self, case: Case) -> None:
        """A server of that kind, which is another file each time."""
        self._pushed += 1
        server = (PIPELINE / "serve.py").read_text()
        server = server.replace(f'KIND = "{FINE.kind}"', f'KIND = "{case.kind}"')
        (self._world.work / "serve.py").write_text(f"{server}\n# {self._pushed}\n")
        spec = self._world.work / "ml-pipeline.yaml"
        margin = r"(?<=errors: {not_worse_by: )[^}]+"
        spec.write_text(re.sub(margin, case.margin, spec.read_text()))
        self._world.push(f"Serve {case.kind}")


def _seen(decided: Decided, judgement: Judgement) -> Seen:
    named = [each.signal for each in judgement.every if each.guilty]
    canary = judgement.canary
    return Seen(decided, tuple(named), judgement.window, canary.requests, canary.errors)


@asynccontextmanager
async def trial(root: Path) -> AsyncIterator[Trial]:
    """A controller, a first version in production, and about 400 requests a second."""
    world = await World.make(root, PIPELINE)
    try:
        shutil.copy(ORDINARY / "train.py", world.work)
        world.push("Add the pipeline")
        async with world.controller():
            await world.serves(1)
            address = await world.address()
            callers = [asyncio.create_task(_call(address, n)) for n in range(CALLERS)]
            try:
                yield Trial(world)
            finally:
                for caller in callers:
                    caller.cancel()
                await asyncio.gather(*callers, return_exceptions=True)
    finally:
        await world.tear_down()


async def _call(address: str, number: int) -> None:
    """A caller who goes on whatever becomes of a request."""
    for at in itertools.count(number):
        with suppress(OSError, EOFError):
            async with Caller(address) as caller:
                for tenant in itertools.count(at):
                    await asyncio.sleep(PAUSE)
                    await caller.ask(X_Tenant=f"tenant-{tenant % TENANTS}")
