"""PURE. What on-call is told of a canary in progress, as values."""

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
    """A canary begins that is not expected to be decided by its deadline."""
    place, number = f"{pipeline}/{environment}", version.version
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: too little traffic for the canary of v{number} in {environment}",
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
    """The controller is back. Meanwhile the router took the canary's traffic away, as no controller
    had watched it for `limit` seconds."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: nobody watched the canary of v{version.version} in {environment}",
        what=f"For {duration(limit)} the router heard from no controller that can save its state, "
        f"so it sent all requests to stable. The controller is back and judges {version} by its "
        "answers until then: unless they are worse than stable's, it gets its share again.",
        now=now,
        commands=(
            *look_up(place, background.rollout, version),
            f"headgate rollback {place} --from {version.version}",
        ),
        background=background,
    )
