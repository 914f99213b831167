"""PURE. What people are told of the environments branch: what was adopted from it, and lost."""

from collections.abc import Sequence

from controller.machine.actions import Incident
from controller.machine.pipelines.version import Quarantined, Ref


def adopted(
    pipeline: str,
    environment: str,
    now: Ref | None,
    bad: Sequence[Quarantined],
    lacking: Sequence[str],
) -> Incident:
    """A state that knew nothing of an environment goes on from what the branch says."""
    serves = f"{now} is what runs" if now else "nothing runs"
    begin = f"The controller's state knew nothing of {environment}; was state.db lost?"
    parts = [f"{begin} It goes on from the environments branch: {serves}."]
    parts += [f"Quarantined as before: {', '.join(f'v{q.version}' for q in bad)}."] if bad else []
    if lacking:
        parts.append(f"Nobody can go back to {'; '.join(lacking)}.")
    parts.append("A canary that was under way begins anew; a pause has to be said again.")
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} goes on from what the environments branch says",
        what=" ".join(parts),
        now=str(now) if now else None,
        commands=("headgate status", f"headgate pause {pipeline}/{environment}"),
    )


def unknown(pipeline: str, environment: str, why: str) -> Incident:
    """Nothing is released, as nobody knows what runs."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} runs what the state does not know",
        what=f"{why} {way_on(place)}",
        now="what ran before; it is left as it is",
        needs_human=True,
        commands=(f"headgate retry {place}", f"headgate resume {place}", "headgate doctor"),
    )


def way_on(place: str) -> str:
    """What a person can do where the state does not know what runs."""
    return (
        "Nothing is released there meanwhile. Bring state.db or the artifacts back from a backup "
        f"and say `headgate retry {place}`; or say `headgate resume {place}` to let the next "
        "release take its place; or name on the branch what should run."
    )


def overwritten(pipeline: str, environment: str, now: Ref | None, what: str) -> Incident:
    """Somebody pushed over the branch, or deleted it."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: the history of {environment} on the environments branch was lost",
        what=what,
        now=str(now) if now else None,
        commands=(f"headgate releases {pipeline}/{environment}", "headgate status"),
    )


def lifted(
    pipeline: str, environment: str, now: Ref | None, bad: Quarantined, by: str, why: str
) -> Incident:
    """A person took a version off the list of what is quarantined."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{bad.version} may be released in {environment} again",
        what=f"{by} lifted its quarantine ({why}). It was: {bad.reason}",
        now=str(now) if now else None,
        commands=(f"headgate retry {place} --version {bad.version}",),
    )
