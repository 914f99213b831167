"""PURE. Every action that a machine can ask for; `wiring/controller.py` says who applies which."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from controller.machine.core import Action, Value
from controller.machine.environments.file import EnvironmentFile
from controller.machine.runs.attempt import Attempt
from specs.digests import digest
from specs.loading.problems import Problem
from specs.notifications import NotifyEvent


class StartAttempt(Action):
    """Start an attempt at a step or a gate, unless it was started before."""

    lasting: ClassVar[bool] = True
    type: Literal["start_attempt"] = "start_attempt"
    lane: ClassVar[str] = "attempts"
    attempt: Attempt


class CancelAttempt(Action):
    """End an attempt and all its processes."""

    lasting: ClassVar[bool] = True
    type: Literal["cancel_attempt"] = "cancel_attempt"
    lane: ClassVar[str] = "attempts"
    attempt: str


ReportState = Literal[
    "running", "passed", "failed", "stopped", "cancelled", "skipped", "invalid", "held", "accepted"
]
"""`skipped`: nothing to run. `held`: waits until somebody who may do so approves the commit or
accepts the rules that it loosens. `accepted`: somebody has, and nothing is judged."""


class ReportCommit(Action):
    """Say on a commit how a pipeline stands there: the terminal status, or that it runs."""

    background: ClassVar[bool] = True
    type: Literal["report_commit"] = "report_commit"
    lane: ClassVar[str] = "report"
    repository: str
    commit: str
    pipeline: str
    state: ReportState
    title: str
    """The verdict in a line."""
    scope: str = ""
    """By whose rules, where they are not those of the default branch: `into easy`, `on trial`.
    What one branch lets through says nothing to another, so each scope has a check of its own."""
    asks: Literal["", "approve", "accept"] = ""
    """What it waits for, of a `held` one: that a fork's commit may run, or that rules may go."""
    run: str | None = None
    """Whose gate reports belong below it."""
    text: str = ""
    """What else there is to say, as plain text."""
    problems: tuple[Problem, ...] = ()
    """What of that stands on a line of a file."""
    pull: int | None = None
    """The pull request whose head the commit is, where it is reported for one."""
    step: str | None = None
    """Only tells how far the run is: the step that runs now."""


class ReportUntouched(Action):
    """Say on a commit, once for all these pipelines, that it changes nothing that they read.

    That is their terminal status there.
    """

    background: ClassVar[bool] = True
    type: Literal["report_untouched"] = "report_untouched"
    lane: ClassVar[str] = "report"
    repository: str
    commit: str
    title: str
    """The verdict in a line."""
    named: Mapping[str, str]
    """The first of the pipelines, each with the run whose result stands; empty: none."""
    others: int = 0
    """How many more there are."""
    scope: str = ""
    """See `ReportCommit.scope`."""


class ReportPolicy(Action):
    """Say on the head of a pull request how it changes a pipeline's rules, in a check of its own.

    It fails while a rule is loosened, or the whole pipeline removed, and nobody with the right has
    accepted that for this very commit.
    """

    background: ClassVar[bool] = True
    type: Literal["report_policy"] = "report_policy"
    repository: str
    commit: str
    pipeline: str
    pull: int
    base: str
    """The branch that it would be merged into."""
    base_commit: str
    """Where that branch is: its rules, or the last that it had of that name, are compared."""
    queued: bool = False
    """Whether it is said on a merge group, whose last pull request that is."""
    scope: str = ""
    """See `ReportCommit.scope`."""
    accepted: str = ""
    """By whom the changed rules were accepted for this commit."""

    @property
    def lane(self) -> str:
        """The check's own: of what is to be said there, only the last is wanted."""
        return f"policy {self.commit} {self.pipeline} {self.scope}".rstrip()


class AnswerCommand(Action):
    """Answer a command in a comment of a pull request: by a comment, or a thumb up."""

    background: ClassVar[bool] = True
    type: Literal["answer"] = "answer"
    lane: ClassVar[str] = "answer"
    repository: str
    pull: int
    comment: int
    text: str = ""
    """In Markdown; nothing: it is simply done."""
    plan: bool = False
    """Answer with the plan of what runs for the pull request."""


DeploymentState = Literal["queued", "in_progress", "success", "failure", "inactive"]


class ReportDeployment(Action):
    """Show in the code's repository how far a rollout is, on the commit that brought its version.

    `inactive`: the rollout was withdrawn, or what it brought serves no more.
    """

    background: ClassVar[bool] = True
    type: Literal["report_deployment"] = "report_deployment"
    repository: str
    commit: str
    pipeline: str
    environment: str
    shown: str
    """What the environment is called there."""
    mark: str
    """The id of the rollout."""
    version: int
    state: DeploymentState
    text: str

    @property
    def lane(self) -> str:
        """The rollout's own: of what it has to say, only the last is wanted."""
        return f"deployment {self.mark}"


class ReportRelease(Action):
    """Say on the commit that brought a version whether an environment could keep it."""

    background: ClassVar[bool] = True
    type: Literal["report_release"] = "report_release"
    repository: str
    commit: str
    pipeline: str
    environment: str
    healthy: bool
    text: str

    @property
    def lane(self) -> str:
        """The commit's own: several versions may come of one, and the last word counts."""
        return f"release {self.commit}"


