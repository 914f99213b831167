"""Proposed releases on the double: opened once, found again, closed, and seen when merged."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.artifacts import Artifacts
from controller.config.secrets import Secrets
from controller.git import Mirror
from controller.git.environments import BRANCH, PROPOSALS, Environments, is_ours, proposed_by
from controller.github.auth import App
from controller.github.client import Client
from controller.github.proposals import POLL, Proposals
from controller.github.transport import Transport, api_of
from controller.machine.actions import Propose, WithdrawProposal
from controller.machine.core import Envelope, Fact, Key
from controller.machine.environments.file import EnvironmentFile, NamedModel
from controller.machine.messages import ReleaseProposed
from controller.store.protocol import Transaction
from controller.store.sqlite import SqliteStore
from specs.failures import TryAgain
from specs.gates import AbsoluteCheck, Columns, Gates, ModelGate
from specs.references import StepReference
from tests.controller.machine.kit import version
from tests.doubles.github import GitHub, Issue, Repository
from tests.scenarios.world import run_git
from validators.verdict import Verdict

REPO = "octo/models"
OWNER = Key("environment", "mean/production")
ROLLOUT = "mean-production-2"
HEAD = f"{PROPOSALS}{ROLLOUT}"
PATH = "production/mean.yaml"
COMMENT = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments"
OPEN = "POST /repos/{owner}/{repo}/pulls"
UPDATE = "PATCH /repos/{owner}/{repo}/pulls/{pull_number}"
LOOK = "GET /repos/{owner}/{repo}/pulls/{pull_number}"


def file(number: int) -> EnvironmentFile:
    one = version(number)
    model = NamedModel(version=number, digest=one.digest, run=one.run, commit="a" * 40)
    return EnvironmentFile(
        pipeline="mean", environment="production", model=model, verdicts={"model": Verdict.PASS}
    )


def propose(number: int = 2) -> Propose:
    return Propose(
        repository="team",
        proposal=ROLLOUT,
        file=file(number),
        version=number,
        baseline=1,
        seen=None,
    )


WITHDRAW = WithdrawProposal(repository="team", proposal=ROLLOUT, text="superseded by v3")


class Room:
    """A repository on the double whose environments branch says v1, and the applier."""

    def __init__(self, github: GitHub, repository: Repository, proposals: Proposals) -> None:
        self.github = github
        self.repository = repository
        self.proposals = proposals
        self.now = 0.0
        self.mirror: Mirror
        self.environments: Environments
        self.store: SqliteStore

    @property
    def pulls(self) -> list[Issue]:
        with self.github.service.lock:
            return self.repository.pulls()

    @property
    def head(self) -> str | None:
        """The commit of the proposal's branch."""
        return self.repository.git.heads().get(HEAD)

    async def last(self) -> tuple[bool, str | None]:
        """Of the file's last commit: whether it is taken for ours, and whose proposal it was."""
        history = await self.environments.history("production", "mean")
        return is_ours(history[0]), proposed_by(history[0])


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    with GitHub(tmp_path / "github") as double:
        yield double


@pytest.fixture
async def room(tmp_path: Path, github: GitHub) -> AsyncIterator[Room]:
    repository = github.repository(REPO)
    github.push(repository, {"README.md": "models"})
    app = github.app()
    github.install(repository)
    store = await SqliteStore.open(tmp_path / "state.db")
    facts = [
        Fact(key=Key("model", f"mean/{n}"), body=version(n).model_dump(mode="json")) for n in (1, 2)
    ]
    await store.commit(Transaction(facts=tuple(facts)), 0.0)
    mirror = Mirror(str(repository.git.path), tmp_path / "mirror.git")
    environments = Environments(mirror)
    await environments.write(lambda _: file(1), "production", "mean", "promote v1", "one")

    async def pass_by(seconds: float) -> None:
        github.advance(seconds)  # a wait sets the double's clock ahead

    transport = Transport(api_of(github.url), now=github.hub.seconds, sleep=pass_by)
    made = Room(
        github,
        repository,
        Proposals(
            Client(transport, App(app.id, github.private_key, transport)),
            {"team": REPO},
            {"team": mirror},
            store,
            Artifacts(tmp_path / "artifacts"),
            Secrets({}),
            lambda: made.now,
        ),
    )
    made.mirror, made.environments, made.store = mirror, environments, store
    yield made
    await transport.close()
    await store.close()


