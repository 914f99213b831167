"""A merge group may do as much as its pull requests, whoever pushed its branch."""

import pytest

from controller.machine.messages import CommitSeen, RulesAccepted, SpecGone
from tests.controller.github import test_accepting
from tests.controller.github.test_accepting import LOOSER, SPEC, Room
from tests.doubles.github import Issue

BOT = ("dev", "dev@example.com")
room = test_accepting.room


def groups(room: Room) -> list[tuple[str, str]]:
    """The merge groups that the last look told of: their heads, and who accepted what they do."""
    accepted = {message.commit: message.by for message in room.told(RulesAccepted)}
    queued = [one.commit for one in room.told(CommitSeen) if one.pull and one.pull.queued]
    return [(commit, accepted.get(commit, "")) for commit in queued]


async def loosened(room: Room) -> tuple[Issue, str]:
    """A pull request that loosens a rule, which Maya accepted."""
    pull, sha = await room.propose("loosen", LOOSER)
    await room.say(pull, f"/headgate accept {sha}", "maya")
    return pull, sha


@pytest.mark.parametrize("method", ["merge", "squash"])
async def test_a_group_of_an_accepted_pull_request_is_accepted_however_it_is_merged(
    room: Room, method: str
) -> None:
    pull, _ = await loosened(room)
    room.github.push(room.repository, {"README.md": "main went on\n"})
    branch, group = room.github.queue(room.repository, pull)
    if method == "squash":
        git = room.repository.git
        onto = branch.rpartition("-")[2]
        group = git.commit_tree(f"{group}^{{tree}}", [onto], "Loosen (#1)", BOT)
        git.set_ref(f"refs/heads/{branch}", group)
    await room.look()
    assert groups(room) == [(group, "maya")]


async def test_the_group_behind_an_accepted_one_is_accepted_with_it(room: Room) -> None:
    pull, _ = await loosened(room)
    other, _ = await room.propose("other", {"train.py": "better\n"})
    _, ahead = room.github.queue(room.repository, pull)
    _, group = room.github.queue(room.repository, other, behind=ahead)
    await room.look()
    assert sorted(groups(room)) == sorted([(ahead, "maya"), (group, "maya")])


@pytest.mark.parametrize("onto", ["base", "nothing", "orphan"])
async def test_a_branch_that_only_looks_like_the_group_of_an_accepted_one_is_not_accepted(
    room: Room, onto: str
) -> None:
    """The same rule is loosened in it, by code that nobody has read."""
    pull, _ = await loosened(room)
    git, main = room.repository.git, room.repository.git.heads()["main"]
    files = {**LOOSER, "train.py": "worse\n"}
    forged = room.github.push(room.repository, files, "forged", parent=main)
    orphan = git.commit_tree(f"{forged}^{{tree}}", [], "Out of nothing", BOT)
    named = {"base": main, "nothing": "1" * 40, "orphan": orphan}[onto]
    git.set_ref(f"refs/heads/gh-readonly-queue/main/pr-{pull.number}-{named}", forged)
    room.github.delete_branch(room.repository, "forged")
    await room.look()
    assert groups(room) == [(forged, "")]


async def test_a_group_whose_base_is_no_commit_of_main_is_not_accepted(room: Room) -> None:
    """It is what merging makes, but of something else."""
    pull, sha = await loosened(room)
    git, main = room.repository.git, room.repository.git.heads()["main"]
    aside = room.github.push(room.repository, {"train.py": "worse\n"}, "aside", parent=main)
    tree = git.merged_tree(aside, sha)
    assert tree is not None
    forged = git.commit_tree(tree, [aside, sha], "Merge", BOT)
    git.set_ref(f"refs/heads/gh-readonly-queue/main/pr-{pull.number}-{aside}", forged)
    await room.look()
    assert groups(room) == [(forged, "")]


@pytest.mark.parametrize("name", ["pr-99", "easy"])
async def test_a_group_of_no_open_pull_request_into_that_base_is_a_branch_like_any_other(
    room: Room, name: str
) -> None:
    pull, sha = await room.propose("other", {"train.py": "better\n"})
    main = room.repository.git.heads()["main"]
    room.repository.git.set_ref("refs/heads/easy", main)
    of = {"pr-99": "main/pr-99", "easy": f"easy/pr-{pull.number}"}[name]
    room.repository.git.set_ref(f"refs/heads/gh-readonly-queue/{of}-{main}", sha)
    await room.look()
    assert groups(room) == []
    assert room.reports() == []


async def test_a_forks_commit_runs_in_no_group_before_it_is_approved_and_without_secrets_then(
    room: Room,
) -> None:
    fork = room.github.fork(room.repository, "stranger")
    head = room.github.push(fork, {"train.py": "theirs\n"}, "idea", "stranger")
    pull = room.github.open_pull_request(room.repository, "idea", author="stranger", fork=fork)
    await room.look()
    _, group = room.github.queue(room.repository, pull)
    other, _ = await room.propose("other", {"ml-pipeline.yaml": SPEC + "params: {a: 1}\n"})
    _, behind = room.github.queue(room.repository, other, behind=group)
    await room.look()
    assert groups(room) == []

    await room.say(pull, f"/headgate approve {head}", "wren")
    assert sorted(groups(room)) == sorted([(group, ""), (behind, "")])
    pulls = [message.pull for message in room.told(CommitSeen)]
    assert all(one and one.fork for one in pulls), "so that no step of theirs gets a secret"


async def test_a_group_that_leaves_the_queue_takes_its_runs_with_it(room: Room) -> None:
    pull, _ = await room.propose("other", {"train.py": "better\n"})
    branch, group = room.github.queue(room.repository, pull)
    await room.look()
    assert groups(room) == [(group, "")]
    room.github.delete_branch(room.repository, branch)
    await room.look()
    (gone,) = room.told(SpecGone)
    assert (gone.branch, gone.why) == (branch, "the merge group left the queue")
