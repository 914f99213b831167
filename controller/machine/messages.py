"""PURE. Every message that an object, a source or a person can send to an object.

One class per message. `machine/handlers.py` has the table of handlers; a message that cannot be
read as one of these classes, or that has no handler, is set aside.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import SerializeAsAny, field_validator

from controller.machine.core import Action, Message, parsed
from controller.machine.repositories.pull import Pull
from controller.machine.runs.attempt import Attempt
from controller.machine.runs.data_exceptions import AcceptedVersion
from controller.machine.runs.run import Outcome, Run
from validators.report import Report
from validators.verdict import Verdict

_REPOSITORY = frozenset({"repository"})
_PIPELINE = frozenset({"pipeline"})
_RUN = frozenset({"run"})
_ENVIRONMENT = frozenset({"environment"})
_STALL = frozenset({"stall"})


class CommitSeen(Message):
    """To a pipeline: a branch or a pull request has a new head."""

    addressees = _PIPELINE
    type: Literal["commit_seen"] = "commit_seen"
    pipeline: str
    repository: str
    spec: str
    """The path of the pipeline's spec in that commit."""
    branch: str
    commit: str
    default_branch: str
    subject: str = ""
    author: str = ""
    pull: Pull | None = None
    """The pull request whose head that is."""


class SpecGone(Message):
    """To a pipeline: a branch, or the pipeline's spec on it, is gone."""

    addressees = _PIPELINE
    type: Literal["spec_gone"] = "spec_gone"
    repository: str
    branch: str
    commit: str | None
    """The branch's head, to report on; None if there is nothing to report."""
    why: str


class RunRequested(Message):
    """To a pipeline: somebody requests a run of a branch's head."""

    addressees = _PIPELINE
    type: Literal["run_requested"] = "run_requested"
    kind: Literal["manual", "retry"]
    why: str
    by: str = ""
    branch: str = ""
    """Empty: the default branch."""
    force: bool = False
    """Run even if nothing changed."""
    fresh: bool = False
    """Ignore the cache."""
    unless_passed: bool = False
    """Only if the branch's last run has ended and did not pass."""
    pull: Pull | None = None
    """The pull request as it is now, as its base may have moved."""


class ScheduleDue(Message):
    """To a pipeline: its schedule is due."""

    addressees = _PIPELINE
    type: Literal["schedule_due"] = "schedule_due"
    at: str
    """When, in ISO 8601 with UTC."""


class RulesAccepted(Message):
    """To a pipeline: a pull request's commit may be judged by its own rules."""

    addressees = _PIPELINE
    type: Literal["rules_accepted"] = "rules_accepted"
    branch: str
    commit: str
    by: str
    pull: Pull


class AcceptData(Message):
    """To a pipeline: a person accepts a dataset version that its gates did not pass."""

    addressees = _PIPELINE
    type: Literal["accept_data"] = "accept_data"
    versions: tuple[AcceptedVersion, ...]
    """The same version, as each gate has judged it that did not pass."""


class RevokeData(Message):
    """To a pipeline: a dataset version is not accepted any more."""

    addressees = _PIPELINE
    type: Literal["revoke_data"] = "revoke_data"
    dataset: str
    version: str
    by: str
    reason: str


class CancelRun(Message):
    """To a run: stop. To a pipeline: stop the run and drop the requests of a branch."""

    addressees = _RUN | _PIPELINE
    type: Literal["cancel_run"] = "cancel_run"
    reason: str
    branch: str = ""
    """Only in a message to a pipeline."""
    by: str = ""


class RunEnded(Message):
    """To a pipeline: one of its runs ended, with what is needed to make a model version."""

    addressees = _PIPELINE
    type: Literal["run_ended"] = "run_ended"
    run: str
    branch: str
    outcome: Outcome
    why: str = ""
    stale: tuple[str, ...] = ()
    """Datasets whose objects were replaced while the run read them."""
    model: str | None = None
    """The digest of the model, if it passed and has one."""
    package: str | None = None
    """The digest of everything that would be released."""
    verdicts: Mapping[str, Verdict] = {}
    """By gate."""
    reports: Mapping[str, str] = {}
    """The digests of the gates' reports, by gate."""
    verdict: Verdict | None = None
    """The worst of them."""
    stale_at: float | None = None
    """When the first of its results expires, in seconds since the epoch; None: never."""


class StartRun(Message):
    """To a run that does not exist yet: start with these facts."""

    addressees = _RUN
    type: Literal["start_run"] = "start_run"
    run: Run


class ActionFailed(Message):
    """To the owner of an action: it failed, needs a person, and is not tried again."""

    type: Literal["action_failed"] = "action_failed"
    action: SerializeAsAny[Action]
    reason: str

    @field_validator("action", mode="before")
    @classmethod
    def _of_its_class(cls, given: Any) -> Any:
        if isinstance(given, Action):
            return given
        name = given.get("type") if isinstance(given, Mapping) else None
        known = Action.by_type()
        if name not in known:
            raise ValueError(f"there is no action {name!r}")
        return parsed(known[name], dict(given))


