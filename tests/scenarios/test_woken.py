"""What a person who is woken gets from a real controller, and finds where it says."""

import asyncio
import json
import subprocess
from typing import Any

import pytest

from controller.machine.core import Key
from controller.machine.messages import Abort
from specs.notifications import Notification
from tests.actions.clone import HEADGATE
from tests.controller.notify.receivers import Webhook, webhook
from tests.scenarios.world import World

# Apprise's reader of PGP keys imports it, whatever service is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

PRODUCTION = Key("environment", "mean/production")


def listen(world: World, here: Webhook) -> None:
    """On-call has a webhook."""
    notify = Notification(to=f"json://127.0.0.1:{here.port}/")
    world.configure(name="deploy-1")
    world.settings = world.settings.model_copy(update={"notify": (notify,)})


async def heard(world: World, here: Webhook, event: str, status: str) -> Any:
    """Wait for a notification."""

    async def look() -> Any:
        wanted = (f"mean/production/{event}/mean-production-2", status)
        return next((b for b in here.bodies if (b["alert"], b["status"]) == wanted), None)

    return await world.until(look, f"{event} {status}")


async def headgate(world: World, *arguments: str) -> str:
    """What a command prints, in another process, as a person types it."""
    settings = world.root / "headgate.yaml"
    settings.write_text("home: home\nrepositories: [{name: team, url: remote.git}]\n")
    command = [HEADGATE, "--settings", str(settings), *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_rollback_says_whose_commit_it_was_and_the_bad_servers_log_is_there_to_read(
    world: World,
) -> None:
    world.push("Add the pipeline")
    with webhook() as here:
        listen(world, here)
        async with world.controller():
            await world.serves(1)
            async with world.traffic():
                words = 'FAULTY = 3\nprint("two workers it is", flush=True)'
                bad = world.push("Serve by two workers", serve__py=("FAULTY = 0", words))
                firing = await heard(world, here, "rollback", "firing")
                resolved = await heard(world, here, "rollback", "resolved")

            async def ended() -> bool:
                return "two workers it is" in await headgate(world, "logs", "mean/production")

            await world.until(ended, "the bad server to end")
        incident = firing["incident"]
        told = incident["background"]
        assert told["origin"] == {
            "commit": bad,
            "author": "Ada",
            "subject": "Serve by two workers",
        }
        assert told["differs"] == ["files changed: serve.py"]
        assert "requests to the canary failed (" in told["hurt"]
        moments = [one["what"] for one in told["since"]]
        assert (moments[0], moments[-1]) == ("canary began", "rolled back")
        assert "first failed request" in moments
        assert incident["controller"] == "deploy-1"
        assert (firing["level"], incident["needs_human"]) == ("warning", False)
        assert resolved["incident"]["now"].startswith("v1 ")
        for command in incident["commands"][:2]:  # what is offered works as it stands
            program, *arguments = command.split()
            assert program == "headgate"
            assert await headgate(world, *arguments)
        log = await headgate(world, "logs", "mean/production", "--version", "2", "--json")
        (one,) = json.loads(log)
        assert one["ended"]
        assert one["text"] == "two workers it is\n"
        page = await headgate(world, "show", "mean-production-2")
        assert "files changed: serve.py" in page
        env = await world.environment("production")
        assert env is not None
        assert env.alerts == ()


async def test_a_held_canary_says_who_has_which_share_and_what_the_judge_sees(
    world: World,
) -> None:
    world.push("Add the pipeline", ml_pipeline__yaml=("deadline: 1m", "deadline: 3s"))
    with webhook() as here:
        listen(world, here)
        async with world.controller():
            env = await world.serves(1)
            assert env.stable is not None
            world.push("Shift it", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
            firing = await heard(world, here, "stuck", "firing")
            incident = firing["incident"]
            held = (await world.environment("production") or env).rollout
            assert held is not None
            assert incident["now"] == (
                f"{env.stable} for 80 % of the requests, {held.version} for 20 %"
            )
            (errors, *_) = incident["evidence"]
            assert (errors["signal"], errors["n"]) == ("errors", 0)
            assert errors["limit"] == "not worse by more than 10 points"
            assert "evidence that it is worse" in errors["note"]
            assert "params.shift: 0.0 → 1.0" in incident["background"]["differs"]
            assert (firing["level"], incident["needs_human"]) == ("critical", True)
            await world.say(PRODUCTION, Abort(by="ada"))
            resolved = await heard(world, here, "stuck", "resolved")
    assert resolved["incident"]["now"] == str(env.stable)
