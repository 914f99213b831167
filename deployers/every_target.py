"""One deployer for all targets: each place has its own, as its spec says."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from deployers.chosen_target import DEFAULT, choose, chosen, forget_choice
from deployers.command_place import CommandPlace
from deployers.protocol import Deployed, Deployer, Desired, Traffic
from specs.failures import NeedsHuman

Recall = Callable[[str, bool], Awaitable[Desired | None]]
"""Says whom a place is deployed by, without servers; None if that is as the home says. It is told
whether the home says anything."""


async def nothing_recalled(_place: str, _known: bool) -> None:
    """A `Recall` where the home says all there is to know."""


class EveryTarget:
    """A `Deployer` that passes each place on to the deployer that it was deployed with."""

    def __init__(
        self, home: Path, targets: Mapping[str, Deployer], recall: Recall = nothing_recalled
    ) -> None:
        """`recall` says whom a place is deployed by, where `home` may not know."""
        self._home = home
        self._targets = targets
        self._recall = recall

    async def apply(self, place: str, desired: Desired) -> None:
        """Apply with the deployer that the spec names.

        While servers of another one are alive a canary is refused, since no router could split the
        traffic between the two; and stable stays where it is, so that a rollback works.
        """
        wanted: str = desired.target
        now = await self._name(place)
        if desired.stable is None and desired.canary is None:
            wanted = now  # to end what is there
        if wanted != now:
            seen = await self._targets[now].observe(place)
            if any(server.alive for server in seen.servers):
                if desired.canary is not None:
                    raise NeedsHuman(_elsewhere(place, wanted, now))
                wanted = now
            else:
                await self._targets[now].remove(place)
        choose(self._home, place, wanted)
        await self._targets[wanted].apply(place, desired)

    async def observe(self, place: str) -> Deployed:
        """What runs, according to the place's deployer."""
        return await (await self._of(place)).observe(place)

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """What was answered, according to the place's deployer."""
        return await (await self._of(place)).traffic(place, epoch, after)

    async def stop(self, place: str) -> None:
        """Stop what runs at the place."""
        await (await self._of(place)).stop(place)

    async def remove(self, place: str) -> None:
        """Remove the place, and forget which deployer it had."""
        await (await self._of(place)).remove(place)
        forget_choice(self._home, place)

    async def reap(self) -> int:
        """Reap at every target; how many in all."""
        return sum([await target.reap() for target in self._targets.values()])

    async def forget_logs(self, before: float) -> int:
        """Forget at every target; how many in all."""
        return sum([await target.forget_logs(before) for target in self._targets.values()])

    async def close(self) -> None:
        """Close every deployer."""
        for target in self._targets.values():
            await target.close()

    async def _of(self, place: str) -> Deployer:
        return self._targets[await self._name(place)]

    async def _name(self, place: str) -> str:
        """The name of the place's target, after the home knows it again if it can."""
        known = chosen(self._home, place)
        recalled = await self._recall(place, known is not None)
        if recalled is None:
            return known or DEFAULT
        if recalled.scripts is not None:
            CommandPlace.remember(self._home, place, recalled.scripts)
        choose(self._home, place, recalled.target)
        return recalled.target


def _elsewhere(place: str, wanted: str, now: str) -> str:
    pipeline = place.partition("/")[0]
    return (
        f"{place}: the spec says `deployer: {wanted}`, but what serves there was deployed by "
        f"`{now}`, and no router splits the traffic between the two. To move it, with an "
        f"interruption: stop the controller, `headgate down {pipeline}`, `headgate up`"
    )
