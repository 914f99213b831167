"""PURE. A pipeline: its state, what is observed of it, and changes to its queues of runs.

A branch has one run at a time. Requests that come meanwhile wait, and the newest replaces the
others, unless the spec says `supersede: queue`.

`triggering` has the machine; `launching` starts the requested runs, and `superseding` decides what
a newer commit means for older ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import model_validator

from controller.machine.actions import ReportCommit
from controller.machine.core import InboxMessage, Value
from controller.machine.decision_builder import DecisionBuilder
from controller.machine.messages import CommitSeen, SpecGone
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import DatasetListing, SeenDataset
from controller.machine.pipelines.data_history import RememberedVersion
from controller.machine.repositories.pull import Pull, scope_of
from controller.machine.runs.data_exceptions import AcceptedVersion, FailedVersion
from controller.machine.runs.graph import Baseline
from controller.machine.runs.run import Run, Trigger
from specs.failures import Ignore
from specs.model import spec_path
from specs.notifications import Notification
from specs.schedule import ScheduleTrigger
from validators.report import Report


class Wanted(Value):
    """A requested run."""

    trigger: Trigger
    commit: str
    spec: str = ""
    """The path of its spec; empty in a state of an older controller, which means the branch's."""
    at: float
    force: bool = False
    """Run even if nothing changed."""
    fresh: bool = False
    """Run everything again, ignoring the cache."""
    asked: bool = False
    """Requested by more than a commit, so that it runs even where commits start no runs."""
    told: str | None = None
    """What the last report on its commit said that it waits for."""


class Last(Value):
    """A past or current run of a branch, as later commits are compared with it."""

    run: str
    commit: str
    fingerprint: str
    outcome: str = "running"
    datasets: Mapping[str, str] = {}
    """The dataset versions that it reads, by name."""
    places: Mapping[str, str] = {}
    """By dataset, its `data.place`."""
    superseded: bool = False
    """Whether it was cancelled in favour of a newer commit."""
    stale_at: float | None = None
    """When the first of its results expires, in seconds since the epoch; None: never."""
    covers: str = ""
    """The newest commit that was found to have nothing to run, as this run covers it."""


class Accepted(Value):
    """A commit that an approver lets be judged by its own rules."""

    commit: str
    by: str


KEEPS = "its environments keep what they run"
"""What becomes of a pipeline whose spec is no longer on the default branch."""


class PipelineState(Value):
    """The stored facts of a pipeline. What is by branch is by pull request, too."""

    name: str
    repository: str
    default_branch: str
    heads: Mapping[str, str] = {}
    """The last commit seen of each branch that has its spec."""
    specs: Mapping[str, str] = {}
    """The path of its spec on each branch."""
    pulls: Mapping[str, Pull] = {}
    """The pull requests among the branches."""
    accepted: Mapping[str, Accepted] = {}
    """By pull request, the head whose changed rules were accepted."""
    gone: str | None = None
    """Why its spec is no longer on the default branch; None while it is there."""
    wanted: Mapping[str, Wanted] = {}
    """By branch, the first of the requested runs."""
    behind: Mapping[str, tuple[Wanted, ...]] = {}
    """By branch, the requests behind the first, newest last."""
    active: Mapping[str, str] = {}
    """The run in progress, by branch."""
    last: Mapping[str, Last] = {}
    """By branch, the newest run."""
    passed: Mapping[str, Last] = {}
    """By branch, the newest run that passed."""
    data: Mapping[str, SeenDataset] = {}
    """By `data.place`."""
    accepted_versions: tuple[AcceptedVersion, ...] = ()
    """The dataset versions that may be read although their gates did not pass, newest last."""
    good: Mapping[str, str] = {}
    """By `data.origin`, the last version that passed its gate on the default branch."""
    failing: Mapping[str, FailedVersion] = {}
    """By `data.origin`, the newest version that a gate has judged there, if that did not pass."""
    histories: Mapping[str, tuple[RememberedVersion, ...]] = {}
    """By `data.origin`, the accepted versions that `checks` have judged, newest last."""
    taken: Mapping[str, str] = {}
    """By dataset, the version that the newest run of the default branch reads."""
    scheduled: float | None = None
    """When the schedule was last due or, before that, first seen; in seconds since the epoch."""
    schedule: ScheduleTrigger | None = None
    """The schedule in the default branch's spec."""
    runs: int = 0
    versions: int = 0
    alerts: tuple[str, ...] = ()
    """Firing alerts: at most one for each gate, and one for failed runs."""
    waits_for: str | None = None
    """What keeps requested runs from starting."""
    invalid: str | None = None
    """What is wrong with the spec at the head of the default branch."""
    held_back: str | None = None
    """Which data of the default branch is not used yet, and why."""

    @model_validator(mode="before")
    @classmethod
    def _by_folders(cls, body: Any) -> Any:
        """Older controllers stored the folders of specs."""
        if isinstance(body, dict) and "folders" in body:
            specs = {branch: spec_path(folder) for branch, folder in body["folders"].items()}
            body = {**{k: v for k, v in body.items() if k != "folders"}, "specs": specs}
        return body


