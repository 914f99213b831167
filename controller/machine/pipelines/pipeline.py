"""PURE. A pipeline: what was seen of its code and data, and which runs that asks for. Its values.

One run per branch at a time. What is asked for meanwhile waits, and the newest of it wins: nobody
wants the model of the commit before last. With `supersede: queue` commits wait in line.

`triggering` moves a pipeline; `launching` starts the runs that it wants, and `superseding` says
what a newer commit means for those before it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import model_validator

from controller.machine.actions import ReportCommit
from controller.machine.core import InboxMessage, Value
from controller.machine.decision_builder import DecisionBuilder
from controller.machine.messages import CommitSeen, SpecGone
from controller.machine.pipelines.code import Code, spec_at
from controller.machine.pipelines.data import DatasetListing, SeenDataset
from controller.machine.repositories.pull import Pull, scope_of
from controller.machine.runs.graph import Baseline
from controller.machine.runs.run import Run, Trigger
from specs.failures import Ignore
from specs.notifications import Notification
from specs.schedule import ScheduleTrigger
from validators.report import Report


class Wanted(Value):
    """A run that is asked for."""

    trigger: Trigger
    commit: str
    spec: str = ""
    """The path of its spec; empty in a state of before commits could wait in line: as the branch
    has it."""
    at: float
    force: bool = False
    """Run even if nothing changed."""
    fresh: bool = False
    """Run everything anew, whatever the cache has."""
    asked: bool = False
    """By more than a commit: it runs where commits start no runs, too."""
    told: str | None = None
    """What its commit was told that it waits for."""


class Last(Value):
    """A run of a branch: the newest, or the newest that passed."""

    run: str
    commit: str
    fingerprint: str
    outcome: str = "running"
    datasets: Mapping[str, str] = {}
    """The versions that it reads."""
    places: Mapping[str, str] = {}
    """By dataset, its `data.place`."""
    superseded: bool = False
    """Whether it was cancelled for what waits now."""
    stale_at: float | None = None
    """When the first of its results stands no longer, once it ended; None: all stand for ever."""


class Accepted(Value):
    """A commit that somebody with the right lets be judged by its own rules."""

    commit: str
    by: str


class PipelineState(Value):
    """The facts of a pipeline."""

    name: str
    repository: str
    default_branch: str
    heads: Mapping[str, str] = {}
    """Of the branches with its spec."""
    specs: Mapping[str, str] = {}
    """The path of its spec, on each of them."""
    pulls: Mapping[str, Pull] = {}
    """Those of them that are pull requests."""
    accepted: Mapping[str, Accepted] = {}
    """By pull request among the branches, the head whose changed rules were accepted."""
    gone: str | None = None
    """Why it wants nothing: its spec is not on the default branch any more."""
    wanted: Mapping[str, Wanted] = {}
    behind: Mapping[str, tuple[Wanted, ...]] = {}
    """By branch, the newer commits that wait behind what is wanted, the newest last."""
    active: Mapping[str, str] = {}
    """The run that goes on, by branch."""
    last: Mapping[str, Last] = {}
    passed: Mapping[str, Last] = {}
    """By branch, the newest run that passed."""
    data: Mapping[str, SeenDataset] = {}
    """By `data.place`."""
    taken: Mapping[str, str] = {}
    """Per dataset, the version that the newest run of the default branch reads."""
    scheduled: float | None = None
    """When the schedule was last due, or since when there is one; in seconds since the epoch."""
    schedule: ScheduleTrigger | None = None
    """That of the default branch."""
    runs: int = 0
    versions: int = 0
    alerts: tuple[str, ...] = ()
    """Alerts that fire, to be resolved: at most one of each gate, and one of runs that failed."""
    waits_for: str | None = None
    """What keeps a wanted run from starting."""
    invalid: str | None = None
    """What is wrong with the spec at the head of the default branch."""
    held_back: str | None = None
    """What data of the default branch counts for nothing yet, and why."""

    @model_validator(mode="before")
    @classmethod
    def _by_folders(cls, body: Any) -> Any:
        """Older controllers knew a spec by its folder."""
        if isinstance(body, dict) and "folders" in body:
            specs = {branch: spec_at(folder) for branch, folder in body["folders"].items()}
            body = {**{k: v for k, v in body.items() if k != "folders"}, "specs": specs}
        return body


class ObservedPipeline(Value):
    """What the world says of a pipeline."""

    code: Mapping[str, Code] = {}
    """By commit: of wanted commits and of the head of the default branch."""
    rules: Mapping[str, Code] = {}
    """By pull request among the branches that want a run: whose gates judge it."""
    confined: bool = True
    """Whether what a step of this machine can reach is bounded, or need not be."""
    listings: Mapping[str, Mapping[str, DatasetListing]] = {}
    """Of the datasets that the spec of each of those commits names, by commit and dataset; and of
    those of the rules, by their commit."""
    baseline: Baseline | None = None
    ended: Mapping[str, Run] = {}
    """The runs that messages say have ended, by id."""
    reports: Mapping[str, tuple[Report, ...]] = {}
    """The gates' reports of those runs."""
    known: Mapping[str, int] = {}
    """Numbers of versions that exist already, by package digest."""
    numbered: int = 0
    """The highest number of a version that the environments branch ever named."""
    everyone: tuple[Notification, ...] = ()
    """The settings' entries, who are told of every pipeline."""


class PipelineContext(NamedTuple):
    """What one reconcile of a pipeline carries."""

    observed: ObservedPipeline
    out: DecisionBuilder
    now: float
    """In seconds since the epoch."""


