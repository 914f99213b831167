"""Model servers in containers while the Docker Engine (the test's own) is restarted."""

import asyncio
from pathlib import Path

import pytest

from deployers.protocol import Desired
from tests.contracts.deployer import PLACE, address, converge
from tests.deployers.caller import flood
from tests.deployers.test_containers import Place
from tests.deployers.world import eventually
from tests.engine import ask_keeper, make_image

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
async def test_an_engine_that_is_restarted_in_a_canary_has_its_servers_back(
    tmp_path: Path, how: str
) -> None:
    name = f"serving-{how}"
    host = await asyncio.to_thread(ask_keeper, f"up {name}")
    image = await asyncio.to_thread(lambda: make_image(host, python=True))
    place = Place(tmp_path, host, image)
    deployer = place.deployer()
    stable, canary = place.server("v1"), place.server("v2")
    desired = Desired(stable=stable, canary=canary, canary_weight=0.5)
    await converge(deployer, desired)
    await asyncio.to_thread(ask_keeper, f"down {name} {how}")
    await asyncio.to_thread(ask_keeper, f"up {name}")
    seen = await converge(deployer, desired, seconds=60)

    async def both() -> bool:
        answers = await flood(address(seen), 20, 4)
        told = {a.json()["model"] for a in answers if a.status == 200}
        return told == {"v1", "v2"} and all(a.status == 200 for a in answers)

    await eventually(both, seconds=60)
    await deployer.remove(PLACE)
    assert place.containers() == []
    await deployer.close()
    await place.engine.close()
    await asyncio.to_thread(ask_keeper, f"down {name} SIGTERM")
