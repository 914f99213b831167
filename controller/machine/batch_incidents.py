"""PURE. What on-call is told of batch releases, as values."""

from controller.machine.actions import Incident
from controller.machine.pipelines.version import Ref


def failed(pipeline: str, environment: str, version: Ref, why: str, former: Ref | None) -> Incident:
    """The batch command failed; the environment still points to the same version."""
    place = f"{pipeline}/{environment}"
    back = (f"headgate rollback {place} --from {version.version}",) if former else ()
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: the batch of v{version.version} in {environment} failed",
        what=f"{why.rstrip('.')}. {environment} still points to {version}, which passed staging; "
        "it runs again when its schedule is due.",
        now=str(version),
        points=True,
        needs_human=True,
        commands=(f"headgate logs {place}", f"headgate retry {place}", *back),
    )
