"""Who may let a pull request change rules, according to GitHub, git and the base's spec."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.github.check_ids import parse
from controller.github.client import Client
from controller.github.forge import GitHubForge
from controller.github.pulls import Pulls
from controller.github.webhooks import Hint
from controller.machine.actions import (
    AnswerCommand,
    ReportCommit,
    ReportPolicy,
    ReportUntouched,
)
from controller.machine.core import Action, InboxMessage, Key, Message, parsed
from controller.machine.messages import CommitSeen, RulesAccepted
from controller.machine.repositories.repository import ObservedRepository
from controller.machine.repositories.repository import RepositoryState as State
from controller.observers.repository import RepositoryObserver
from controller.reconcile.reconciler import Reconciler
from controller.reports.untouched import untouched_report
from controller.store.sqlite import SqliteStore
from controller.wiring.reconcilers import repositories as repositories_of
from specs.failures import TryAgain
from tests.controller.github.reporting import NAMES, said
from tests.doubles.github import GitHub, Issue, Repository

M = TypeVar("M", bound=Message)
NAMED = ("NAME", "EMAIL")
KEY = Key("repository", "flights")
SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: flight-delay}
steps:
  train:
    run: python train.py {outputs.model}
    outputs: {model: model.json}
    reads: [train.py]
"""
FILES = {"ml-pipeline.yaml": SPEC, "train.py": "pass\n"}


def approvers(*who: str) -> str:
    return SPEC + f"policy: {{approvers: [{', '.join(repr(each) for each in who)}]}}\n"


@dataclass
class Room:
    """A repository on GitHub, and the machine that looks at it."""

    github: GitHub
    repository: Repository
    reconciler: Reconciler[State, ObservedRepository]
    forge: GitHubForge
    state: State | None = None
    actions: list[Action] = field(default_factory=list)
    """Of the last look."""
    messages: list[Message] = field(default_factory=list)

    async def look(self, *buttons: Hint) -> None:
        inbox = [
            InboxMessage(number=n, to=KEY, id=str(n), message=button.message, at=0.0)
            for n, button in enumerate(buttons, 1)
        ]
        observed = await self.reconciler.observer.observe(KEY, self.state, inbox)
        decision = self.reconciler.decide(KEY, self.state, observed, inbox, time.time())
        self.state = parsed(State, decision.state.plain())
        self.actions = list(decision.actions)
        self.messages = [envelope.message for envelope in decision.messages]

    def told(self, of: type[M]) -> list[M]:
        """The messages of that class of the last look."""
        return [message for message in self.messages if isinstance(message, of)]

    async def propose(
        self, branch: str, files: Mapping[str, str | bytes | None], base: str = "main"
    ) -> tuple[Issue, str]:
        """A pull request off main that was looked at."""
        main = self.repository.git.heads()["main"]
        sha = self.github.push(self.repository, files, branch, parent=main)
        pull = self.github.open_pull_request(self.repository, branch, base)
        await self.look()
        return pull, sha

    async def say(self, pull: Issue, body: str, author: str) -> str:
        """The reply to a comment; empty for a thumbs-up."""
        made = self.github.comment(self.repository, pull, body, author)
        await self.look()
        (answer,) = [a for a in self.actions if isinstance(a, AnswerCommand)]
        assert (answer.comment, answer.pull) == (made.id, pull.number)
        return answer.text

    def accepted(self) -> list[tuple[int, str, str]]:
        """Whose rules of the last look were accepted: pull request, scope, and by whom."""
        found = [a for a in self.actions if isinstance(a, ReportPolicy)]
        return [(a.pull, a.scope, a.accepted) for a in found if a.accepted]

    def reports(self) -> list[tuple[str, str, str]]:
        found = [a for a in self.actions if isinstance(a, ReportCommit)]
        return [(a.pipeline, a.scope, a.state) for a in found]


@pytest.fixture
async def room(
    github: GitHub, repository: Repository, client: Client, store: SqliteStore, tmp_path: Path
) -> Room:
    """Maya administers the repository, Wren may write, and so may Ada; Eve may not."""
    for login, level in (("maya", "admin"), ("wren", "write"), ("ada", "write")):
        github.grant(repository, login, level)
    github.push(repository, FILES)
    mirrors = {"flights": Mirror(str(repository.git.path), tmp_path / "mirror.git")}
    repositories = Repositories(mirrors, tmp_path / "checkouts")
    observer = RepositoryObserver(repositories, {}, store, Pulls(client, NAMES))
    room = Room(github, repository, repositories_of(observer), GitHubForge(client, NAMES))
    await room.look()
    return room


