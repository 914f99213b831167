"""PURE. The state of a run: one execution of a pipeline for a commit and its dataset versions.

A node's phase and a run's outcome are derived from the facts below, so that they cannot contradict
them; `controller.machine.transitions` has what may follow what. `execution` decides a run.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from controller.machine.core import Value
from controller.machine.error_text import without_traceback
from controller.machine.runs.attempt import AttemptState, Building, Status
from controller.machine.runs.data_exceptions import AcceptedVersion, Fallback, accepted_in
from controller.machine.runs.graph import Graph
from controller.machine.runs.node_names import gate_name, is_evidence
from specs.model import SPEC_FILE
from validators.report import Report
from validators.verdict import Verdict

NodePhase = Literal["waiting", "running", "cached", "succeeded", "failed", "skipped"]
Outcome = Literal["running", "passed", "failed", "stopped", "cancelled"]


class Trigger(Value):
    """Why there is a run."""

    kind: Literal["commit", "pull_request", "data", "schedule", "manual", "retry"]
    why: str
    """A sentence: which commit, or which dataset changed from which version to which."""
    by: str = ""


class AttemptRecord(Value):
    """An attempt at a node, and how it ended."""

    id: str
    asked: float
    status: Status | None = None
    """Its final status; None until it has ended."""


class Progress(Value):
    """What is known of one node."""

    key: str | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    outputs: Mapping[str, str] | None = None
    """Digests by output name, once it has succeeded or was found in the cache."""
    cached_from: str | None = None
    """The run that made this result, if another did."""
    made: float | None = None
    """When this result was made, in seconds since the epoch."""
    verdict: Verdict | None = None
    """Of a gate."""
    failed: str | None = None
    """Why it failed for good."""
    skipped: str | None = None
    ended: float | None = None

    @property
    def done(self) -> bool:
        return self.outputs is not None or self.failed is not None or self.skipped is not None

    @property
    def open(self) -> AttemptRecord | None:
        """The attempt that has not ended, if there is one."""
        last = self.attempts[-1] if self.attempts else None
        return last if last and last.status is None else None

    @property
    def data_changed(self) -> bool:
        """Whether it failed because an object of its data was replaced."""
        last = self.attempts[-1].status if self.attempts else None
        return last is not None and last.state is AttemptState.DATA_CHANGED

    @property
    def unbuilt(self) -> Building | None:
        """The environment build that failed, if that is why it failed."""
        last = self.attempts[-1].status if self.attempts else None
        built = last.built if last and last.state is AttemptState.NO_ENVIRONMENT else ()
        return next((each for each in built if each.failed), None)

    @property
    def phase(self) -> NodePhase:
        if self.outputs is not None:
            return "cached" if self.cached_from else "succeeded"
        if self.failed is not None:
            return "failed"
        if self.skipped is not None:
            return "skipped"
        return "running" if self.open else "waiting"


NEW = Progress()
"""The progress of a node that has not begun."""


class Run(Value):
    """The facts of a run."""

    id: str
    number: int
    pipeline: str
    repository: str
    commit: str
    branch: str
    folder: str
    file: str = SPEC_FILE
    """The spec's name in that folder."""
    trigger: Trigger
    datasets: Mapping[str, str]
    fingerprint: str
    baseline: int | None = None
    """The version that its candidate is compared with."""
    pull: int | None = None
    """The pull request that it reports to."""
    scope: str = ""
    """Whose rules judge it, if not those of the default branch: `into easy`."""
    accepted: str = ""
    """Who agreed that a pull request's commit is judged by its own rules."""
    accepted_versions: tuple[AcceptedVersion, ...] = ()
    """The dataset versions that it may read although their gates fail."""
    fallbacks: tuple[Fallback, ...] = ()
    """The datasets that it reads at their last good version."""
    base: str | None = None
    """The commit of a pull request's base branch whose gates and release policy it is judged by."""
    fresh: bool = False
    """Whether it ignores the cache."""
    releases: bool = False
    """Whether a passing candidate is released: only from the default branch."""
    created: float
    nodes: Mapping[str, Progress] = {}
    environments: Mapping[str, Building] = {}
    """The environments that had to be built before steps could start, by name."""
    told: str | None = None
    """The steps in progress, as its pull request was last told."""
    told_at: float = 0.0
    waits_for: str | None = None
    """What its attempts wait for, such as a store that cannot be reached."""
    cancelled: str | None = None
    """By whom and why."""
    finished: float | None = None

    @property
    def spec(self) -> str:
        """The path of its spec in the repository."""
        return f"{self.folder}/{self.file}" if self.folder else self.file

    @property
    def attempt_facts(self) -> dict[str, object]:
        """What each of its attempts says of it, by the names that attempts have for it."""
        return {
            "run": self.id,
            "pipeline": self.pipeline,
            "branch": self.branch,
            "trusted": self.releases,
            "at": self.created,
        }

    @property
    def outcome(self) -> Outcome:
        if self.finished is None:
            return "running"
        if self.cancelled is not None:
            return "cancelled"
        if any(self.stops(node) for node in self.nodes.values()):
            return "stopped"
        if any(node.failed and not is_evidence(name) for name, node in self.nodes.items()):
            return "failed"
        return "passed"

    @property
    def live(self) -> bool:
        return self.finished is None

    @property
    def step(self) -> str | None:
        """The nodes in progress and the environments that others wait for, in one line."""
        building = [each for each in self.built if each.seconds is None]
        waiting = {name for each in building for name in each.waiting}
        open_ = [name for name, node in self.nodes.items() if node.open and not node.done]
        names: list[str] = [each.what for each in building if each.waiting]
        names += [name for name in open_ if name not in waiting]
        return ", ".join(names) or None

    @property
    def built(self) -> list[Building]:
        """The environments that had to be built, in order."""
        return sorted(self.environments.values(), key=lambda one: one.since)

    def accepted_version(self, node: Progress) -> AcceptedVersion | None:
        """What lets steps read the version that a gate did not pass; None if nothing does."""
        return accepted_in(self.accepted_versions, node.key, node.verdict)

    def stops(self, node: Progress) -> bool:
        """Whether a gate keeps what needs it from running."""
        if node.verdict is None or node.verdict.passes:
            return False
        return self.accepted_version(node) is None

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The gates' verdicts, by gate. One that a person has overruled is a warning: a limit was
        missed and does not block."""
        return {
            gate_name(name): Verdict.WARN if self.accepted_version(node) else node.verdict
            for name, node in self.nodes.items()
            if node.verdict is not None
        }


RENEWED = 86_400.0
"""Seconds in which the reuse of a cached result is recorded once, so that it costs nothing."""


class CachedResult(Value):
    """The cached result of a key."""

    run: str
    outputs: Mapping[str, str]
    verdict: Verdict | None = None
    seconds: float = 0.0
    made: float = 0.0
    """When, in seconds since the epoch; 0 if an older controller did not record it."""
    used: float = 0.0
    """When a run last made or reused it, give or take `RENEWED`; as `made`."""

    def is_reusable(self, stands: float | None, at: float) -> bool:
        """Whether a run that began at `at` may reuse it, for a node whose results may be reused for
        `stands` seconds."""
        return stands is None or (stands > 0 and at - self.made < stands)


class ObservedRun(Value):
    """What was observed of a run: its open attempts, and the cache."""

    graph: Graph
    statuses: Mapping[str, Status] = {}
    outputs: Mapping[str, Mapping[str, str]] = {}
    """Of succeeded attempts, by attempt."""
    uncollected: Mapping[str, str] = {}
    """Why the outputs of a succeeded attempt cannot be stored, by attempt."""
    reports: Mapping[str, Report] = {}
    """Gates' reports, by their attempt."""
    cache: Mapping[str, CachedResult | None] = {}
    """By key: its result, or None if there is none. Others have not been looked up: they are taken
    to have none."""


def passed_before(run: Run, others: Iterable[Run]) -> Run | None:
    """The earlier run that a run is compared with: the last one that passed on its branch, or else
    on the default branch."""
    before = [
        one
        for one in others
        if one.pipeline == run.pipeline and one.number < run.number and one.outcome == "passed"
    ]
    same = [one for one in before if one.branch == run.branch]
    return max(
        same or [one for one in before if one.releases], key=lambda one: one.number, default=None
    )


def why_ended(run: Run) -> str:
    """Why a run did not pass. Whole: reports cut it once secrets are redacted, as a part of one
    would not be recognised."""
    if run.cancelled is not None:
        return run.cancelled
    for name, node in run.nodes.items():
        if run.stops(node):
            return f"{name} ({node.verdict})"
    for name, node in run.nodes.items():
        if node.failed and not is_evidence(name) and (building := node.unbuilt) is not None:
            return f"environment: {building.failed}"
    for name, node in run.nodes.items():
        if node.failed:
            return f"{name}: {without_traceback(node.failed)}"
    return ""
