"""Observes the merge groups of GitHub's merge queues: temporary branches with the next merge.

A group is judged like a pull request into its base, by the current rules of the base and never by
those of another group, as anybody who can push can create a branch with such a name.
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
    """The commit that it was put on top of: the base's head, or the head of the group ahead."""


class MergeGroup(NamedTuple):
    """A merge group."""

    pull: Pull
    """The pull request as which it is judged."""
    members: tuple[Member, ...]
    """Its pull requests, by its name and those of the groups ahead; the last one first."""


def group_of(branch: str, heads: Mapping[str, str], pulls: Mapping[int, Pull]) -> MergeGroup | None:
    """The merge group of a branch; None for any other branch, if the base does not exist, or if the
    pull request is not open or has another base."""
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
    """The pull request of a group, and those of the groups ahead that it is on top of."""
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
    """By pipeline, who accepted all rule changes of a merge group, in its pull requests.

    Each rule that the group loosens must be loosened in the same way by an accepted commit in it,
    and the group must have nothing but its pull requests, since commits are accepted, not rules.
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
    """Whether a group's files are exactly its base with its pull requests merged one by one."""
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