def begin(inbox: Sequence[InboxMessage]) -> PipelineState:
    """A pipeline that was seen for the first time. Raises `Ignore` if it was not."""
    first = next((x.message for x in inbox if isinstance(x.message, CommitSeen)), None)
    if first is None:
        raise Ignore("no commit with its spec was seen yet")
    return PipelineState(
        name=first.pipeline,
        repository=first.repository,
        default_branch=first.default_branch,
    )


def is_name_taken(pipeline: PipelineState, message: CommitSeen) -> bool:
    """Whether a commit is of another repository, whose pipeline has the name of this one.

    A pipeline that is on no branch may move to another repository. A pull request, which anybody
    may open, neither moves it nor keeps it.
    """
    claimed = pipeline.gone is None and bool(pipeline.heads.keys() - pipeline.pulls.keys())
    is_other = message.repository != pipeline.repository
    return is_other and (claimed or message.pull is not None)


def with_head(pipeline: PipelineState, message: CommitSeen) -> PipelineState:
    """With the new head of a branch or pull request."""
    branch, pull = message.branch, message.pull
    return pipeline.model_copy(
        update={
            "heads": {**pipeline.heads, branch: message.commit},
            "specs": {**pipeline.specs, branch: message.spec},
            "pulls": {**pipeline.pulls, branch: pull} if pull else pipeline.pulls,
            "repository": message.repository,
            "default_branch": message.default_branch,
            "gone": None if branch == message.default_branch else pipeline.gone,
        }
    )


def with_pull(pipeline: PipelineState, branch: str, pull: Pull | None) -> PipelineState:
    """With the pull request as it is now: its base may have moved, and its current rules judge."""
    if pull is None or branch not in pipeline.pulls:
        return pipeline
    return pipeline.model_copy(update={"pulls": {**pipeline.pulls, branch: pull}})


def concerns(pipeline: PipelineState, message: SpecGone) -> bool:
    """Whether the pipeline was on that branch."""
    return message.branch in pipeline.heads and message.repository == pipeline.repository


def without_branch(pipeline: PipelineState, message: SpecGone) -> PipelineState:
    """Without a branch that the pipeline is no longer on."""
    branch = message.branch
    left = {
        facts: {name: one for name, one in getattr(pipeline, facts).items() if name != branch}
        for facts in _BY_BRANCH
    }
    gone = message.why if branch == pipeline.default_branch else pipeline.gone
    return pipeline.model_copy(update={**left, "gone": gone})


_BY_BRANCH = ("heads", "specs", "pulls", "wanted", "behind", "last", "passed", "accepted")


def request_run(
    pipeline: PipelineState,
    branch: str,
    trigger: Trigger,
    now: float,
    *,
    force: bool = False,
    fresh: bool = False,
) -> PipelineState:
    """Ask for a run of the branch's head, last in line; what already waits for it is replaced."""
    commit = pipeline.heads.get(branch)
    if commit is None:
        return pipeline
    line = queue_of(pipeline, branch)
    before = line[-1] if line and line[-1].commit == commit else None
    wanted = Wanted(
        trigger=trigger,
        commit=commit,
        spec=pipeline.specs.get(branch, ""),
        at=now,
        force=force or bool(before and before.force),
        fresh=fresh or bool(before and before.fresh),
        asked=trigger.kind not in ("commit", "pull_request") or bool(before and before.asked),
    )
    return with_queue(pipeline, branch, (*(line[:-1] if before else line), wanted))


def queue_of(pipeline: PipelineState, branch: str) -> tuple[Wanted, ...]:
    """All that waits there, the newest last."""
    first = pipeline.wanted.get(branch)
    return (first, *pipeline.behind.get(branch, ())) if first else ()


def with_queue(pipeline: PipelineState, branch: str, line: Sequence[Wanted]) -> PipelineState:
    """With that waiting on the branch, and nothing else."""
    wanted = {name: one for name, one in pipeline.wanted.items() if name != branch}
    behind = {name: rest for name, rest in pipeline.behind.items() if name != branch}
    if line:
        wanted[branch] = line[0]
    if len(line) > 1:
        behind[branch] = tuple(line[1:])
    return pipeline.model_copy(update={"wanted": wanted, "behind": behind})


def drop_first(pipeline: PipelineState, branch: str) -> PipelineState:
    """Without the run that the branch wants; the next in line has its turn."""
    return with_queue(pipeline, branch, queue_of(pipeline, branch)[1:])


def report_waiting(
    pipeline: PipelineState, branch: str, waits_for: str, out: DecisionBuilder
) -> PipelineState:
    """Say once on the wanted commit what its run waits for."""
    wanted = pipeline.wanted[branch]
    if wanted.told == waits_for:
        return pipeline
    out.actions.append(report(pipeline, branch, wanted.commit, "running", f"waits: {waits_for}"))
    knows = wanted.model_copy(update={"told": waits_for})
    return pipeline.model_copy(update={"wanted": {**pipeline.wanted, branch: knows}})


def report(
    pipeline: PipelineState,
    branch: str,
    commit: str,
    state: Literal["running", "cancelled", "skipped", "invalid", "held"],
    title: str,
    run: str | None = None,
    text: str = "",
) -> ReportCommit:
    """What is said on a commit of the branch beside what its run says itself."""
    pull = pipeline.pulls.get(branch)
    return ReportCommit(
        repository=pipeline.repository,
        commit=commit,
        pipeline=pipeline.name,
        state=state,
        title=title,
        run=run,
        text=text,
        pull=pull.told if pull else None,
        scope=scope_of(branch, pull, pipeline.default_branch),
    )