LOOSER = {"ml-pipeline.yaml": SPEC.replace("reads: [train.py]", "reads: []")}


async def test_without_approvers_who_administers_the_repository_accepts(room: Room) -> None:
    pull, sha = await room.propose("loosen", LOOSER)
    for person in ("wren", "eve"):
        answer = await room.say(pull, f"/headgate accept {sha}", person)
        assert answer.startswith(f"Sorry @{person}, the rules of flight-delay may be accepted by")
        assert "those who administer the repository" in answer
        assert room.accepted() == []
    assert await room.say(pull, f"/Headgate Accept {sha[:7]}", "maya") == ""
    assert room.accepted() == [(1, "", "maya")]
    (message,) = room.messages
    assert isinstance(message, RulesAccepted)
    assert (message.commit, message.by) == (sha, "maya")


async def test_the_approvers_are_those_of_main_whatever_the_pull_request_says(room: Room) -> None:
    room.github.push(room.repository, {"ml-pipeline.yaml": approvers("@Ada")})
    pull, sha = await room.propose("mine", {"ml-pipeline.yaml": approvers("@wren", "@eve")})
    for person in ("wren", "eve", "maya"):
        answer = await room.say(pull, f"/headgate accept {sha}", person)
        assert answer.endswith("may be accepted by `@Ada`.")
    assert await room.say(pull, f"/headgate accept {sha}", "ada") == ""
    assert room.accepted() == [(1, "", "ada")]


async def test_an_approver_need_not_be_one_who_may_write(room: Room) -> None:
    room.github.push(room.repository, {"ml-pipeline.yaml": approvers("@eve")})
    pull, sha = await room.propose("loosen", LOOSER)
    assert await room.say(pull, f"/headgate accept {sha}", "eve") == ""
    assert room.accepted() == [(1, "", "eve")]


async def test_who_is_in_the_team_accepts_once_the_app_may_see_that(room: Room) -> None:
    room.github.push(room.repository, {"ml-pipeline.yaml": approvers("@octo/risk")})
    room.github.team("octo", "risk", "Ada")
    room.github.team("octo", "risk", "wren", state="pending")
    pull, sha = await room.propose("loosen", LOOSER)
    answer = await room.say(pull, f"/headgate accept {sha}", "ada")
    assert "may be accepted by `@octo/risk`." in answer
    assert "grant Headgate's app `members: read`" in answer
    (installation,) = room.github.hub.installations.values()
    installation.permissions["members"] = "read"
    room.github.end_tokens()
    for person in ("wren", "maya"):
        answer = await room.say(pull, f"/headgate accept {sha}", person)
        assert answer.endswith("may be accepted by `@octo/risk`.")
    assert await room.say(pull, f"/headgate accept {sha}", "ada") == ""
    assert room.accepted() == [(1, "", "ada")]


async def test_a_command_for_another_commit_or_from_before_a_push_does_nothing(room: Room) -> None:
    pull, first = await room.propose("loosen", LOOSER)
    assert "is not the head any more" in await room.say(pull, "/headgate accept 0123abc", "maya")
    github, repository = room.github, room.repository
    github.comment(repository, pull, f"/headgate accept {first}", "maya")
    second = github.push(repository, {"train.py": "worse\n"}, "loosen")
    await room.look()
    (answer,) = [a for a in room.actions if isinstance(a, AnswerCommand)]
    assert f"`/headgate accept {second[:12]}`" in answer.text
    assert room.accepted() == []
    # A few characters of a head that was pushed since the last look may mean another one.
    third = github.push(repository, {"train.py": "still worse\n"}, "loosen")
    answer_text = await room.say(pull, f"/headgate accept {third[:12]}", "maya")
    assert f"`/headgate accept {third}`" in answer_text
    assert room.accepted() == []
    assert await room.say(pull, f"/headgate accept {third[:12]}", "maya") == ""
    assert room.accepted() == [(1, "", "maya")]


async def test_a_comment_of_an_approver_that_somebody_else_edited_is_ignored(
    room: Room,
) -> None:
    pull, sha = await room.propose("loosen", LOOSER)
    made = room.github.comment(room.repository, pull, "/headgate plan", "maya")
    room.github.advance(2)
    room.github.edit_comment(room.repository, made, f"/headgate accept {sha}", "wren")
    await room.look()
    (answer,) = [a for a in room.actions if isinstance(a, AnswerCommand)]
    assert "was edited after it was written" in answer.text
    assert room.accepted() == []
    heeded = room.github.comment(room.repository, pull, "/headgate plan", "maya")
    await room.look()
    room.github.advance(2)
    room.github.edit_comment(room.repository, heeded, f"/headgate accept {sha}", "wren")
    await room.look()
    assert (room.actions, room.messages) == ([], []), "it was looked at before"


