"""What a gate returns: checks with their evidence, and the verdict that follows from them."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from validators.verdict import Verdict, worst


class GateValue(BaseModel):
    """Base of the validators' values: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Location(GateValue):
    """Where in the repository a check was written, for an annotation on its line."""

    file: str
    line: int | None = None
    column: int | None = None


class Interval(GateValue):
    """A confidence interval; the bounds are in the unit of its value."""

    low: float
    high: float
    confidence: Annotated[float, Field(gt=0, lt=1)]


MOST_OBJECTS = 10
"""Objects that are named of those with rows that fail a check."""
MOST_EXAMPLES = 5
LONGEST_EXAMPLE = 40
"""Characters of an example. A longer value is left out, not cut: a part of a secret would not be
recognised as one."""


HEADGATE = "Headgate"
"""The engine that evaluates most expectations."""
GREAT_EXPECTATIONS = "Great Expectations"
GREAT_EXPECTATIONS_ON_SPARK = "Great Expectations on Spark"


class FailingObject(GateValue):
    """An object of a dataset with rows that fail a check."""

    key: str
    failing: Annotated[int, Field(gt=0)]
    rows: int
    """How many of its rows, or values, were evaluated."""


class FailingObjects(GateValue):
    """Where the rows are that fail a check: the objects with most of them, and how many more."""

    worst: Annotated[tuple[FailingObject, ...], Field(min_length=1, max_length=MOST_OBJECTS)]
    more: int = 0

    @classmethod
    def of(cls, every: Iterable[FailingObject]) -> "FailingObjects | None":
        """Of all objects with rows that fail; None if there are none."""
        ranked = sorted(every, key=lambda one: (-one.failing, one.key))
        if not ranked:
            return None
        return cls(worst=tuple(ranked[:MOST_OBJECTS]), more=max(len(ranked) - MOST_OBJECTS, 0))


class Examples(GateValue):
    """Some of the values that fail a check, of a column that the spec marks `examples: true`. No
    report has a value of any other column."""

    values: Annotated[
        tuple[Annotated[str, Field(max_length=LONGEST_EXAMPLE)], ...],
        Field(max_length=MOST_EXAMPLES),
    ]
    hidden: int = 0
    """How many other values fail it."""

    @classmethod
    def of(cls, every: Iterable[object]) -> "Examples | None":
        """Of the distinct values that fail, in their order; None if there are none."""
        texts = list(dict.fromkeys(str(value) for value in every))
        if not texts:
            return None
        shown = [text for text in texts if len(text) <= LONGEST_EXAMPLE][:MOST_EXAMPLES]
        return cls(values=tuple(shown), hidden=len(texts) - len(shown))


MOST_MEMBERS = 20
"""Members of a suite's set whose values are counted one by one in a report."""


class Histogram(GateValue):
    """How the values of a column are spread: how many lie in each of the bins between `edges`."""

    edges: Annotated[tuple[float, ...], Field(min_length=2)]
    counts: tuple[int, ...]
    """One fewer than edges; the least value of a bin is in it, the greatest in the next."""
    below: int = 0
    above: int = 0
    low: float | None = None
    """The edge at which the values begin that may be there; None: no limit."""
    high: float | None = None
    is_of_values: bool = True
    """Whether each value has to be within the limits, and not a statistic such as their mean."""
    is_whole: bool = False
    """Whether all values are whole; edges are then half-way between two of these."""
    unit: Literal["number", "day", "second", "character"] = "number"
    """Of the edges; days and seconds are those since 1970, UTC; characters are lengths of texts."""
    estimated: bool = False
    """Whether the counts are estimated from a sample."""

    @property
    def n(self) -> int:
        """How many values there are."""
        return self.below + sum(self.counts) + self.above


class MemberCount(GateValue):
    """How many values equal a member of the set that a suite allows."""

    member: str
    count: int


class MemberCounts(GateValue):
    """How the values of a column are spread over the members of a suite's set, those with most
    first."""

    members: Annotated[tuple[MemberCount, ...], Field(max_length=MOST_MEMBERS)]
    more: int = 0
    """How many values equal other members."""
    others: int = 0
    """How many values are not in the set. They are never named."""
    forbidden: bool = False
    """Whether the members are what may not be there."""
    estimated: bool = False
    """Whether the counts are estimated from a sample."""

    @property
    def n(self) -> int:
        """How many values there are."""
        return sum(one.count for one in self.members) + self.more + self.others


