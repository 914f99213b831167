"""A cloud that only the team's scripts know: it keeps its state, and runs real processes.

It takes calls on a port. `SCRIPT` is what a team would commit: one program for all four commands,
which passes on what it reads and prints what the cloud answers.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from deployers.confinement import UNCONFINED, Confinement
from deployers.local import LocalDeployer
from deployers.protocol import Deployed, Desired
from specs.failures import NeedsHuman, TryAgain
from specs.traffic import NO_ANSWER, Arm, Exchange
from tests.servers.gateways import WHOLE, Envoy

SCRIPT = """
import json, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as cloud:
    call = {"call": sys.argv[2], "given": json.load(sys.stdin)}
    cloud.sendall(json.dumps(call).encode() + b"\\n")
    answer = json.loads(cloud.makefile().readline())
print(json.dumps(answer["says"]))
print(answer["problem"], file=sys.stderr)
sys.exit(answer["exit"])
"""


class Cloud:
    """See above. One that `counts` tells how many requests there were in each second, as gateways
    do, and not of single ones."""

    def __init__(
        self, folder: Path, confinement: Confinement = UNCONFINED, *, counts: bool = False
    ) -> None:
        self._runs = LocalDeployer(folder, redact=str, confinement=confinement)
        self._counts = counts
        self.calls: list[str] = []
        """What it was asked to do, in order."""

    @contextlib.asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        """Take calls."""
        server = await asyncio.start_server(self._take, "127.0.0.1", port, limit=1 << 20)
        try:
            yield
        finally:
            server.close()
            await self._runs.close()

    async def remove(self, place: str) -> None:
        """End what runs there, behind everybody's back."""
        await self._runs.remove(place)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = json.loads(await reader.readline())
        self.calls.append(asked["call"])
        answer: dict[str, Any] = {"exit": 0, "problem": "", "says": None}
        try:
            answer["says"] = await self._answer(asked["call"], asked["given"])
        except TryAgain as failure:
            answer |= {"exit": 75, "problem": str(failure)}
        except NeedsHuman as failure:
            answer |= {"exit": 1, "problem": str(failure)}
        writer.write(json.dumps(answer).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async def _answer(self, call: str, given: dict[str, Any]) -> Any:
        place = given.pop("place")
        match call:
            case "apply":
                return await self._runs.apply(place, Desired.model_validate(given))
            case "observe":
                return (await self._runs.observe(place)).model_dump(mode="json")
            case "traffic" if self._counts:
                return await self._counted(place, given["after"])
            case "traffic":
                page = await self._runs.traffic(place, given["epoch"], given["after"])
                return page.model_dump(mode="json")
        assert call == "remove", call
        return await self._runs.remove(place)

    async def _counted(self, place: str, after: int) -> dict[str, Any]:
        """The seconds that are over: those in which the weight was changed are left out."""
        page = await self._runs.traffic(place, None, 0)
        found = [*page.exchanges]
        while page.more:
            page = await self._runs.traffic(place, page.epoch, page.next)
            found += page.exchanges
        now = int(page.now or 0.0)
        seconds = {
            one: [each for each in found if int(each.at) == one] for one in range(after or now, now)
        }
        return {
            "epoch": "counters",
            "next": max(after, now),
            "counted": True,
            "windows": [
                {
                    "seq": second,
                    "start": second,
                    "end": second + 1,
                    "weight": seen[0].probability,
                    **{str(arm): _counts(one for one in seen if one.arm is arm) for arm in Arm},
                }
                for second, seen in seconds.items()
                if len({one.probability for one in seen}) == 1
            ],
        }


class FrontedCloud(Cloud):
    """A cloud whose traffic is split by Envoy: it knows of no request, only Envoy's counters do."""

    def __init__(self, folder: Path, envoy: Envoy) -> None:
        super().__init__(folder)
        self._envoy = envoy
        self._split: dict[Arm, str] = {}
        self._weight = 0.0

    async def _answer(self, call: str, given: dict[str, Any]) -> Any:
        if call == "traffic":
            raise NeedsHuman("nothing is known of requests")
        place = given["place"]
        answer = await super()._answer(call, given)
        seen = await self._runs.observe(place)
        if call == "apply":
            self._route(seen, Desired.model_validate(given))
        if call != "observe":
            return answer
        own = {
            "address": self._envoy.url if seen.address else None,
            "stable": self._split.get(Arm.STABLE),
            "canary": self._split.get(Arm.CANARY),
            "canary_weight": self._weight,
        }
        return seen.model_copy(update=own).model_dump(mode="json")

    def _route(self, seen: Deployed, desired: Desired) -> None:
        """Send the traffic to those of the servers that are ready."""
        wanted = {Arm.STABLE: desired.stable, Arm.CANARY: desired.canary}
        ready = {one.name: one.address for one in seen.servers if one.ready and one.address}
        split = {arm: one.name for arm, one in wanted.items() if one and one.name in ready}
        if Arm.STABLE not in split:
            return
        weight = desired.canary_weight if Arm.CANARY in split else 0.0
        canary = round(weight * WHOLE)
        weights = {Arm.STABLE: WHOLE - canary, Arm.CANARY: canary}
        self._envoy.route(
            {
                name: (int(ready[name].rpartition(":")[2]), weights[arm])
                for arm, name in split.items()
            }
        )
        self._split, self._weight = split, weight


def _counts(seen: Iterable[Exchange]) -> dict[str, int]:
    failed = [one.status >= 500 or one.status == NO_ANSWER for one in seen]
    return {"requests": len(failed), "errors": sum(failed)}
