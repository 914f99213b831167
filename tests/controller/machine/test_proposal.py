"""A release that awaits its pull request: opened, merged, closed, superseded, edited."""

from dataclasses import dataclass
from typing import Any

import pytest

from controller.machine.actions import Propose, WithdrawProposal
from controller.machine.core import Action, Envelope
from controller.machine.environments.environment import ObservedEnvironment, Proposed
from controller.machine.environments.file import EnvironmentFile
from controller.machine.messages import ReleaseProposed
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running

APPROVAL = ("release.production.approval", "pull-request")


@dataclass
class Hosted(Site):
    """A site whose repository is on GitHub, with the pull request that was opened last."""

    opens: bool = True
    """Whether GitHub lets a pull request be opened."""
    pull: Proposed | None = None
    offered: Propose | None = None
    merged: dict[str, str] | None = None
    """The rollouts whose proposals were merged, by commit."""

    def observe(self) -> ObservedEnvironment:
        seen = super().observe()
        branch, need = seen.branch, self.needs(seen.branch).proposal
        if branch is not None:
            branch = branch.model_copy(update={"proposal": (self.merged or {}).get(branch.commit)})
        return seen.model_copy(
            update={
                "proposes": True,
                "proposal": self.pull if need else None,
                "branch": branch,
            }
        )

    def _effect(self, action: Action) -> list[Envelope] | None:
        if isinstance(action, WithdrawProposal):
            self.withdrawn.append(action)
        elif isinstance(action, Propose) and not self.opens:
            return [self._failed(action, "GitHub refuses it (403)")]
        elif isinstance(action, Propose):
            self.proposed.append(action)
            number = int(action.proposal.rpartition("-")[2])
            self.pull, self.offered = Proposed(pull=number, state="open"), action
            url = f"https://github.com/octo/models/pull/{number}"
            said = ReleaseProposed(proposal=action.proposal, pull=number, url=url)
            return [Envelope(to=self.key, id=f"proposed/{number}", message=said)]
        else:
            return super()._effect(action)
        return []

    def __post_init__(self) -> None:
        self.proposed: list[Propose] = []
        self.withdrawn: list[WithdrawProposal] = []

    def merge(self, file: EnvironmentFile | None = None, by: str = "grace") -> None:
        """Somebody merges the pull request, perhaps after an edit of its file."""
        assert self.offered is not None
        assert self.pull is not None
        commit = self._commit(file or self.offered.file)
        self.merged = {**(self.merged or {}), commit: self.offered.proposal}
        self.pull = Proposed(pull=self.pull.pull, state="merged", by=by, landed=True)

    def close(self, by: str = "grace") -> None:
        """Somebody closes it."""
        assert self.pull is not None
        self.pull = Proposed(pull=self.pull.pull, state="closed", by=by)

    @property
    def last_end(self) -> dict[str, Any]:
        return self.facts[-1].body


def waiting(number: int = 2) -> Hosted:
    """v1 serves, and that version's proposal is open."""
    one = Hosted({1: version(1), **{n: version(n, APPROVAL) for n in range(2, 5)}})
    running(one, 1)
    one.release(number)
    one.run(4)
    assert one.env.rollout is not None
    assert one.env.rollout.proposal is not None
    assert one.env.rollout.proposal.pull is not None
    return one


def test_a_release_that_awaits_approval_is_proposed_once_with_its_file() -> None:
    one = waiting(2)
    one.run(20)
    assert [action.proposal for action in one.proposed] == ["mean-production-2"]
    file = one.proposed[0].file
    assert file.model is not None
    assert (file.model.version, one.proposed[0].baseline) == (2, 1)
    assert one.serves == 1


def test_a_request_for_approval_has_the_address_of_the_pull_request() -> None:
    one = waiting(2)
    told = [n.incident for n in one.notified if n.event == "approval_needed"]
    assert len(told) == 1
    assert "https://github.com/octo/models/pull/2" in told[0].what
    assert told[0].commands[0] == "headgate approve mean/production"


def test_a_merge_begins_the_canary_and_the_promotion_says_who_approved() -> None:
    one = waiting(2)
    one.merge(by="grace")
    one.reconcile()
    assert one.env.rollout is not None
    assert one.env.rollout.kind == "release"
    one.run(3)
    assert any(deploy.canary == 2 and deploy.canary_weight > 0 for deploy in one.deploys)
    one.run(12)
    assert one.serves == 2
    assert "approved by grace: merged pull request #2" in one.last_end["reason"]
    assert [action.proposal for action in one.withdrawn] == ["mean-production-2"]


def test_a_merged_version_that_turns_bad_is_rolled_back_and_the_file_restored() -> None:
    one = waiting(2)
    one.faulty = {2}
    one.merge()
    one.run(20)
    assert one.serves == 1
    assert one.file is not None
    assert one.file.model is not None
    assert one.file.model.version == 1
    assert one.file.changed is not None
    assert one.file.changed.reason.startswith("v2: ")
    assert [q.version for q in one.env.quarantine] == [2]


