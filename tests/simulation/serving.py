"""Servers and routers that go on without the controller, and callers with their luck."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from controller.machine.actions import Deploy, RunSmoke
from controller.machine.core import Envelope, Key
from controller.machine.environments.environment import server_name
from controller.machine.messages import SmokeDone
from controller.store.model_versions import Versions
from deployers.protocol import Deployed, Desired, Server, ServerStatus, Silence, Traffic
from specs.failures import NeedsHuman
from specs.traffic import Arm, Exchange
from tests.controller.machine.kit import report
from tests.simulation.chaos import History, Life
from tests.simulation.clock import now
from validators.verdict import Verdict

PER_SECOND = 1
SILENCE = 60.0
"""Seconds without word after which a router takes the traffic from a canary."""
KEPT = 2000
FAULTY = 0.2
"""The share of models that answer a third of their requests with an error."""


@dataclass
class Place:
    """An environment: what is to run, what runs, and the router's records."""

    wanted: Desired = field(default_factory=Desired)
    started: dict[str, float] = field(default_factory=dict)
    """When each server is ready."""
    records: list[Exchange] = field(default_factory=list)
    numbered: int = 0
    until: float = 0.0
    """Up to when callers were answered."""
    heard: float = 0.0
    after: int = -1
    silence: Silence | None = None


@dataclass
class Servers:
    """All places. `serves` is told whenever callers are answered by a server."""

    rng: random.Random
    history: History
    serves: Callable[[str, str], None]
    places: dict[str, Place] = field(default_factory=dict)
    faulty: dict[str, bool] = field(default_factory=dict)

    def place(self, name: str) -> Place:
        """It, with everything that happened there by now."""
        place = self.places.setdefault(name, Place(until=now(), heard=now()))
        self._answer(name, place)
        return place

    def apply(self, name: str, wanted: Desired) -> None:
        place = self.place(name)
        wish = [each.name for each in (wanted.stable, wanted.canary) if each is not None]
        if (wanted.stable, wanted.canary, wanted.canary_weight) != (
            place.wanted.stable,
            place.wanted.canary,
            place.wanted.canary_weight,
        ):
            self.history.say("serves", name, *wish, wanted.canary_weight)
        ready = {each: now() + self.rng.expovariate(1 / 3) for each in wish}
        place.started = {each: place.started.get(each, ready[each]) for each in wish}
        place.wanted, place.silence = wanted, None
        place.heard = now()

    def die(self) -> None:
        """A server ends by itself."""
        alive = [(place, each) for place in self.places.values() for each in place.started]
        if alive:
            place, server = self.rng.choice(alive)
            self.history.say("server died", server)
            del place.started[server]

    def _answer(self, name: str, place: Place) -> None:
        wanted = place.wanted
        weight = wanted.canary_weight if wanted.canary is not None else 0.0
        if weight and place.silence is None and now() - place.heard > SILENCE:
            place.silence = Silence(since=place.heard + SILENCE, limit=SILENCE)
            self.history.say("silence", name)
        for server in (wanted.stable, wanted.canary if weight else None):
            if server is not None and server.name in place.started:
                self.serves(name, server.name)
        count = min(int((now() - place.until) * PER_SECOND), KEPT)
        begin, place.until = place.until, place.until + count / PER_SECOND
        if count == KEPT:
            place.until = now()
        if wanted.stable is None:
            return
        for each in range(count):
            at = begin + each / PER_SECOND
            share = 0.0 if place.silence and at > place.silence.since else weight
            arm = Arm.CANARY if self.rng.random() < share else Arm.STABLE
            server = wanted.canary if arm is Arm.CANARY else wanted.stable
            assert server is not None
            place.records.append(
                Exchange(place.numbered, at, arm, share, self._status(place, server, at), 0.01)
            )
            place.numbered += 1
        del place.records[:-KEPT]

    def _status(self, place: Place, server: Server, at: float) -> int:
        if place.started.get(server.name, at + 1) > at:
            return 503
        if server.model not in self.faulty:
            self.faulty[server.model] = self.rng.random() < FAULTY
        return 500 if self.faulty[server.model] and self.rng.random() < 0.3 else 200


class SimulatedDeployer:
    """A `Deployer` of one life of a controller."""

    def __init__(self, servers: Servers, life: Life) -> None:
        self._servers = servers
        self._life = life

    async def apply(self, place: str, desired: Desired) -> None:
        await self._life.enter("serving")
        self._servers.apply(place, desired)
        await self._life.leave("serving")

    async def observe(self, place: str) -> Deployed:
        await self._life.enter("serving")
        there = self._servers.place(place)
        wanted, names = there.wanted, there.started
        servers = tuple(
            ServerStatus(name=one, alive=True, ready=now() >= at, address=f"http://{one}")
            for one, at in names.items()
        )
        return Deployed(
            servers=servers,
            address="http://router" if wanted.stable else None,
            stable=wanted.stable.name if wanted.stable else None,
            canary=wanted.canary.name if wanted.canary else None,
            canary_weight=0.0 if there.silence else wanted.canary_weight,
            silence=there.silence,
        )

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        await self._life.enter("serving")
        there = self._servers.place(place)
        if after > there.after:
            there.after, there.heard = after, now()
        first = there.records[0].seq if there.records else there.numbered
        known = epoch == "one"
        begin = max(after, first) if known else first
        return Traffic(
            epoch="one",
            exchanges=tuple(there.records[begin - first :]),
            next=there.numbered,
            dropped=max(0, first - after) if known else 0,
            now=now(),
        )

    async def stop(self, place: str) -> None:
        raise NotImplementedError

    async def remove(self, place: str) -> None:
        raise NotImplementedError

    async def reap(self) -> int:
        return 0

    async def forget_logs(self, before: float) -> int:
        return 0

    async def close(self) -> None:
        return None


class SimulatedServing:
    """Applies `Deploy` and `RunSmoke` without a model's files and without HTTP."""

    def __init__(self, servers: Servers, versions: Versions, life: Life) -> None:
        self._servers = servers
        self._deployer = SimulatedDeployer(servers, life)
        self._versions = versions
        self._life = life

    async def deploy(self, _owner: Key, action: Deploy) -> Sequence[Envelope]:
        wanted = Desired(
            stable=await self._server(action, action.stable),
            canary=await self._server(action, action.canary),
            canary_weight=action.canary_weight,
            closed=action.closed,
        )
        await self._deployer.apply(f"{action.pipeline}/{action.environment}", wanted)
        return ()

    async def smoke(self, owner: Key, action: RunSmoke) -> Sequence[Envelope]:
        await self._life.enter("serving")
        version = await self._versions.get(action.pipeline, action.version)
        assert version is not None
        bad = self._servers.faulty.setdefault(version.model, self._servers.rng.random() < FAULTY)
        fails = bad and self._servers.rng.random() < 0.3
        verdict = Verdict.FAIL if fails else Verdict.PASS
        self._servers.history.say("smoke", action.rollout, verdict)
        done = SmokeDone(rollout=action.rollout, report=report(verdict, "smoke"))
        return (Envelope(to=owner, id=f"smoke/{action.rollout}", message=done),)

    async def _server(self, action: Deploy, number: int | None) -> Server | None:
        if number is None:
            return None
        version = await self._versions.get(action.pipeline, number)
        if version is None:
            raise NeedsHuman(f"v{number} is not in the store")
        name = server_name(f"{action.pipeline}/{action.environment}", version.ref)
        return Server(
            name=name, run="serve", model=version.model, folder="", ready="/", predict="/"
        )