async def test_the_right_for_an_own_branch_is_none_for_main_also_after_a_change_of_base(
    room: Room,
) -> None:
    """The author makes a branch whose spec names the author."""
    easy = approvers("@wren")
    room.github.push(room.repository, {"ml-pipeline.yaml": easy}, "easy")
    pull, sha = await room.propose("worse", LOOSER, "easy")
    twin = room.github.open_pull_request(room.repository, "worse", "main")
    await room.look()
    assert await room.say(pull, f"/headgate accept {sha}", "wren") == ""
    assert room.accepted() == [(1, "into easy", "wren")]
    assert "Sorry @wren" in await room.say(twin, f"/headgate accept {sha}", "wren")
    room.github.close(room.repository, twin)
    await room.look()
    room.github.retarget(room.repository, pull, "main")
    await room.look()
    policies = [a for a in room.actions if isinstance(a, ReportPolicy)]
    assert [(a.pull, a.scope, a.accepted) for a in policies] == [(1, "", "")]
    assert policies[0].base_commit == room.repository.git.heads()["main"]


async def pressed(room: Room, sha: str, author: str, **more: Any) -> Hint:
    """The press of the button that a policy check offers, as the webhook tells of it."""
    facts = {"kind": "policy", "asks": "accept", "conclusion": "failure", "run": None}
    await room.forge.report(said(sha, "failed", "A rule is loosened.", **{**facts, **more}))
    check = room.github.check_runs(room.repository, sha)[-1]
    room.github.click_action(room.repository, check, "accept", author)
    return Hint(
        kind="action",
        repository="octo/flights",
        check=check.id,
        external_id=check.external_id,
        action="accept",
        author=author,
        sha=sha,
    )


async def test_the_button_is_for_those_with_the_right_and_that_base_and_head_alone(
    room: Room,
) -> None:
    room.github.push(room.repository, {"ml-pipeline.yaml": approvers("@wren")}, "team/easy")
    pull, sha = await room.propose("worse", LOOSER)
    room.github.open_pull_request(room.repository, "worse", "team/easy")
    await room.look()
    await room.look(await pressed(room, sha, "wren"))
    assert room.accepted() == []
    await room.look(await pressed(room, sha, "wren", scope="into team/easy"))
    assert room.accepted() == [(2, "into team/easy", "wren")]
    by_maya = await pressed(room, sha, "maya")
    await room.look(by_maya)
    assert room.accepted() == [(1, "", "maya")]
    await room.look(by_maya)
    assert (room.actions, room.messages) == ([], []), "a delivery that is sent again"
    room.github.push(room.repository, {"train.py": "worse\n"}, "worse")
    await room.look(by_maya)
    assert room.accepted() == []
    assert pull.request.head_sha != sha


async def test_a_deleted_spec_is_held_for_the_approvers_that_it_had(room: Room) -> None:
    room.github.push(room.repository, {"ml-pipeline.yaml": approvers("@ada")})
    pull, sha = await room.propose("delete", {"ml-pipeline.yaml": None})
    assert room.reports() == [("flight-delay", "", "held")]
    assert "`@ada`" in await room.say(pull, f"/headgate accept {sha}", "maya")
    assert room.reports() == []
    assert await room.say(pull, f"/headgate accept {sha}", "ada") == ""
    assert room.reports() == [("flight-delay", "", "accepted")]
    assert room.accepted() == [(1, "", "ada")]
    room.github.merge(room.repository, pull, "ada")
    await room.look()
    # What brings the name back is held against the rules that it had.
    again, back = await room.propose("again", {"ml-pipeline.yaml": SPEC})
    assert "`@ada`" in await room.say(again, f"/headgate accept {back}", "maya")


async def test_a_spec_that_moves_is_not_removed_and_one_of_a_taken_name_says_so(
    room: Room,
) -> None:
    moved = {"ml-pipeline.yaml": None, "models/ml-pipeline.yaml": SPEC}
    await room.propose("move", {**moved, "models/train.py": "pass\n"})
    assert room.reports() == []
    (message,) = room.messages
    assert isinstance(message, CommitSeen)
    assert message.spec == "models/ml-pipeline.yaml"
    await room.propose("second", {"z/ml-pipeline.yaml": SPEC, "z/train.py": "worse\n"})
    assert room.reports() == [("flight-delay", "", "invalid")]
    assert room.told(CommitSeen) == [], (
        "neither is run: its author would choose which is the pipeline"
    )


