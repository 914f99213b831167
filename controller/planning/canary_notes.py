"""What a plan says about the canary to come: what production's traffic can tell about it."""

import time
from pathlib import Path

from controller.machine.core import Key, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.store.protocol import StoreReader
from deployers.windows import SERVING, make_window
from specs.failures import TryAgain
from specs.model import Pipeline as Spec
from specs.release import Release
from specs.target_scripts import ON_CLUSTER, UNWATCHED, UNWATCHING
from validators.canary import CanaryPolicy, begin
from validators.canary.detection import detection
from validators.canary.forecast import outlook, pace, warning


async def canary_notes(spec: Spec, store: StoreReader, home: Path) -> tuple[str, ...]:
    """How soon the canary of a release would detect doubled errors, and why it would not be decided
    by its deadline, if it would not. Nothing if there is no canary or the traffic is unknown.

    `home` is the controller's, since the routers there remember the traffic.
    """
    release = spec.release
    if release is None or release.production.strategy != "canary":
        return ()
    if release.deployer_for("production") in UNWATCHING:
        return _by_others(release)
    place = f"{spec.metadata.name}/production"
    record = await store.get(Key("environment", place))
    env = parsed(EnvironmentState, record.body) if record else None
    if env is None or env.stable is None:
        return ()  # nothing serves yet: the first version needs no canary
    try:
        # The oldest page, which acknowledges nothing: only the controller may say that it watches.
        # If there are more pages, this one does not reach up to `now`.
        seen = await make_window(home / SERVING).traffic(place)
    except TryAgain:
        return ()
    now, canary = seen.now or time.time(), release.production.canary
    last = seen.exchanges[-1].at if seen.more else now
    state = begin(CanaryPolicy.from_spec(canary), seen.exchanges, now)
    rate = pace(seen.exchanges, last)
    detected = detection(state, rate, canary.steps)
    undecided = warning(outlook(state, rate, canary.steps), now, canary.on_inconclusive)
    return tuple(
        note for note in (detected.text if detected else None, undecided) if note is not None
    )


def cluster_notes(spec: Spec) -> tuple[str, ...]:
    """Which environments are on a cluster, and by what deployer; nothing if none is."""
    release = spec.release
    if release is None or release.serve is None:
        return ()
    found = {
        name: release.deployer_for(name)
        for name in ("staging", "production")
        if release.deployer_for(name) in ON_CLUSTER
    }
    replicas = release.serve.replicas
    pods = f"{replicas} pods" if replicas > 1 else "one pod"
    return tuple(
        f"{name} is on a cluster (`deployer: {target}`), with {pods} of each version"
        for name, target in found.items()
    )


def _by_others(release: Release) -> tuple[str, ...]:
    """What holds for a canary whose traffic scripts or a gateway split. It is unknown here: a plan
    runs no script, and asks no server."""
    if release.command is None or release.scripts_for("production") is None:
        return (UNWATCHED,)
    compared = "errors, with `at_most`, is judged by the canary alone"
    if release.command.split == "turns":
        return (UNWATCHED, f"the target takes turns: no arm is compared with the other; {compared}")
    if release.command.split == "units":
        judged = "only records that name their unit are judged, and no counts"
        return (UNWATCHED, f"the target keeps users or sessions on one arm: {judged}")
    return (UNWATCHED,)
