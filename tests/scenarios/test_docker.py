"""Steps and model servers in containers behind a whole controller, on a real Docker Engine."""

import pytest
from docker import DockerClient

from controller.executors.docker import FACT
from deployers.engine import NAME
from tests.scenarios.world import World

pytestmark = pytest.mark.docker


def in_containers(world: World, host: str, image: str) -> None:
    """Let the controller have the engine, and all steps and servers the image."""
    world.configure(docker={"host": host})
    spec = world.work / "ml-pipeline.yaml"
    text = spec.read_text().replace("--port {port}", "--host {host} --port {port}")
    assert "\nenvironment:" not in text
    spec.write_text(f"{text}environment: {{image: {image}}}\n")


async def test_a_commit_whose_steps_have_an_image_is_trained_in_containers_and_released(
    world: World, docker_host: str, python_image: str
) -> None:
    in_containers(world, docker_host, python_image)
    world.push("Add the pipeline")
    async with world.controller():
        run = await world.ended(1)
        await world.serves(1)
        client = DockerClient(base_url=docker_host)
        serving = [each.labels.get(NAME, "") for each in client.containers.list()]
        client.close()
    assert run.outcome == "passed"
    facts = [path.parent.name for path in (world.root / "home" / "attempts").glob(f"*/{FACT}")]
    assert any(".train." in name for name in facts), "it was a container"
    assert any(name.startswith("mean-production-") for name in serving), "and so is the server"


async def test_an_image_that_is_nowhere_is_reported_at_its_line_of_the_spec(
    world: World, docker_host: str
) -> None:
    in_containers(world, docker_host, f"sha256:{'0' * 64}")
    commit = world.push("Add the pipeline")

    async def said() -> str:
        return world.note(commit)

    async with world.controller():
        note = await world.until(said, "a report on the commit")
        pipeline = await world.pipeline()
    assert "there is no image" in note
    assert "environment: {image:" in note
    assert pipeline is not None
    assert pipeline.runs == 0
