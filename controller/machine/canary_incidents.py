"""PURE. What on-call is told of a canary that goes on, as values."""

from controller.machine.actions import Background, Incident
from controller.machine.incidents import look_up
from controller.machine.pipelines.version import Ref
from specs.figures import duration


def undecidable(
    pipeline: str,
    environment: str,
    version: Ref,
    now: str | None,
    why: str,
    background: Background,
) -> Incident:
    """A canary begins that will not be decided by its deadline: told at once, for there is time."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: too little traffic for the canary v{version.version} in {environment}",
        what=why,
        now=now,
        commands=(
            f"headgate show {background.rollout}",
            f"headgate promote {place}",
            f"headgate abort {place}",
        ),
        background=background,
    )


def unwatched(
    pipeline: str,
    environment: str,
    version: Ref,
    now: str | None,
    limit: float,
    background: Background,
) -> Incident:
    """The controller is back, and finds that the router had taken a canary's traffic away as
    nobody saw to it for `limit` seconds."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: nobody watched the canary v{version.version} in {environment}",
        what=f"For {duration(limit)} the router had no word from a controller that can save, so it "
        f"sent all requests to stable. The controller is back and judges {version} by what it "
        "answered before; unless that is worse than stable, it gets its share again.",
        now=now,
        commands=(
            *look_up(place, background.rollout, version),
            f"headgate rollback {place} --from {version.version}",
        ),
        background=background,
    )
