"""PURE. What on-call is told, as values: made from facts, rendered by `controller/notify`."""

from collections.abc import Sequence

from controller.machine.actions import Background, Incident, SignalEvidence
from controller.machine.pipelines.version import Ref
from specs.figures import significant
from validators.canary.comparison import figure
from validators.report import Check, Report
from validators.verdict import Verdict

__all__ = ["Background", "Incident", "SignalEvidence"]

MOST = 8
"""How many lines of evidence a notification has at most; the report has all."""
_QUARANTINED = "{} is quarantined and will not be released again."
_NOTHING_BEFORE = "nothing: there is no earlier version"


def evidence(reports: Sequence[Report]) -> tuple[SignalEvidence, ...]:
    """The checks that stopped it, worst first; if none did, those that did not pass."""
    checks = [(check, report.gate) for report in reports for check in report.checks]
    stopped = [one for one in checks if one[0].verdict in (Verdict.FAIL, Verdict.ERROR)]
    doubtful = [one for one in checks if one[0].verdict in (Verdict.INCONCLUSIVE, Verdict.WARN)]
    worst = sorted(stopped or doubtful, key=lambda one: -one[0].verdict.rank)
    return tuple(_line(check, canary=gate == "canary") for check, gate in worst[:MOST])


def figures(reports: Sequence[Report]) -> tuple[SignalEvidence, ...]:
    """Every signal of a canary, whatever its verdict, and other checks that did not pass."""
    return tuple(
        _line(check, canary=True)
        for report in reports
        if report.gate == "canary"
        for check in report.checks
        if check.subject or not check.verdict.passes
    )[:MOST]


def rolled_back(
    pipeline: str,
    environment: str,
    bad: Ref,
    now: Ref | None,
    why: str,
    reports: Sequence[Report],
    background: Background,
) -> Incident:
    """A version was taken out of an environment, perhaps before any request reached it."""
    place = f"{pipeline}/{environment}"
    served = bool(background.hurt)
    did = "rolled back" if served else "will not get"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} {did} v{bad.version}",
        what=f"{_sentence(why)} {_QUARANTINED.format(bad)}",
        was=str(bad) if served else None,
        now=str(now) if now else _NOTHING_BEFORE,
        needs_human=now is None,
        evidence=evidence(reports),
        commands=(*look_up(place, background.rollout, bad), _retry(place, bad)),
        background=background,
    )


def restored(
    pipeline: str, environment: str, now: str | None, bad: Ref | None, *, points: bool = False
) -> Incident:
    """A rollback is complete: the version that was taken out, if it is known, has no traffic."""
    place = f"{pipeline}/{environment}"
    of, left = (f" of v{bad.version}", str(bad)) if bad else ("", "what was rolled back")
    again = _retry(place, bad) if bad else f"headgate retry {place}"
    done = f"The version that serves is ready, and {left} gets no requests any more."
    if points:
        done = f"{environment} no longer points to {left}."
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: the rollback{of} in {environment} is done",
        what=f"{done} It stays quarantined: commit a fix, or retry it with `{again}`.",
        now=now,
        commands=(f"headgate releases {place}", again),
    )


def did_not_start(
    pipeline: str,
    environment: str,
    version: Ref,
    now: Ref | None,
    why: str,
    reports: Sequence[Report],
    background: Background,
) -> Incident:
    """A version did not start in production, so no request ever reached it."""
    place = f"{pipeline}/{environment}"
    left = f"{now} keeps serving: nothing was rolled back." if now else "Nothing serves there."
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{version.version} did not start in {environment}",
        what=f"{_sentence(why)} {left} {_QUARANTINED.format(version)}",
        now=str(now) if now else _NOTHING_BEFORE,
        needs_human=now is None,
        evidence=evidence(reports),
        commands=(*look_up(place, background.rollout, version), _retry(place, version)),
        background=background,
    )


def not_brought_back(
    pipeline: str, environment: str, wanted: Ref, bad: Ref | None, why: str, rollout: str
) -> Incident:
    """A rollback failed: the version that somebody wanted to leave keeps serving."""
    place = f"{pipeline}/{environment}"
    still = f"{bad} is still serving" if bad else "Nothing is serving"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} could not go back to v{wanted.version}",
        what=f"{still}, because {wanted} could not be started. {_sentence(why)} "
        "Fix that and retry, or name another version to go back to with `rollback --to`.",
        now=f"{bad}, which was to be rolled back" if bad else "nothing",
        needs_human=True,
        commands=(
            _retry(place, wanted),
            *look_up(place, rollout, wanted),
            f"headgate models {pipeline}",
        ),
    )