def number_of(proposed: Envelope) -> int:
    """The number of the pull request that was opened."""
    assert isinstance(proposed.message, ReleaseProposed)
    return proposed.message.pull


async def test_proposing_twice_is_one_branch_and_one_pull_request(room: Room) -> None:
    (first,) = await room.proposals.propose(OWNER, propose())
    pushed = room.head
    (second,) = await room.proposals.propose(OWNER, propose())
    assert first == second
    assert number_of(first) == room.pulls[0].number
    assert [pull.title for pull in room.pulls] == ["Release mean v2 to production"]
    assert room.head == pushed
    assert len(room.github.calls(OPEN)) == 1


async def test_a_pull_request_whose_number_got_lost_is_found_even_if_it_was_closed(
    room: Room,
) -> None:
    (first,) = await room.proposals.propose(OWNER, propose())
    room.github.close(room.repository, room.pulls[0], "grace")
    (again,) = await room.proposals.propose(OWNER, propose())
    assert again == first
    assert len(room.pulls) == 1
    seen = await room.proposals.look("team", number_of(first), None, at_once=True)
    assert seen is not None
    assert (seen.state, seen.by) == ("closed", "grace")


async def test_a_file_that_changed_below_gets_the_proposal_on_top_and_no_second_pull_request(
    room: Room,
) -> None:
    await room.proposals.propose(OWNER, propose())
    before = room.head
    changed = file(1).model_copy(update={"pinned": False, "verdicts": {}})
    await room.environments.write(lambda _: changed, "production", "mean", "edit", "two")
    await room.proposals.propose(OWNER, propose())
    assert room.head != before
    assert len(room.pulls) == 1
    room.github.merge(room.repository, room.pulls[0])  # it does not conflict
    assert await room.environments.read("production", "mean") == file(2)


async def test_another_file_that_changed_leaves_the_proposal_as_it_is(room: Room) -> None:
    await room.proposals.propose(OWNER, propose())
    before = room.head
    staging = file(2).model_copy(update={"environment": "staging"})
    await room.environments.write(lambda _: staging, "staging", "mean", "promote v2", "two")
    await room.proposals.propose(OWNER, propose())
    assert room.head == before


async def test_a_branch_that_a_person_edits_is_theirs(room: Room) -> None:
    await room.proposals.propose(OWNER, propose())
    text = room.repository.git.run("show", f"{HEAD}:{PATH}")
    edited = room.github.push(room.repository, {PATH: text + "# seen\n"}, branch=HEAD)
    changed = file(1).model_copy(update={"verdicts": {}})
    await room.environments.write(lambda _: changed, "production", "mean", "edit", "two")
    await room.proposals.propose(OWNER, propose())
    assert room.head == edited


@pytest.mark.parametrize("method", ["merge", "squash", "rebase", "push"])
async def test_however_it_is_merged_it_counts_as_a_persons_decision(
    room: Room, tmp_path: Path, method: str
) -> None:
    """The double makes no rebase: a person's cherry-pick is one, with the committer it has."""
    await room.proposals.propose(OWNER, propose())
    staging = file(2).model_copy(update={"environment": "staging"})
    if method != "push":
        await room.environments.write(lambda _: staging, "staging", "mean", "promote", "two")
    if method == "merge":
        room.github.merge(room.repository, room.pulls[0])
    elif method == "squash":
        room.github.merge(room.repository, room.pulls[0], method="squash")
    else:
        clone = tmp_path / "clone"
        run_git(tmp_path, "clone", "-q", "-b", BRANCH, str(room.repository.git.path), str(clone))
        step = ("cherry-pick",) if method == "rebase" else ("merge", "-q", "--ff-only")
        run_git(clone, *step, f"origin/{HEAD}")
        run_git(clone, "push", "-q")
    ours, proposal = await room.last()
    assert not ours
    # The double's squash has a message of its own; a person's commit names no proposal.
    assert proposal == (None if method == "squash" else ROLLOUT)


