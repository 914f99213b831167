"""A cloud that only the team's scripts know: it keeps its state, and runs real processes.

It takes calls on a Unix socket. `SCRIPT` is what a team would commit: one program for all four
commands, which passes on what it reads and prints what the cloud answers.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from deployers.confinement import Confinement
from deployers.local import LocalDeployer
from deployers.protocol import Desired
from specs.failures import NeedsHuman, TryAgain

SCRIPT = """
import json, socket, sys
with socket.socket(socket.AF_UNIX) as cloud:
    cloud.connect(sys.argv[1])
    call = {"call": sys.argv[2], "given": json.load(sys.stdin)}
    cloud.sendall(json.dumps(call).encode() + b"\\n")
    answer = json.loads(cloud.makefile().readline())
print(json.dumps(answer["says"]))
print(answer["problem"], file=sys.stderr)
sys.exit(answer["exit"])
"""


class Cloud:
    """See above. `calls` has the name of each call."""

    def __init__(self, folder: Path, confinement: Confinement) -> None:
        self._runs = LocalDeployer(folder, redact=str, confinement=confinement)
        self.calls: list[str] = []

    @contextlib.asynccontextmanager
    async def serving(self, socket: Path) -> AsyncIterator[None]:
        """Take calls."""
        server = await asyncio.start_unix_server(self._take, socket, limit=1 << 20)
        try:
            yield
        finally:
            server.close()
            await self._runs.close()

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
            case "traffic":
                page = await self._runs.traffic(place, given["epoch"], given["after"])
                return page.model_dump(mode="json")
        assert call == "remove"
        return await self._runs.remove(place)