def not_brought_up(
    pipeline: str,
    environment: str,
    version: Ref,
    now: Ref | None,
    why: str,
    background: Background,
) -> Incident:
    """A version cannot be released for a reason outside of the version itself."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{version.version} cannot be started in {environment}",
        what=f"{_sentence(why)} {version} is not quarantined: fix that and retry it.",
        now=str(now) if now else _NOTHING_BEFORE,
        needs_human=True,
        commands=(
            _retry(place, version),
            *look_up(place, background.rollout, version),
            "headgate doctor",
        ),
        background=background,
    )


def failed_before_production(
    pipeline: str,
    environment: str,
    version: Ref,
    now: Ref | None,
    why: str,
    reports: Sequence[Report],
    background: Background,
) -> Incident:
    """A version did not start, or failed its smoke requests, before production."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{version.version} failed in {environment}",
        what=f"{_sentence(why)} It is not released to production, where nothing changed.",
        now=str(now) if now else None,
        evidence=evidence(reports),
        commands=(*look_up(place, background.rollout, version), _retry(place, version)),
        background=background,
    )


def promoted(
    pipeline: str,
    environment: str,
    version: Ref,
    was: Ref | None,
    undecided: str | None = None,
    *,
    points: bool = False,
) -> Incident:
    """A version was promoted; `undecided` says that its canary came to no decision."""
    how = "" if undecided is None else " without a decision"
    does = f"{environment} points to it." if points else "It serves all traffic."
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{version.version} is in {environment}{how}",
        what=" ".join([does, *([undecided] if undecided else [])]),
        points=points,
        was=str(was) if was else None,
        now=str(version),
        commands=(f"headgate releases {pipeline}/{environment}",),
    )


def brought_back(
    pipeline: str,
    environment: str,
    version: Ref,
    was: Ref | None,
    by: str,
    why: str,
    *,
    points: bool = False,
) -> Incident:
    """A person went back to a former version; `was` is the version that they left, if any."""
    reason = "" if why == f"rolled back by {by}" else f": {why}"
    does = f"{version} serves all traffic again"
    if points:
        does = f"{environment} points to {version} again"
    left = f" {_QUARANTINED.format(was)}" if was else ""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} is back at v{version.version}",
        what=_sentence(f"{does}, as {by} asked{reason}") + left,
        points=points,
        was=str(was) if was else None,
        now=str(version),
        commands=(f"headgate releases {pipeline}/{environment}",),
    )


def not_answering(
    pipeline: str, environment: str, stable: Ref, now: str | None, former: Ref | None, why: str
) -> Incident:
    """Stable does not answer; `former` is the version that it can be rolled back to."""
    place = f"{pipeline}/{environment}"
    back = (f"headgate rollback {place} --from {stable.version}",) if former else ()
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{stable.version} does not answer in {environment}",
        what=_sentence(why),
        now=f"{now}; v{stable.version} is not ready",
        needs_human=True,
        commands=(
            f"headgate logs {place} --version {stable.version}",
            "headgate status",
            *back,
            "headgate doctor",
        ),
    )


def unreachable(pipeline: str, environment: str, now: str | None, why: str) -> Incident:
    """The router does not answer. No version is to blame, so a rollback would not help."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} does not answer",
        what=_sentence(why),
        now=f"{now}; its callers get no answer",
        needs_human=True,
        commands=("headgate status", "headgate doctor"),
    )


def stuck(pipeline: str, environment: str, now: Ref | str | None, why: str) -> Incident:
    """Something that should work by itself does not."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} is stuck",
        what=_sentence(why),
        now=str(now) if now else "nothing: no version has been released there yet",
        needs_human=True,
        commands=("headgate doctor", "headgate status", f"headgate logs {pipeline}/{environment}"),
    )


def recovered(pipeline: str, environment: str, now: Ref) -> Incident:
    """Stable and its router answer again."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} serves again",
        what="Its server is ready, and its router answers.",
        now=str(now),
    )


def ended(pipeline: str, environment: str, now: Ref | str | None) -> Incident:
    """What needed attention is resolved."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} no longer needs attention",
        what="What needed attention is resolved.",
        now=str(now) if now else None,
    )


