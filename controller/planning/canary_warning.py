"""A plan's warning if production has too little traffic to decide the coming canary."""

import time
from pathlib import Path

from controller.machine.core import Key, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.store.protocol import StoreReader
from deployers.records import PAGE
from deployers.registry import FOLDER, LOCAL, TARGETS
from specs.failures import TryAgain
from specs.model import Pipeline as Spec
from validators.canary import Policy, begin
from validators.canary.outlook import outlook, pace, warning


async def canary_warning(spec: Spec, store: StoreReader, home: Path) -> str | None:
    """Why a canary starting now would not be decided by its deadline. None if it would be, if there
    is no canary, or if nothing is known about production's traffic. `home` is the controller's home
    folder, where the routers keep track of traffic."""
    release = spec.release
    if release is None or release.production.strategy != "canary":
        return None
    place = f"{spec.metadata.name}/production"
    record = await store.get(Key("environment", place))
    env = parsed(EnvironmentState, record.body) if record else None
    if env is None or env.stable is None:
        return None  # nothing serves yet: the first version needs no canary
    try:
        # The oldest page, since reading it acknowledges nothing: only the controller may tell the
        # router that it is watching. If there are more pages, this one ends before `now`.
        seen = await TARGETS[LOCAL].window(home / FOLDER).traffic(place)
    except TryAgain:
        return None
    now, canary = seen.now or time.time(), release.production.canary
    last = seen.exchanges[-1].at if len(seen.exchanges) >= PAGE else now
    state = begin(Policy.from_spec(canary), seen.exchanges, now)
    ahead = outlook(state, pace(seen.exchanges, last), canary.steps)
    return warning(ahead, now, canary.on_inconclusive)
