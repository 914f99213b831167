"""The engine when it is slow, down or refuses; success is tested where it is used."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deployers.engine import Engine
from specs.failures import NeedsHuman, TryAgain
from tests.deployers.world import eventually
from tests.engine import make_image
from tests.servers.faults import Faults

pytestmark = pytest.mark.docker


@pytest.fixture
async def engine(docker_host: str, tmp_path: Path) -> AsyncIterator[Engine]:
    made = Engine(docker_host, tmp_path / "home")
    yield made
    await made.close()


@pytest.fixture
def registry() -> Iterator[Faults]:
    """An engine that never answers successfully."""
    made = Faults("http://127.0.0.1:9")
    yield made
    made.close()


async def test_a_build_that_is_cancelled_ends_on_the_engine_too(
    engine: Engine, docker_host: str, tmp_path: Path
) -> None:
    base = await asyncio.to_thread(lambda: make_image(docker_host, python=False))
    context = tmp_path / "context"
    context.mkdir()
    command = f"sleep 600 # {tmp_path.name}"
    (context / "Dockerfile").write_text(f"FROM {base}\nRUN {command}\n")

    async def runs() -> bool:
        listed = await engine.call(lambda client: client.api.containers())
        return any(command in each["Command"] for each in listed)

    async def over() -> bool:
        return not await runs()

    building = asyncio.create_task(engine.build(context, tmp_path.name.encode().hex()[-64:]))
    await eventually(runs)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    await eventually(over)


async def test_a_pull_from_a_registry_that_hangs_can_be_cancelled(
    engine: Engine, registry: Faults
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def hang(_path: str) -> None:
        asked.set()
        answer.wait()

    registry.always, registry.before = (503, "hangs"), hang
    pulling = asyncio.create_task(engine.ensure(_image(registry)))
    try:
        assert await asyncio.to_thread(asked.wait, 30)
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(pulling, 30)
    finally:
        answer.set()


async def test_a_registry_at_fault_is_tried_again_and_one_without_the_image_is_told(
    engine: Engine, registry: Faults
) -> None:
    registry.always = (503, "down")
    with pytest.raises(TryAgain, match="cannot be pulled yet"):
        await engine.ensure(_image(registry))
    registry.always = (404, "nothing")
    with pytest.raises(NeedsHuman, match="there is no image"):
        await engine.ensure(_image(registry))


async def test_what_the_engine_refuses_is_passed_on_in_its_words(engine: Engine) -> None:
    with pytest.raises(NeedsHuman, match=r"the Docker Engine refused: .*[Nn]o such container"):
        await engine.call(lambda client: client.api.start("no-such-container"))


async def test_a_home_has_one_id_for_whoever_asks_first(docker_host: str, tmp_path: Path) -> None:
    engines = [Engine(docker_host, tmp_path) for _ in range(4)]
    ids = await asyncio.gather(*(asyncio.to_thread(lambda e=e: e.home) for e in engines))  # type: ignore[misc]  # mypy cannot infer such a lambda
    assert len(set(ids)) == 1
    assert engines[0].used
    for each in engines:
        await each.close()


def _image(registry: Faults) -> str:
    host = registry.url.partition("//")[2]
    return f"{host}/nothing@sha256:{'0' * 64}"
