"""PURE. What on-call is told of batches, as values."""

from controller.machine.actions import Incident
from controller.machine.pipelines.version import Ref


def failed(pipeline: str, environment: str, version: Ref, why: str, former: Ref | None) -> Incident:
    """The batch command did not do its work; what the environment points to stays."""
    place = f"{pipeline}/{environment}"
    back = (f"headgate rollback {place} --from {version.version}",) if former else ()
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: the batch of v{version.version} in {environment} failed",
        what=f"{why.rstrip('.')}. {environment} still points to {version}, which passed staging; "
        "the next time that its schedule says so it is run again.",
        now=str(version),
        points=True,
        needs_human=True,
        commands=(f"headgate logs {place}", f"headgate retry {place}", *back),
    )
