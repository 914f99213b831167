"""A whole controller whose steps and servers are confined: what they try in vain."""

import os
from pathlib import Path

import pytest

from controller.config.secrets import Secrets
from tests.scenarios.team import Team
from tests.scenarios.world import World

pytestmark = [pytest.mark.bwrap, pytest.mark.usefixtures("namespaces")]
HUSH = "TOKEN=hush-hush-hush"
SPY = """
for place in {places!r}:
    try:
        print("it reads", open(place, errors="replace").read()[:50])
    except OSError as error:
        print("it meets", type(error).__name__)
"""
LAST = "given.out.write_text("


@pytest.fixture
def secret(world: World) -> Path:
    """A file of secrets beside the settings."""
    path = world.root / "secrets.env"
    path.write_text(HUSH)
    world.configure(secrets="secrets.env")
    world.secrets = Secrets({"OF_THE_CONTROLLER": "hush-hush-hush"})
    return path


async def test_a_step_of_a_pull_request_reaches_neither_the_secrets_nor_the_state_nor_the_mirror(
    team: Team, world: World, secret: Path
) -> None:
    world.secrets = Secrets({"APP_KEY": team.github.private_key, "KEY": "hush-hush-hush"})
    world.push("Add the pipeline")
    home = world.root / "home"
    theirs = ("state.db", "mirrors/team/HEAD", "attempts/mean-1.train.1/log")
    places = [str(secret), *(str(home / name) for name in theirs), f"/proc/{os.getpid()}/environ"]
    spy = SPY.format(places=places)
    async with world.controller():
        await world.serves(1)
        _, sha = team.propose("nosy", train__py=(LAST, f"{spy}\nraise SystemExit(7)\n{LAST}"))
        await team.concluded(sha, "failure")
    run = await world.run(2)
    assert run is not None
    said = run.nodes["train"].failed or ""
    assert said.count("it meets FileNotFoundError") == len(places)
    assert "it reads" not in said
    assert "hush" not in said


async def test_a_server_reaches_neither_the_secrets_nor_what_another_server_reads(
    world: World, secret: Path
) -> None:
    write = "Path('serve.py').write_text('forged')"
    try_it = (
        f"for act in (lambda: open('{secret}').read(), lambda: {write}):\n"
        "    try:\n        act()\n        raise SystemExit('it can')\n"
        "    except OSError:\n        pass\n"
    )
    world.push("Add the pipeline", serve__py=("model = json.loads", f"{try_it}model = json.loads"))
    async with world.controller():
        await world.serves(1)
    (code,) = (world.root / "home" / "models").glob("*/code/serve.py")
    assert "forged'" in code.read_text()


async def test_the_gates_of_a_confined_controller_judge_what_its_steps_made(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        run = await world.ended(1)
    assert run.outcome == "passed"