class SignalEvidence(Value):
    """One line of an incident: a signal, what it showed, and what was allowed."""

    signal: str
    observed: str
    limit: str = ""
    baseline: str = ""
    n: int | None = None
    note: str = ""


class Origin(Value):
    """The commit that a model version was made of."""

    commit: str
    author: str = ""
    subject: str = ""


class Moment(Value):
    """When something was so, in seconds since the epoch."""

    what: str
    at: float


class Background(Value):
    """What whoever is told of a rollout would look up next."""

    rollout: str
    origin: Origin | None = None
    """None where the repository could not be read."""
    because: str = ""
    """Why it was to be released."""
    since: tuple[Moment, ...] = ()
    """The oldest first."""
    hurt: str = ""
    """How many callers."""
    beside: str = ""
    """What served beside it, and is compared with in `differs`: `v4 (cd34ef56ab12)`."""
    differs: tuple[str, ...] = ()
    """Parameters, files and data, a line each."""


class Incident(Value):
    """What on-call is told: enough to go back to sleep, or to know why not."""

    pipeline: str
    environment: str | None = None
    title: str
    what: str
    """What happened, in a sentence or two."""
    was: str | None = None
    """What was taken out: `v5 (ab12cd34ef56)`."""
    now: str | None = None
    """What serves now, with its share of the traffic where there are two."""
    evidence: tuple[SignalEvidence, ...] = ()
    points: bool = False
    """Whether `now` is what the environment points to, and no server answers there."""
    needs_human: bool = False
    commands: tuple[str, ...] = ()
    background: Background | None = None
    controller: str = ""
    """Which controller tells; filled in where it is sent."""


NotifyStatus = Literal["firing", "resolved", "info"]


class Notify(Action):
    """Tell one address once. `alert` pairs a firing with its resolve, and de-duplicates both.

    Each address has an action of its own: one that is out of reach is tried again by itself, and
    the others are not told twice.
    """

    type: Literal["notify"] = "notify"
    event: NotifyEvent
    status: NotifyStatus
    alert: str
    to: str | None
    """An Apprise URL, with `${NAME}` for secrets, or `github-issue`; None: only the log."""
    incident: Incident

    @property
    def lane(self) -> str:
        """The address's own: what fires there comes before what is resolved there."""
        return f"notify {digest(self.to)}"


class Deploy(Action):
    """Converge an environment on these versions; versions by number."""

    type: Literal["deploy"] = "deploy"
    lane: ClassVar[str] = "deploy"
    pipeline: str
    environment: str
    stable: int | None
    canary: int | None = None
    canary_weight: float = 0.0
    attempt: str
    """Of the rollout; names the canary's server and seeds the draw."""
    closed: bool = False
    """Whether nothing is to answer there: what is released is no server."""


class RunSmoke(Action):
    """Ask the candidate, past the router, what the spec's smoke requests ask.

    The outcome is `SmokeDone` with the report.
    """

    type: Literal["run_smoke"] = "run_smoke"
    lane: ClassVar[str] = "smoke"
    pipeline: str
    environment: str
    rollout: str
    version: int
    address: str


class StartBatch(Action):
    """Start a version's batch command, on its datasets as they are then.

    The outcome is `BatchStarted` with the attempt.
    """

    type: Literal["start_batch"] = "start_batch"
    lane: ClassVar[str] = "batch"
    pipeline: str
    environment: str
    version: int
    job: str
    """The id of the attempt."""


class WriteEnvironment(Action):
    """Commit what an environment runs. The outcome is `EnvironmentWritten`.

    When a commit of somebody else touched the file after `seen`, nothing is written and the
    outcome is `EnvironmentMoved`: that commit is looked at first.
    """

    type: Literal["write_environment"] = "write_environment"
    lane: ClassVar[str] = "write"
    write: str
    """Names the write; becomes the commit's trailer, by which a second apply finds the first."""
    repository: str
    subject: str
    file: EnvironmentFile
    seen: str | None
    """The last commit of the file that was acted on; None before the first."""


class Propose(Action):
    """Open a pull request that releases a version, or bring the one that is open up to date.

    The outcome is `ReleaseProposed` with its number and address.
    """

    type: Literal["propose"] = "propose"
    repository: str
    proposal: str
    """The id of the rollout."""
    file: EnvironmentFile
    """What merging it makes of the environment's file."""
    version: int
    baseline: int | None
    """What serves now."""
    seen: str | None
    """The last commit of the file that was acted on."""

    @property
    def lane(self) -> str:
        """The rollout's own: its proposal is made before it is withdrawn."""
        return f"proposal {self.proposal}"


class WithdrawProposal(Action):
    """Close a rollout's pull request, if it is open, saying why; and delete its branch."""

    type: Literal["withdraw_proposal"] = "withdraw_proposal"
    repository: str
    proposal: str
    text: str

    @property
    def lane(self) -> str:
        """The rollout's own."""
        return f"proposal {self.proposal}"
