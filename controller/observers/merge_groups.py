"""Observes the merge groups of GitHub's queues: temporary branches with what would be merged next.

A group is judged as a pull request into its base is, by the rules of the base as it is now and
never by those of another group: anybody who may push might make a branch of such a name.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from controller.git.repositories import Repositories
from controller.machine.pipelines.rule_change import RuleChange
from controller.machine.repositories.pull import Acceptance, Pull, parse_merge_group
from controller.machine.repositories.repository import Commit
from controller.planning.plans import compare


class Member(NamedTuple):
    """An open pull request of a merge group."""

    pull: Pull
    onto: str
    """The commit that it was put on top of: the base's, or the head of the group ahead."""


class MergeGroup(NamedTuple):
    """A merge group."""

    pull: Pull
    """What it is judged as."""
    members: tuple[Member, ...]
    """What its name, and those of the groups ahead, say that is in it; the last one first."""


def group_of(branch: str, heads: Mapping[str, str], pulls: Mapping[int, Pull]) -> MergeGroup | None:
    """The merge group that a branch is; None for any other, without its base, and where its pull
    request is not open, or not into that base."""
    members = _members(branch, heads, pulls)
    if not members:
        return None
    last = members[0].pull
    pull = Pull(
        number=last.number,
        head=heads[branch],
        branch=branch,
        base=last.base,
        base_commit=heads[last.base],
        title=last.title,
        author=last.author,
        fork=any(one.pull.fork for one in members),
        queued=True,
    )
    return MergeGroup(pull, members)


def _members(
    branch: str, heads: Mapping[str, str], pulls: Mapping[int, Pull]
) -> tuple[Member, ...]:
    """Whose pull request a group is, and those of the groups ahead that it stands on."""
    by_head = {sha: name for name, sha in heads.items() if parse_merge_group(name)}
    found: dict[int, Member] = {}
    name: str | None = branch
    while name is not None and (named := parse_merge_group(name)):
        pull = pulls.get(named.number)
        known = named.number in found
        if known or pull is None or pull.base != named.base or named.base not in heads:
            break
        found[named.number] = Member(pull, named.onto)
        name = by_head.get(named.onto)
    return tuple(found.values())


async def acceptances_of(
    repositories: Repositories,
    name: str,
    commit: Commit,
    said: Sequence[Acceptance],
    group: MergeGroup,
) -> dict[str, str]:
    """By pipeline, who accepted all that a merge group does to rules, as its pull requests do it.

    Each rule that it loosens must be loosened in the same way by a commit of it that was accepted,
    and it must hold its pull requests and nothing else: what was accepted is a commit, not a rule.
    Raises what `Repositories.rules` raises.
    """
    heads = {one.pull.head for one in group.members}
    base = group.pull.base
    words = [one for one in said if one.base == base and one.commit in heads]
    if not words or not await _is_merge(repositories, name, group):
        return {}
    found = {}
    for pipeline in {*commit.pipelines.values(), *commit.untouched, *commit.removed}:
        of_it = [one for one in words if one.pipeline == pipeline]
        covered: set[RuleChange | None] = set()
        for one in of_it:
            covered |= await _loosened(repositories, name, one.commit, group.pull, pipeline)
        if (
            of_it
            and await _loosened(repositories, name, commit.sha, group.pull, pipeline) <= covered
        ):
            found[pipeline] = " and ".join(sorted({one.by for one in of_it}))
    return found


async def _is_merge(repositories: Repositories, name: str, group: MergeGroup) -> bool:
    """Whether a group's files are those of its base with its pull requests merged, one by one."""
    mirror = repositories.mirror(name)
    await mirror.fetch_pulls({one.pull.number: one.pull.head for one in group.members})
    made = group.pull.head
    for member in group.members:
        merged = await mirror.merged(member.onto, member.pull.head)
        if merged is None or merged != await mirror.tree(made):
            return False
        made = member.onto
    return await mirror.is_ancestor(made, group.pull.base_commit)


async def _loosened(
    repositories: Repositories, name: str, commit: str, group: Pull, pipeline: str
) -> set[RuleChange | None]:
    """The rules of the group's base that a commit loosens; None stands for their removal."""
    code = await repositories.named(name, commit, pipeline)
    if code is None:
        return {None}
    rules = await repositories.rules(name, group.base_commit, pipeline)
    found = await compare(repositories, code, rules, group.base_commit)
    return {change for change in found.changes if change.loosens}