async def test_withdrawing_says_why_once_closes_and_deletes_also_after_a_crash_in_between(
    room: Room,
) -> None:
    await room.proposals.propose(OWNER, propose())
    room.github.fail(UPDATE, times=20, status=502)
    with pytest.raises(TryAgain):
        await room.proposals.withdraw(OWNER, WITHDRAW)
    room.github.service.faults.clear()
    for _ in range(2):
        await room.proposals.withdraw(OWNER, WITHDRAW)
    said = room.github.comments(room.repository, room.pulls[0])
    assert ["superseded by v3" in one.body for one in said] == [True]
    assert room.pulls[0].state == "closed"
    assert room.head is None


async def test_withdrawing_after_the_merge_only_deletes_the_branch(room: Room) -> None:
    await room.proposals.propose(OWNER, propose())
    room.github.merge(room.repository, room.pulls[0])
    await room.proposals.withdraw(OWNER, WITHDRAW)
    assert room.github.comments(room.repository, room.pulls[0]) == []
    assert room.head is None
    assert room.pulls[0].request.merged_at is not None


async def test_a_look_is_taken_now_and_then_and_costs_nothing_while_nothing_changes(
    room: Room,
) -> None:
    (opened,) = await room.proposals.propose(OWNER, propose())
    number = number_of(opened)
    for room.now in (0.0, 1.0, POLL - 1):
        await room.proposals.look("team", number, None, at_once=False)
    assert len(room.github.calls(LOOK)) == 1
    room.now = POLL
    seen = await room.proposals.look("team", number, None, at_once=False)
    assert seen is not None
    assert seen.state == "open"
    assert [call.status for call in room.github.calls(LOOK)] == [200, 304]


async def test_a_merge_has_landed_once_the_branch_that_was_seen_comes_after_it(room: Room) -> None:
    (opened,) = await room.proposals.propose(OWNER, propose())
    before = await room.mirror.tip(BRANCH)
    made = room.github.merge(room.repository, room.pulls[0], "grace")
    number = number_of(opened)
    seen = await room.proposals.look("team", number, before, at_once=True)
    assert seen is not None
    assert (seen.state, seen.by, seen.landed) == ("merged", "grace", False)
    seen = await room.proposals.look("team", number, made, at_once=True)
    assert seen is not None
    assert seen.landed


async def test_a_github_that_is_down_is_no_answer(room: Room) -> None:
    (opened,) = await room.proposals.propose(OWNER, propose())
    room.github.fail(LOOK, times=20, status=502)
    assert await room.proposals.look("team", number_of(opened), None, at_once=True) is None


async def make(room: Room, number: int, limit: float) -> None:
    """A version whose model gate asks for that much, of a commit that is in the repository."""
    gate = ModelGate(
        predictions=StepReference(step="evaluate", output="predictions"),
        columns=Columns(key="id", label="late", score="p"),
        checks=(AbsoluteCheck(metric="roc_auc", at_least=limit),),
    )
    one = version(number)
    spec = one.spec.model_copy(update={"gates": Gates(model=gate)})
    source = one.source.model_copy(update={"commit": await room.mirror.tip("main")})
    body = one.model_copy(update={"spec": spec, "source": source}).model_dump(mode="json")
    fact = Fact(key=Key("model", f"mean/{number}"), body=body)
    await room.store.commit(Transaction(facts=(fact,)), 0.0)


@pytest.mark.parametrize(
    ("limit", "said"), [(0.5, "; 1 rule loosened"), (0.6, "; no rule loosened")]
)
async def test_a_proposal_says_first_what_was_loosened_since_what_serves(
    room: Room, limit: float, said: str
) -> None:
    await make(room, 3, 0.6)
    await make(room, 4, limit)
    await room.proposals.propose(OWNER, propose(4).model_copy(update={"baseline": 3}))
    text = room.pulls[0].body or ""
    heading, below, *_ = text.split("\n\n")
    assert heading.endswith(said)
    loosened = "### ⚠️ 1 rule was loosened since v3, the version that serves now"
    assert (below == loosened) == (limit < 0.6)
    assert ("**at least 0.6** | **at least 0.5** |" in text) == (limit < 0.6)


async def test_a_proposal_whose_rules_cannot_be_compared_any_more_says_so(room: Room) -> None:
    await room.proposals.propose(OWNER, propose())
    text = room.pulls[0].body or ""
    assert (
        "**Whether rules were loosened since v1, the version that serves now, is unknown**" in text
    )
