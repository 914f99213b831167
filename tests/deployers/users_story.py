"""Model servers of a controller with full root privileges; run by `tests.rights`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from deployers.confinement import confinement
from deployers.protocol import Desired
from tests.contracts.deployer import PLACE, applied, converge
from tests.contracts.test_deployers import local_target

OTHER = "other/production"


async def tell(root: Path) -> dict[str, Any]:
    """The users of the servers of two pipelines."""
    kind = confinement(()).kind
    if kind != "users":
        return {}
    target = local_target(root, kind=kind)
    async with target.open() as deployer:
        await converge(deployer, Desired(stable=target.server("v1")))
        await applied(deployer, Desired(stable=target.server("v2")), OTHER)
        while not (await deployer.observe(OTHER)).stable:
            await applied(deployer, Desired(stable=target.server("v2")), OTHER)
        users = {name: user_of(target.process(name)) for name in ("v1", "v2")}
        for place in (PLACE, OTHER):
            await deployer.remove(place)
    return {"users": users, "left": target.living()}


def user_of(process: int) -> int:
    return Path(f"/proc/{process}").stat().st_uid


if __name__ == "__main__":
    place = Path(json.load(sys.stdin))
    place.chmod(0o755)  # for the users of the servers
    print(json.dumps(asyncio.run(tell(place))))