def held(
    pipeline: str,
    environment: str,
    version: Ref,
    now: str | None,
    why: str,
    reports: Sequence[Report],
    background: Background,
) -> Incident:
    """A canary that the judge could not decide awaits a person, and keeps its share of the traffic.

    `now` says which version has which share.
    """
    place = f"{pipeline}/{environment}"
    keeps = (
        "It keeps its share until somebody decides: `promote` gives it all requests, `abort` stops "
        "it, `rollback` stops and quarantines it."
    )
    incident = _waits(pipeline, environment, version, now, f"{_sentence(why)} {keeps}", "promote")
    back = f"headgate rollback {place} --from {version.version}"
    more = (back, *look_up(place, background.rollout, version))
    return incident.model_copy(
        update={
            "evidence": figures(reports),
            "commands": (*incident.commands, *more),
            "background": background,
        }
    )


def approval(
    pipeline: str,
    environment: str,
    version: Ref,
    now: Ref | None,
    background: Background,
    url: str = "",
) -> Incident:
    """A rollout awaits approval, and starts only after that.

    `url` is its pull request's.
    """
    merge = f" Merging {url} approves it, and closing that declines it." if url else ""
    why = f"It starts once somebody approves it.{merge}"
    return _with(background, _waits(pipeline, environment, version, now, why, "approve"))


def not_proposed(
    pipeline: str,
    environment: str,
    version: Ref,
    now: Ref | None,
    background: Background,
    why: str,
) -> Incident:
    """The pull request for an approval cannot be opened; the command approves without it."""
    instead = f"Approve it with `headgate approve {pipeline}/{environment}`."
    why = f"Its pull request cannot be opened: {_sentence(why)} {instead}"
    return _with(background, _waits(pipeline, environment, version, now, why, "approve"))


def refused(
    pipeline: str,
    environment: str,
    now: str | None,
    why: str,
    *,
    needs_human: bool,
    points: bool = False,
) -> Incident:
    """A request, or a release, that is not carried out.

    `needs_human`: somebody wanted to leave the version that serves, and it keeps serving.
    """
    does = "points to" if points else "serves"
    kept = f"{environment} still {does} the version that somebody wanted to leave"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {kept if needs_human else f'a change to {environment} was refused'}",
        what=_sentence(why),
        now=now,
        needs_human=needs_human,
        commands=(f"headgate releases {pipeline}/{environment}", f"headgate models {pipeline}"),
    )


def _waits(
    pipeline: str, environment: str, version: Ref, now: Ref | str | None, why: str, command: str
) -> Incident:
    place = f"{pipeline}/{environment}"
    awaits, yours = ("a decision", "decision")
    if command == "approve":
        awaits = yours = "approval"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{version.version} awaits {awaits} in {environment}",
        what=f"{version} awaits your {yours}. {why}",
        now=str(now) if now else _NOTHING_BEFORE,
        needs_human=True,
        commands=(f"headgate {command} {place}", f"headgate abort {place}"),
    )


def _with(background: Background, incident: Incident) -> Incident:
    """The incident with the background of its rollout, and the command that shows more."""
    commands = (*incident.commands, f"headgate show {background.rollout}")
    return incident.model_copy(update={"commands": commands, "background": background})


def look_up(place: str, rollout: str, version: Ref) -> tuple[str, ...]:
    """The commands for everything about a rollout, and for its server's log."""
    return f"headgate show {rollout}", f"headgate logs {place} --version {version.version}"


def _retry(place: str, version: Ref) -> str:
    """With the version, as another one may have been stopped by the time that this is read."""
    return f"headgate retry {place} --version {version.version}"


def _sentence(text: str) -> str:
    """A reason as a sentence: with a full stop, and a capital letter if it begins with a word and
    not with a version or a file."""
    text = text.strip().rstrip(":")
    first = text.partition(" ")[0]
    text = text[:1].upper() + text[1:] if first.isalpha() else text
    return text + ("" if text.endswith((".", "!", "?", "…")) else ".")


def _line(check: Check, *, canary: bool) -> SignalEvidence:
    signal = check.subject or check.name
    shown = [
        figure(signal, value) if canary and check.subject else _text(value)
        for value in (check.observed, check.baseline)
    ]
    return SignalEvidence(
        signal=signal,
        observed=shown[0],
        limit=check.limit or "",
        baseline=shown[1],
        n=check.n,
        note=check.message,
    )


def _text(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return significant(value)
