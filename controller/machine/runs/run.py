"""PURE. A run: one execution of a pipeline for a commit and its dataset versions. Its values.

    node      waiting -> running -> succeeded | failed      (failed tries may be retried)
              waiting -> cached                             (a node of equal key succeeded before)
              waiting -> skipped                            (something it needs did not succeed)
    run       running -> passed | failed | stopped | cancelled

A node's phase and a run's outcome are derived from the facts below, so they cannot disagree.
`execution` moves a run; `absorb` takes in what ended.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from controller.machine.core import Value
from controller.machine.error_text import without_traceback
from controller.machine.runs.attempt import AttemptState, Building, Status
from controller.machine.runs.graph import Graph, is_evidence
from specs.model import SPEC_FILE
from validators.report import Report
from validators.verdict import Verdict

NodePhase = Literal["waiting", "running", "cached", "succeeded", "failed", "skipped"]
Outcome = Literal["running", "passed", "failed", "stopped", "cancelled"]


class Trigger(Value):
    """Why there is a run."""

    kind: Literal["commit", "pull_request", "data", "schedule", "manual", "retry"]
    why: str
    """In a sentence: which commit, which dataset went from what to what."""
    by: str = ""


class Tried(Value):
    """One attempt at a node."""

    id: str
    asked: float
    status: Status | None = None
    """Its last state; None until it ended."""


class Progress(Value):
    """What is known of one node."""

    key: str | None = None
    attempts: tuple[Tried, ...] = ()
    outputs: Mapping[str, str] | None = None
    """Digests by output name, once it succeeded or was found in the cache."""
    cached_from: str | None = None
    """The run that this result was made by."""
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
    def open(self) -> Tried | None:
        """The attempt that has not ended."""
        last = self.attempts[-1] if self.attempts else None
        return last if last and last.status is None else None

    @property
    def data_changed(self) -> bool:
        """Whether it failed because an object of its data was replaced."""
        last = self.attempts[-1].status if self.attempts else None
        return last is not None and last.state is AttemptState.DATA_CHANGED

    @property
    def unbuilt(self) -> Building | None:
        """Its environment, if that could not be built."""
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
"""Of a node that nothing is known of."""


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
    """The version that it is held against."""
    pull: int | None = None
    """The pull request that it reports to."""
    scope: str = ""
    """By whose rules it is judged, where they are not those of the default branch: `into easy`."""
    accepted: str = ""
    """Who accepted that a pull request's commit is judged by its own rules."""
    base: str | None = None
    """The commit of a pull request's base branch whose gates and release policy it is judged by."""
    fresh: bool = False
    """Whether it takes nothing from the cache."""
    releases: bool = False
    """Whether a passing candidate is released: only from the default branch."""
    created: float
    nodes: Mapping[str, Progress] = {}
    environments: Mapping[str, Building] = {}
    """What had to be built before steps could start, by name."""
    told: str | None = None
    """The steps in progress that its pull request was told of last."""
    told_at: float = 0.0
    waits_for: str | None = None
    """What its attempts wait for: a store that is away or refuses."""
    cancelled: str | None = None
    """By whom and why."""
    finished: float | None = None

    @property
    def spec(self) -> str:
        """The path of its spec in the repository."""
        return f"{self.folder}/{self.file}" if self.folder else self.file

    @property
    def outcome(self) -> Outcome:
        if self.finished is None:
            return "running"
        if self.cancelled is not None:
            return "cancelled"
        if any(node.verdict and not node.verdict.passes for node in self.nodes.values()):
            return "stopped"
        if any(node.failed and not is_evidence(name) for name, node in self.nodes.items()):
            return "failed"
        return "passed"

    @property
    def live(self) -> bool:
        return self.finished is None

    @property
    def step(self) -> str | None:
        """The nodes that are in progress, in a line, and what has to be built before others are."""
        building = [each for each in self.built if each.seconds is None]
        waiting = {name for each in building for name in each.waiting}
        open_ = [name for name, node in self.nodes.items() if node.open and not node.done]
        names: list[str] = [each.what for each in building if each.waiting]
        names += [name for name in open_ if name not in waiting]
        return ", ".join(names) or None

    @property
    def built(self) -> list[Building]:
        """What had to be built, in order."""
        return sorted(self.environments.values(), key=lambda one: one.since)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The gates' verdicts, by gate."""
        return {
            name.removeprefix("gate."): node.verdict
            for name, node in self.nodes.items()
            if node.verdict is not None
        }


class CachedResult(Value):
    """What the cache knows of a key."""

    run: str
    outputs: Mapping[str, str]
    verdict: Verdict | None = None
    seconds: float = 0.0
    made: float = 0.0
    """When, in seconds since the epoch; 0 where an older controller did not write it down."""

    def counts(self, stands: float | None, at: float) -> bool:
        """Whether the result of a node that stands for so many seconds is one for a run that began
        `at` that time."""
        return stands is None or (stands > 0 and at - self.made < stands)


class ObservedRun(Value):
    """What the world says of a run: of its open attempts, and of the cache."""

    graph: Graph
    statuses: Mapping[str, Status] = {}
    outputs: Mapping[str, Mapping[str, str]] = {}
    """Of succeeded attempts, by attempt."""
    uncollected: Mapping[str, str] = {}
    """Why outputs of a succeeded attempt cannot be taken, by attempt."""
    reports: Mapping[str, Report] = {}
    """Gates' reports, by their attempt."""
    cache: Mapping[str, CachedResult | None] = {}
    """By key; a key that is not in it has not been looked up."""


MOST_SAID = 600
"""Characters of an installer's words."""


def passed_before(run: Run, others: Iterable[Run]) -> Run | None:
    """The run that one is compared with: of those before it the last of its branch that passed, or
    else the last of the default branch."""
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
    """In a few words that are fit for a report, what ended a run that did not pass."""
    if run.cancelled is not None:
        return run.cancelled
    for name, node in run.nodes.items():
        if node.verdict and not node.verdict.passes:
            return f"{name} ({node.verdict})"
    for name, node in run.nodes.items():
        if node.failed and not is_evidence(name) and (building := node.unbuilt) is not None:
            return f"environment: {building.failed}"[:MOST_SAID]
    for name, node in run.nodes.items():
        if node.failed:
            return f"{name}: {without_traceback(node.failed)}"[:300]
    return ""
