"""PURE. What people are told of the environments branch: what was adopted from it, or lost."""

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
    """A state that did not know an environment was rebuilt from the environments branch."""
    serves = f"{now} runs" if now else "nothing runs"
    begin = (
        f"The controller's state did not know what runs in {environment}: was state.db lost, or "
        "restored from a backup?"
    )
    parts = [f"{begin} It continues from the environments branch: {serves}."]
    parts += [f"Quarantined as before: {', '.join(f'v{q.version}' for q in bad)}."] if bad else []
    if lacking:
        parts.append(f"It cannot be rolled back to {'; '.join(lacking)}.")
    parts.append("A canary in progress starts again, and a pause has to be repeated.")
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} continues from the environments branch",
        what=" ".join(parts),
        now=str(now) if now else "nothing",
        commands=("headgate status", f"headgate pause {pipeline}/{environment}"),
    )


def unknown(pipeline: str, environment: str, why: str) -> Incident:
    """Nothing is released, because the state does not know what runs."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: the controller does not know what runs in {environment}",
        what=f"{why} {way_on(place)}",
        now="what ran before; it is left alone",
        needs_human=True,
        commands=(f"headgate retry {place}", f"headgate resume {place}", "headgate doctor"),
    )


def way_on(place: str) -> str:
    """What a person can do if the state does not know what runs."""
    return (
        "Nothing is released there until that is decided. Restore state.db or the artifacts from a "
        f"backup and run `headgate retry {place}`; or run `headgate resume {place}` to let the "
        "next release replace it; or name the version that should run in the file on the branch."
    )


def overwritten(pipeline: str, environment: str, now: Ref | None, what: str) -> Incident:
    """Somebody force-pushed the branch, or deleted it."""
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
    """A person removed a version from the quarantine list in the file."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{bad.version} may be released in {environment} again",
        what=f"{by} lifted its quarantine ({why}). Its reason was: {bad.reason} "
        "It is not released automatically: retry it.",
        now=str(now) if now else None,
        commands=(f"headgate retry {place} --version {bad.version}",),
    )
