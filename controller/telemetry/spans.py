"""PURE. From a run or a rollout that has ended to the spans of its trace.

Ids are derived from the run's, so that spans which are sent again replace themselves. Attributes
have OpenTelemetry's names for CI/CD where it has one. Texts are whole and not redacted yet.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from controller.machine.environments.rollout import EndedRollout
from controller.machine.runs.run import Progress, Run, why_ended
from controller.telemetry.events import kind_of

_RESULTS = {
    "passed": "success",
    "failed": "failure",
    "stopped": "failure",
    "cancelled": "cancellation",
}
"""Of a run, in OpenTelemetry's words."""

Attributes = Mapping[str, str | int | float | bool]


class SpanEvent(NamedTuple):
    """Something that happened within a span."""

    name: str
    at: float
    attributes: Attributes = MappingProxyType({})


class Span(NamedTuple):
    """A span. Times are in seconds since the epoch."""

    trace: int
    """128 bits, not 0."""
    id: int
    """64 bits, not 0."""
    parent: int | None
    name: str
    start: float
    end: float
    attributes: Attributes
    error: str | None = None
    """Why it did not go well."""
    moments: Sequence[SpanEvent] = ()


def trace_of(run: str, created: float) -> int:
    """The trace of a run. A state that was lost numbers runs anew, so its creation counts."""
    return _id(16, "trace", run, repr(created))


def run_spans(run: Run) -> Iterator[Span]:
    """The spans of an ended run: itself, then each attempt and each build of an environment."""
    assert run.finished is not None
    trace = trace_of(run.id, run.created)
    root = _id(8, "run", str(trace))
    outcome = run.outcome
    attributes: dict[str, str | int | float | bool] = {
        "cicd.pipeline.name": run.pipeline,
        "cicd.pipeline.run.id": run.id,
        "cicd.pipeline.result": _RESULTS[outcome],
        "vcs.ref.head.name": run.branch,
        "vcs.ref.head.revision": run.commit,
        "headgate.repository": run.repository,
        "headgate.outcome": outcome,
        "headgate.trigger": run.trigger.kind,
    }
    if run.pull is not None:
        attributes["vcs.change.id"] = str(run.pull)
    yield Span(
        trace,
        root,
        None,
        f"run {run.pipeline}",
        run.created,
        run.finished,
        attributes,
        why_ended(run) or outcome if outcome != "passed" else None,
        tuple(_settled_at_once(run)),
    )
    for name, node in run.nodes.items():
        yield from _attempts(trace, root, name, node)
    for building in run.built:
        if building.seconds is not None:
            yield Span(
                trace,
                _id(8, "build", str(trace), building.name),
                root,
                f"build {building.what}",
                building.since,
                building.since + building.seconds,
                {"headgate.environment": building.name},
                building.failed or None,
            )


def _settled_at_once(run: Run) -> Iterator[SpanEvent]:
    """What took no time: results from the cache, and what was skipped."""
    for name, node in run.nodes.items():
        at = node.ended or run.finished or run.created
        if node.cached_from is not None:
            attributes = {"cicd.pipeline.task.name": name, "headgate.run": node.cached_from}
            yield SpanEvent("cached", at, attributes)
        elif node.skipped is not None:
            attributes = {"cicd.pipeline.task.name": name, "headgate.reason": node.skipped}
            yield SpanEvent("skipped", at, attributes)


def _attempts(trace: int, root: int, name: str, node: Progress) -> Iterator[Span]:
    for number, attempt in enumerate(node.attempts, 1):
        status = attempt.status
        if status is None or status.ended is None:
            continue
        last = number == len(node.attempts)
        attributes: dict[str, str | int | float | bool] = {
            "cicd.pipeline.task.name": name,
            "cicd.pipeline.task.run.id": attempt.id,
            "headgate.kind": kind_of(name),
            "headgate.attempt": number,
            "headgate.state": str(status.state),
        }
        if status.exit_code is not None:
            attributes["process.exit.code"] = status.exit_code
        error = None if str(status.state) == "succeeded" else str(status.state)
        if last and node.verdict is not None:
            attributes["headgate.verdict"] = str(node.verdict)
            error = error or (None if node.verdict.passes else str(node.verdict))
        start = status.started or attempt.asked
        yield Span(
            trace,
            _id(8, "attempt", str(trace), attempt.id),
            root,
            name,
            start,
            max(start, status.ended),
            attributes,
            error,
            (SpanEvent("asked", attempt.asked),) if attempt.asked < start else (),
        )


def rollout_spans(ended: EndedRollout, run: Run | None) -> Iterator[Span]:
    """The spans of an ended rollout: in the trace of the run that released it, if that is known."""
    rollout = ended.rollout
    trace = _id(16, "rollout", rollout.id, repr(rollout.asked))
    parent = None
    if run is not None:
        trace = trace_of(run.id, run.created)
        parent = _id(8, "run", str(trace))
    whole = _id(8, "rollout", str(trace), rollout.id)
    attributes: dict[str, str | int | float | bool] = {
        "cicd.pipeline.name": ended.pipeline,
        "deployment.environment.name": ended.environment,
        "deployment.id": rollout.id,
        "deployment.status": "succeeded" if ended.outcome == "promoted" else "failed",
        "headgate.version": rollout.version.version,
        "headgate.outcome": ended.outcome,
        "headgate.kind": rollout.kind,
    }
    if rollout.judgement is not None:
        attributes["headgate.canary.requests"] = rollout.judgement.canary.requests
    error = None if ended.outcome == "promoted" else ended.reason or ended.outcome
    name = f"rollout {ended.environment}"
    yield Span(trace, whole, parent, name, rollout.asked, ended.at, attributes, error)
    phases = _phases(ended)
    for (phase, since), (_, until) in zip(phases, [*phases[1:], ("", ended.at)], strict=True):
        if until > since:
            id_ = _id(8, "phase", str(whole), phase)
            yield Span(trace, id_, whole, phase, since, until, {"headgate.phase": phase})


def _phases(ended: EndedRollout) -> list[tuple[str, float]]:
    """The phases that it went through, with their beginnings, as far as its facts tell."""
    rollout = ended.rollout
    approved = rollout.asked if not rollout.approval else rollout.approved
    found = [
        ("approval", rollout.asked if rollout.approval else None),
        ("starting", approved),
        ("smoke", rollout.smoke_asked),
        ("canary", rollout.judge.began if rollout.judge is not None else None),
        ("promoting", rollout.decided),
    ]
    return [(phase, since) for phase, since in found if since is not None]


def _id(size: int, *parts: str) -> int:
    found = hashlib.sha256("\0".join(parts).encode()).digest()[:size]
    return int.from_bytes(found) or 1