class ObservedPipeline(Value):
    """What was observed for a pipeline: see `needs`."""

    code: Mapping[str, Code] = {}
    """By commit."""
    rules: Mapping[str, Code] = {}
    """By pull request, the base's version of the pipeline, whose gates judge it."""
    confined: bool = True
    """Whether local steps are confined, or the settings say that they need not be."""
    listings: Mapping[str, Mapping[str, DatasetListing]] = {}
    """By commit and dataset."""
    baseline: Baseline | None = None
    ended: Mapping[str, Run] = {}
    """The runs that ended according to the inbox, by id."""
    reports: Mapping[str, tuple[Report, ...]] = {}
    """The gates' reports of those runs, by run, without those that a person has overruled."""
    known: Mapping[str, int] = {}
    """Numbers of existing model versions, by package digest."""
    numbered: int = 0
    """The highest version number that the environments branch ever had."""
    everyone: tuple[Notification, ...] = ()
    """The settings' `notify` entries, which are notified of every pipeline."""


class PipelineContext(NamedTuple):
    """What one reconcile of a pipeline passes to every step of its decision."""

    observed: ObservedPipeline
    out: DecisionBuilder
    now: float
    """In seconds since the epoch."""


def begin(inbox: Sequence[InboxMessage]) -> PipelineState:
    """The state of a new pipeline. Raises `Ignore` if no commit has its spec yet."""
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
    """Request a run of the branch's head, last in its queue, replacing an earlier such request."""
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
    """All requested runs of a branch, newest last."""
    first = pipeline.wanted.get(branch)
    return (first, *pipeline.behind.get(branch, ())) if first else ()


def with_queue(pipeline: PipelineState, branch: str, line: Sequence[Wanted]) -> PipelineState:
    """With exactly these requests on the branch."""
    wanted = {name: one for name, one in pipeline.wanted.items() if name != branch}
    behind = {name: rest for name, rest in pipeline.behind.items() if name != branch}
    if line:
        wanted[branch] = line[0]
    if len(line) > 1:
        behind[branch] = tuple(line[1:])
    return pipeline.model_copy(update={"wanted": wanted, "behind": behind})


def drop_first(pipeline: PipelineState, branch: str) -> PipelineState:
    """Without the first requested run of a branch; the next one takes its place."""
    return with_queue(pipeline, branch, queue_of(pipeline, branch)[1:])


def report_waiting(
    pipeline: PipelineState, branch: str, waits_for: str, out: DecisionBuilder
) -> PipelineState:
    """Report once, on the commit of the first request, what its run waits for."""
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
    """A report on a commit of the branch, other than those of its run."""
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
