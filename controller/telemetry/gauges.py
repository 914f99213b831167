"""PURE. From what is stored to the gauges: rollouts, canaries, waits, queues."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import log
from typing import NamedTuple

from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import Rollout, weights
from controller.machine.pipelines.version import ModelVersion
from controller.store.protocol import Delivered, OutboxEntry
from controller.telemetry.catalogue import OTHER, PipelineLabels
from specs.traffic import Arm


class Sample(NamedTuple):
    """The value of one series; `labels` in the order of the catalogue."""

    name: str
    labels: tuple[str, ...]
    value: float


class CanaryFacts(NamedTuple):
    """A canary in progress."""

    weight: float
    evidence: float
    """Of harm, as a share of what rolls back, both as logs; at least -1."""
    requests: tuple[int, int]
    """Of the canary and of stable."""
    errors: tuple[int, int]


class EnvironmentFacts(NamedTuple):
    """What the gauges need of an environment."""

    pipeline: str
    name: str
    serves: int | None
    alerts: int
    phase: str | None
    """Of its rollout."""
    waits: str | None
    """For which decision of a person: `approval` or `decision`."""
    asked: float
    """When its rollout was asked for."""
    canary: CanaryFacts | None


class StoredFacts(NamedTuple):
    """What the gauges are made of, as of one moment."""

    at: float
    """Seconds since the epoch."""
    environments: Sequence[EnvironmentFacts] = ()
    runs: Sequence[str] = ()
    """The pipelines of runs in progress."""
    outbox: Sequence[OutboxEntry] = ()
    inbox: Sequence[Delivered] = ()
    set_aside: int = 0
    stalls: Sequence[tuple[str, float]] = ()
    """The kind of each stalled object, and since when it has been."""


class FirstSeen(NamedTuple):
    """When entries of the outbox, failing ones and waits were first seen: the store has no such
    times. Of this process only."""

    entries: Mapping[int, float] = {}
    failing: Mapping[int, float] = {}
    waits: Mapping[tuple[str, str, str], float] = {}
    """By pipeline, environment and reason."""

    def after(self, facts: StoredFacts) -> "FirstSeen":
        """With what is new, and without what is gone."""
        failing = (one.number for one in facts.outbox if one.error is not None)
        return FirstSeen(
            {one.number: self.entries.get(one.number, facts.at) for one in facts.outbox},
            {number: self.failing.get(number, facts.at) for number in failing},
            {
                (one.pipeline, one.name, one.waits): self.waits.get(
                    (one.pipeline, one.name, one.waits),
                    # A canary is held some time after it was asked for, and that is not stored.
                    one.asked if one.waits == "approval" else facts.at,
                )
                for one in facts.environments
                if one.waits is not None
            },
        )


def environment_facts(env: EnvironmentState, version: ModelVersion | None) -> EnvironmentFacts:
    """The facts of an environment; `version` is the one that its rollout releases."""
    rollout, phase = env.rollout, None
    if rollout is not None and version is not None:
        phase = rollout.phase(version.spec, env.name, has_stable=env.has_server)
    waits = None
    if rollout is not None:
        waits = "decision" if rollout.held is not None else None
        waits = "approval" if rollout.awaiting_approval else waits
    return EnvironmentFacts(
        env.pipeline,
        env.name,
        env.stable.version if env.stable else None,
        len(env.alerts),
        phase,
        waits,
        rollout.asked if rollout else 0.0,
        _canary(rollout, version) if phase == "canary" and rollout and version else None,
    )


def _canary(rollout: Rollout, version: ModelVersion) -> CanaryFacts:
    shares = weights(version)
    weight = shares[rollout.step] if 0 <= rollout.step < len(shares) else 0.0
    judge, judgement = rollout.judge, rollout.judgement
    if judge is None or judgement is None:
        return CanaryFacts(weight, 0.0, (0, 0), (0, 0))
    limit = -log(judgement.policy.false_rollback)
    return CanaryFacts(
        weight,
        max(-1.0, judgement.log_worse / limit),
        (judge.requests(Arm.CANARY), judge.requests(Arm.STABLE)),
        (judge.errors(Arm.CANARY), judge.errors(Arm.STABLE)),
    )


def gauges(facts: StoredFacts, seen: FirstSeen, pipelines: PipelineLabels) -> list[Sample]:
    """The gauges of the stored state; `seen` is after these facts."""
    now = facts.at
    found = [*_environments(facts.environments, pipelines)]
    runs = Counter(pipelines.label(name) for name in facts.runs)
    found += _counted("headgate_runs_in_progress", runs)
    kinds = [str(one.action.get("type", "?")) for one in facts.outbox]
    found += _counted("headgate_outbox_entries", Counter(kinds))
    failing = Counter(
        kind for kind, one in zip(kinds, facts.outbox, strict=True) if one.error is not None
    )
    found += _counted("headgate_outbox_failing", failing)
    found += _counted("headgate_inbox_messages", Counter(one.to.kind for one in facts.inbox))
    found += _counted("headgate_stalls", Counter(kind for kind, _ in facts.stalls))
    for name, since in (
        ("headgate_waiting_for_human_oldest_seconds", seen.waits.values()),
        ("headgate_outbox_oldest_seconds", seen.entries.values()),
        ("headgate_outbox_oldest_failing_seconds", seen.failing.values()),
        ("headgate_inbox_oldest_seconds", [one.at for one in facts.inbox]),
        ("headgate_stalls_oldest_seconds", [since for _, since in facts.stalls]),
    ):
        found.append(Sample(name, (), max(0.0, now - min(since, default=now))))
    found.append(Sample("headgate_messages_set_aside", (), facts.set_aside))
    return found


def _environments(
    environments: Iterable[EnvironmentFacts], pipelines: PipelineLabels
) -> Iterator[Sample]:
    """Counts are summed over the pipelines that have no series of their own; what has no sum, as a
    weight, is left out of them."""
    counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for env in environments:
        pipeline = pipelines.label(env.pipeline)
        place = (pipeline, env.name)
        if env.phase is not None:
            counts["headgate_rollouts_in_progress", (*place, env.phase)] += 1
        if env.waits is not None:
            counts["headgate_waiting_for_human", (*place, env.waits)] += 1
        if env.alerts:
            counts["headgate_open_alerts", place] += env.alerts
        if env.canary is not None:
            for number, arm in enumerate(("canary", "stable")):
                counts["headgate_canary_requests", (*place, arm)] += env.canary.requests[number]
                counts["headgate_canary_errors", (*place, arm)] += env.canary.errors[number]
        if pipeline == OTHER:
            continue
        if env.serves is not None:
            yield Sample("headgate_serving_version", place, env.serves)
        if env.canary is not None:
            yield Sample("headgate_canary_weight_ratio", place, env.canary.weight)
            yield Sample("headgate_canary_evidence_ratio", place, env.canary.evidence)
    yield from (Sample(name, labels, value) for (name, labels), value in counts.items())


def _counted(name: str, counts: Counter[str]) -> Iterator[Sample]:
    return (Sample(name, (label,), count) for label, count in counts.items())