@pytest.mark.parametrize("how", ["abort", "release"])
def test_a_merged_version_that_is_taken_out_again_leaves_a_file_that_says_what_serves(
    how: str,
) -> None:
    one = waiting(2)
    one.load = 0  # the canary cannot end by itself
    one.merge()
    one.run(3)
    if how == "abort":
        one.send("abort", by="ada")
    else:
        one.release(3)
    one.run(10)
    assert one.file is not None
    assert one.file.model is not None
    assert one.file.model.version == 1
    assert one.serves == 1
    assert one.env.quarantine == ()


def test_a_close_declines_without_quarantine_and_a_retry_proposes_again() -> None:
    one = waiting(2)
    one.close(by="grace")
    one.run(3)
    assert one.env.rollout is None
    assert one.last_end["outcome"] == "aborted"
    assert one.last_end["reason"] == "declined by grace, who closed pull request #2"
    assert one.env.quarantine == ()
    assert one.alerts("resolved") == ["mean/production/approval_needed/mean-production-2"]
    one.send("retry", by="ada")
    one.run(3)
    assert [action.proposal for action in one.proposed] == [
        "mean-production-2",
        "mean-production-3",
    ]


def test_a_newer_release_withdraws_the_older_proposal_and_makes_its_own() -> None:
    one = waiting(2)
    one.release(3)
    one.run(4)
    assert [(a.proposal, a.text) for a in one.withdrawn] == [
        ("mean-production-2", f"{one.versions[2].ref} is not released: superseded by v3.")
    ]
    assert one.proposed[-1].proposal == "mean-production-3"


def test_an_approval_by_command_withdraws_the_proposal_with_the_reason() -> None:
    one = waiting(2)
    one.send("approve", by="ada", reason="seen")
    one.run(12)
    assert one.serves == 2
    assert [a.text for a in one.withdrawn] == ["Nothing is left to merge: approved by ada: seen."]


def test_a_change_of_the_file_updates_the_proposal() -> None:
    one = waiting(2)
    one.edit(version=1)  # says nothing new, and would conflict
    one.run(4)
    assert [action.seen for action in one.proposed] == [
        one.proposed[0].seen,
        one.commits[-1].sha,
    ]
    one.merge()
    one.run(15)
    assert one.serves == 2


def test_a_merge_that_names_another_good_version_releases_that_one() -> None:
    one = waiting(2)
    assert one.offered is not None
    third = one.versions[3]
    model = one.offered.file.model
    assert model is not None
    other = model.model_copy(update={"version": 3, "digest": third.digest})
    one.merge(one.offered.file.model_copy(update={"model": other}))
    one.run(25)
    assert one.serves == 3
    assert len(one.withdrawn) == 1


def test_a_merge_that_names_an_unknown_version_is_refused_and_ends_the_wait() -> None:
    one = waiting(2)
    assert one.offered is not None
    model = one.offered.file.model
    assert model is not None
    other = model.model_copy(update={"version": 9})
    one.merge(one.offered.file.model_copy(update={"model": other}))
    one.run(10)
    assert one.serves == 1
    assert one.env.rollout is None
    assert "the file does not name it" in one.last_end["reason"]
    assert one.file is not None
    assert one.file.model is not None
    assert one.file.model.version == 1


def test_a_proposal_that_is_merged_after_its_rollout_ended_is_judged_by_a_canary() -> None:
    one = waiting(2)
    one.send("abort", by="ada")
    one.run(2)
    one.merge()
    one.reconcile()
    assert one.env.rollout is not None
    assert (one.env.rollout.kind, one.env.rollout.awaiting_approval) == ("release", False)
    one.run(15)
    assert one.serves == 2
    assert any(deploy.canary == 2 and deploy.canary_weight > 0 for deploy in one.deploys)
    assert len(one.proposed) == 1


def test_a_pull_request_that_cannot_be_opened_is_reported_and_tried_again() -> None:
    one = Hosted({1: version(1), 2: version(2, APPROVAL)}, opens=False)
    running(one, 1)
    one.release(2)
    one.run(5)
    told = [n.incident for n in one.notified if n.event == "approval_needed"]
    assert len(told) == 1
    assert "GitHub refuses it (403)" in told[0].what
    assert one.env.rollout is not None, "the command still approves"
    one.opens = True
    one.run(20, dt=60.0)
    assert len(one.proposed) == 1
    one.merge()
    one.run(15)
    assert one.serves == 2


def test_a_merge_that_is_on_the_branch_before_github_reports_it_approves() -> None:
    one = waiting(2)
    one.merge()
    one.pull = None
    one.run(15)
    assert one.serves == 2
    assert "approved by who merged pull request #2" in one.last_end["reason"]


def test_without_github_it_waits_for_the_command_as_before() -> None:
    one = Site({1: version(1), 2: version(2, APPROVAL)})
    running(one, 1)
    one.release(2)
    one.run(5)
    assert [n.event for n in one.notified if n.status == "firing"] == ["approval_needed"]
    assert one.env.rollout is not None
    assert one.env.rollout.proposal is None
    one.edit(version=2)
    one.run(15)
    assert one.serves == 2