class ReleaseRequested(Message):
    """To an environment: a version passed and may be released."""

    addressees = _ENVIRONMENT
    type: Literal["release"] = "release"
    version: int
    digest: str
    repository: str
    why: str
    run: str = ""
    commit: str = ""
    again: bool = False
    """Whether the environment may have had this request before."""


class SmokeDone(Message):
    """To an environment: the smoke requests of a rollout were answered."""

    addressees = _ENVIRONMENT
    type: Literal["smoke_done"] = "smoke_done"
    rollout: str
    report: Report


class EnvironmentWritten(Message):
    """To an environment: its file was committed."""

    addressees = _ENVIRONMENT
    type: Literal["environment_written"] = "environment_written"
    write: str
    """Which write it was."""
    commit: str


class EnvironmentMoved(Message):
    """To an environment: its file was not committed, because somebody else changed it first."""

    addressees = _ENVIRONMENT
    type: Literal["environment_moved"] = "environment_moved"
    write: str


class BatchStarted(Message):
    """To an environment: its batch command was started."""

    addressees = _ENVIRONMENT
    type: Literal["batch_started"] = "batch_started"
    job: str
    attempt: Attempt


class ReleaseProposed(Message):
    """To an environment: the pull request that asks for a rollout's approval is open."""

    addressees = _ENVIRONMENT
    type: Literal["release_proposed"] = "release_proposed"
    proposal: str
    pull: int
    url: str


class BranchMoved(Message):
    """To an environment: the environments branch, or a rollout's pull request, changed."""

    addressees = _ENVIRONMENT
    type: Literal["branch_moved"] = "branch_moved"
    repository: str


class Verb(Message):
    """Base of the commands that people give to an environment."""

    addressees = _ENVIRONMENT
    by: str = "headgate"
    reason: str | None = None


class Approve(Verb):
    """Approve the rollout that is awaiting approval."""

    type: Literal["approve"] = "approve"


class Promote(Verb):
    """Promote the version that is being rolled out now."""

    type: Literal["promote"] = "promote"


class Rollback(Verb):
    """Abandon the canary, or bring back an earlier version."""

    type: Literal["rollback"] = "rollback"
    to: int | None = None
    """The version to bring back; None: the last that was healthy."""
    leave: int | None = None
    """The version that the person saw and wants to abandon."""


class Retry(Verb):
    """Release again the version that was stopped or abandoned last, or the given one."""

    type: Literal["retry"] = "retry"
    version: int | None = None


class Abort(Verb):
    """Stop the rollout in progress."""

    type: Literal["abort"] = "abort"


class Pause(Verb):
    """Keep rollouts from advancing by themselves."""

    type: Literal["pause"] = "pause"


class Resume(Verb):
    """Let paused rollouts advance again."""

    type: Literal["resume"] = "resume"


class ForgeMoved(Message):
    """To a repository: its forge hinted at a change. The forge and git are asked what it is."""

    addressees = _REPOSITORY
    type: Literal["forge_moved"] = "forge_moved"
    pull: bool = False
    """Whether a pull request changed, which may be a release's."""
    head: str = ""
    """Its head branch; empty if that is not known."""


class ButtonPressed(Message):
    """To a repository: somebody pressed a button of a check, which a forge reports only once."""

    addressees = _REPOSITORY
    type: Literal["button_pressed"] = "button_pressed"
    author: str = ""
    """Who pressed it. The forge is asked what that person may do."""
    rerun: bool = False
    """Whether it is the forge's own button to run a check again."""
    action: str = ""
    """The identifier of one of Headgate's own buttons."""
    check: int | None = None
    """The check run; None if a whole suite is to be run again."""
    external_id: str = ""
    """The id that Headgate gave the check run."""
    sha: str = ""
    """The commit that the check is on."""


class Stalled(Message):
    """To a stall: its object has made no progress for a while."""

    addressees = _STALL
    type: Literal["stalled"] = "stalled"
    reason: str
    since: float
    """In seconds since the epoch."""


class Recovered(Message):
    """To a stall: its object makes progress again."""

    addressees = _STALL
    type: Literal["recovered"] = "recovered"


def _classes(base: type[Message]) -> dict[str, type[Message]]:
    found: dict[str, type[Message]] = {}
    for each in base.__subclasses__():
        name = each.model_fields["type"].default
        ours = isinstance(name, str) and each.__module__ == __name__
        found |= {name: each} if ours else {}
        found |= _classes(each)
    return found


MESSAGES: Mapping[str, type[Message]] = _classes(Message)
"""Every class of this module, by its `type`."""
