"""A stall outside environments is notified once, and so is its end."""

import pytest

from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.workqueue import Backoff
from specs.notifications import Notification
from tests.controller.notify.receivers import webhook
from tests.scenarios.world import World

# Apprise's reader of PGP keys imports it, whatever service is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


async def test_a_remote_that_is_no_repository_any_more_wakes_somebody_once(world: World) -> None:
    world.push("Add the pipeline")
    with webhook() as here:
        notify = Notification(to=f"json://127.0.0.1:{here.port}/", on=("stuck",))
        world.settings = world.settings.model_copy(update={"notify": (notify,)})
        policy = RuntimePolicy(backoff=Backoff(first=0.05, most=0.2), bears=0.3)
        async with world.controller(policy=policy):
            await world.serves(1)
            head = world.remote / "HEAD"
            head.rename(world.root / "HEAD")
            await world.until(lambda: _now(len(here.bodies) == 1), "somebody to be told")
            (world.root / "HEAD").rename(head)
            await world.until(lambda: _now(len(here.bodies) == 2), "its end to be told")
    firing, resolved = here.bodies
    assert (firing["status"], resolved["status"]) == ("firing", "resolved")
    assert firing["alert"] == resolved["alert"] == "stuck/repository/team"
    assert "not a git repository" in firing["incident"]["what"]


async def _now(value: bool) -> bool:
    return value