class Check(GateValue):
    """One question about the evidence, and its answer.

    Every field that applies to the check is filled in: a verdict without value, limit and n
    explains nothing.
    """

    name: str
    """Short, and the same in every run, e.g. `roc_auc at least 0.6`."""
    verdict: Verdict
    message: str
    """One sentence a reviewer understands without the code: what was found, against what."""
    subject: str | None = None
    """What was judged: a column, a slice (`carrier=AA`), a signal. None: everything."""
    observed: float | str | None = None
    limit: str | None = None
    """As a person writes it: `>= 0.6`, `no nulls`, `not worse by more than 0.005`."""
    baseline: float | str | None = None
    difference: float | None = None
    """Observed minus baseline, in the unit of both."""
    interval: Interval | None = None
    """Of the difference where there is a baseline, else of the observed value."""
    n: int | None = None
    """How many rows, pairs or requests were evaluated."""
    objects: FailingObjects | None = None
    """Data gate: which objects have rows that fail it."""
    examples: Examples | None = None
    """Data gate: values that fail it, if they may be shown."""
    histogram: Histogram | None = None
    """Data gate: of the column that fails it."""
    members: MemberCounts | None = None
    """Data gate: of the column that fails it, if the suite lists what is allowed."""
    reference: Histogram | MemberCounts | None = None
    """The same of the report's `reference`, in the same bins. No report is judged with it: it is
    looked up when the report is shown."""
    window: float | None = None
    """Seconds of traffic that were evaluated."""
    blocks: bool = True
    """Whether a FAIL stops the candidate. If not, it is reported as WARN."""
    next_step: str | None = None
    """What to do about it, with the exact command where there is one."""
    engine: str | None = None
    """Data gate: what evaluated it, Headgate or Great Expectations."""
    where: Location | None = None


class ReferenceVersion(GateValue):
    """The dataset version that is drawn beside what failed."""

    version: str
    day: str
    """When its run began, `2026-05-12`, UTC."""
    how: str
    """Why it counts: that its gate passed, or who accepted it."""
    run: str


class MetricComparison(GateValue):
    """A metric of both models on the same rows. For information: no verdict depends on it."""

    metric: str
    candidate: float | None
    """None where the metric is undefined; `note` says why."""
    baseline: float | None = None
    """Also None where there is no baseline."""
    difference: float | None = None
    """Candidate minus baseline."""
    interval: Interval | None = None
    """Of the difference; None where the rows allow none."""
    greater_is_better: bool | None
    """None for one of the team's own numbers whose direction is unknown."""
    n: int | None
    """Rows that the candidate's value was measured on; None for one of the team's own numbers."""
    note: str | None = None
    checked: bool = True
    """Whether a check of the gate names it; otherwise it is shown for information only."""


class Report(GateValue):
    """The outcome of one gate. The verdict is derived from the checks, so they cannot disagree."""

    gate: Literal["data", "model", "canary", "smoke", "switch"]
    subject: str
    """What was judged: a dataset, a model version, a rollout."""
    exam: str = ""
    """Model gate: whose evaluation made the predictions, if not the candidate's own."""
    baseline: str = ""
    """Model gate: what the candidate was compared with, e.g. `v6`; empty if with nothing."""
    checks: tuple[Check, ...] = ()
    accepted: str = ""
    """Who overruled the verdict, when and why: `accepted by ana on 2026-11-30: ...`. What failed
    then warns; a gate that could not judge cannot be overruled."""
    enforces: bool = True
    """False for a gate that cannot fail (compared with itself, dry run); shown as such."""
    provenance: dict[str, str] = {}
    """The digests and versions that the verdict is valid for, by name."""
    notes: tuple[str, ...] = ()
    """What a reader must know beyond the checks, e.g. why there is no baseline."""
    reference: ReferenceVersion | None = None
    """Data gate: what is drawn beside the columns that fail, once the report is shown."""
    metrics: tuple[MetricComparison, ...] = ()
    """Model gate: every metric that a check names, and the usual ones for its task."""

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks; ERROR when nothing was evaluated."""
        found = worst(check.verdict for check in self.checks)
        overruled = self.accepted and found in (Verdict.FAIL, Verdict.INCONCLUSIVE)
        return Verdict.WARN if overruled else found

    def overrules(self, check: Check) -> bool:
        """Whether a person has overruled the gate in what this check found."""
        return bool(self.accepted) and check.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)

    def count(self, verdict: Verdict) -> int:
        """How many checks ended with this verdict."""
        return sum(check.verdict is verdict for check in self.checks)