async def test_what_was_merged_before_cannot_bring_back_quietly_what_main_has_left(
    room: Room,
) -> None:
    """A head that merges an old branch as main did, but keeps the old files, differs from main
    and not from that branch, which git takes for the place where they parted as it is later."""
    git, github, repository = room.repository.git, room.github, room.repository
    author, before = ("dev", "dev@example.com"), git.heads()["main"]
    older = github.push(repository, {"notes.md": "old\n"}, "old", parent=before)
    dated = {
        "GIT_COMMITTER_DATE": "2090-01-01T00:00:00Z",
        "GIT_AUTHOR_DATE": "2090-01-01T00:00:00Z",
    }
    who = {f"GIT_{role}_{part}": "dev" for role in ("AUTHOR", "COMMITTER") for part in NAMED}
    tree = f"{older}^{{tree}}"
    old = git.run("commit-tree", tree, "-p", before, given=b"Old", **who, **dated).strip()
    better = github.push(repository, {"train.py": "better\n"})
    merged = github.push(
        repository, {"train.py": "better\n", "notes.md": "old\n"}, "merging", parent=better
    )
    main = git.commit_tree(f"{merged}^{{tree}}", [better, old], "Merge old", author)
    git.set_ref("refs/heads/main", main, better)
    head = git.commit_tree(tree, [better, old], "Merge old, too", author)
    git.set_ref("refs/heads/quiet", head)
    github.open_pull_request(repository, "quiet")
    await room.look()
    assert [each.commit for each in room.told(CommitSeen) if each.pull] == [head]
    assert ("flight-delay", "", "skipped") not in room.reports()


async def test_a_command_waits_while_permissions_cannot_be_read(room: Room) -> None:
    room.github.push(room.repository, {"ml-pipeline.yaml": approvers("@octo/risk")})
    (installation,) = room.github.hub.installations.values()
    installation.permissions["members"] = "read"
    room.github.end_tokens()
    room.github.team("octo", "risk", "ada")
    pull, sha = await room.propose("loosen", LOOSER)
    room.github.comment(room.repository, pull, f"/headgate accept {sha}", "ada")
    operation = "GET /orgs/{org}/teams/{team_slug}/memberships/{username}"
    room.github.fail(operation, times=3, status=502)
    with pytest.raises(TryAgain):
        await room.look()
    await room.look()
    assert room.accepted() == [(1, "", "ada")]


def named(name: str) -> str:
    return SPEC.replace("flight-delay", name)


async def test_checks_that_the_base_requires_are_there_for_pipelines_that_it_does_not_touch(
    room: Room,
) -> None:
    files = {f"{name}/ml-pipeline.yaml": named(name) for name in ("fares", "gates", "seats")}
    room.github.push(room.repository, files)
    await room.look()
    require = partial(room.github.require, room.repository, "main")
    require("build", "headgate / fares")
    require("headgate policy / gates", by="ruleset")
    await room.propose("retrain", {"train.py": "print(1)\n"})
    assert room.reports() == [("fares", "", "skipped"), ("gates", "", "skipped")]
    (rest,) = [a for a in room.actions if isinstance(a, ReportUntouched)]
    assert [*rest.named] == ["seats"]
    compared = [a.pipeline for a in room.actions if isinstance(a, ReportPolicy)]
    assert compared == ["fares", "flight-delay", "gates"]


async def test_where_required_checks_cannot_be_read_every_pipeline_has_its_own(room: Room) -> None:
    room.github.push(room.repository, {"fares/ml-pipeline.yaml": named("fares")})
    await room.look()
    room.github.fail("GET /repos/{owner}/{repo}/rules/branches/{branch}", status=403)
    await room.propose("retrain", {"train.py": "print(1)\n"})
    assert room.reports() == [("fares", "", "skipped")]
    assert not [a for a in room.actions if isinstance(a, ReportUntouched)]


async def test_the_check_for_all_untouched_pipelines_stands_beside_the_others(room: Room) -> None:
    for name in ("fares", "seats"):
        room.github.push(room.repository, {f"{name}/ml-pipeline.yaml": named(name)})
    await room.look()
    _, sha = await room.propose("retrain", {"train.py": "print(1)\n"})
    (rest,) = [a for a in room.actions if isinstance(a, ReportUntouched)]
    for _ in range(2):
        await room.forge.report(untouched_report(rest))
    checks = room.github.check_runs(room.repository, sha)
    assert {(check.name, check.conclusion) for check in checks} == {
        ("headgate untouched", "neutral")
    }
    mark = parse(checks[-1].external_id or "")
    assert (mark.commit, mark.pipeline, mark.kind) == (sha, "", "untouched")
