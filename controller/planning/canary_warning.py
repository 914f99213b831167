"""What a plan says of the canary to come: whether production's traffic can decide it."""

import time
from pathlib import Path

from controller.machine.core import Key, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.store.protocol import StoreReader
from deployers.records import PAGE
from deployers.registry import SERVING, make_window
from specs.failures import TryAgain
from specs.model import Pipeline as Spec
from validators.canary import Policy, begin
from validators.canary.outlook import outlook, pace, warning


async def canary_warning(spec: Spec, store: StoreReader, home: Path) -> str | None:
    """Why the canary of a release now would not be decided by its deadline; None where it would,
    where there is none, or where nothing is known of production's traffic. `home` is the
    controller's, whose routers know of that."""
    release = spec.release
    if release is None or release.production.strategy != "canary":
        return None
    place = f"{spec.metadata.name}/production"
    record = await store.get(Key("environment", place))
    env = parsed(EnvironmentState, record.body) if record else None
    if env is None or env.stable is None:
        return None  # nothing serves yet: the first version needs no canary
    try:
        # The oldest page, which acknowledges nothing: it is for the controller to say that it
        # watches. Where there is more, `now` is not what its traffic ended at.
        seen = await make_window(home / SERVING).traffic(place)
    except TryAgain:
        return None
    now, canary = seen.now or time.time(), release.production.canary
    last = seen.exchanges[-1].at if len(seen.exchanges) >= PAGE else now
    state = begin(Policy.from_spec(canary), seen.exchanges, now)
    ahead = outlook(state, pace(seen.exchanges, last), canary.steps)
    return warning(ahead, now, canary.on_inconclusive)
