"""Observes the merge groups of GitHub's queues: temporary branches with what would be merged next.

A group is judged as a pull request into its base is, by the rules of the base as it is now and
never by those of another group: anybody who may push might make a branch of such a name.
"""

from collections.abc import Mapping, Sequence

from controller.kinds.code import Repositories
from controller.machine.pipelines.change import Change
from controller.machine.repositories.pull import Acceptance, Pull, merge_group
from controller.machine.repositories.repository import Commit
from controller.plans import compare


def group_of(branch: str, heads: Mapping[str, str], pulls: Mapping[int, Pull]) -> Pull | None:
    """The merge group that a branch is; None for any other, and without its base."""
    found = merge_group(branch)
    if found is None or found[0] not in heads:
        return None
    base, number = found
    last = pulls.get(number)
    return Pull(
        number=number,
        head=heads[branch],
        branch=branch,
        base=base,
        base_commit=heads[base],
        title=last.title if last else "",
        author=last.author if last else "",
        queued=True,
    )


async def accepted_of(
    repositories: Repositories, name: str, commit: Commit, said: Sequence[Acceptance]
) -> dict[str, str]:
    """By pipeline, who accepted all that a merge group does to rules, as open pull requests do it.

    Each rule that it loosens must be loosened in the same way by a commit that was accepted.
    Raises what `Repositories.rules` raises.
    """
    group, found = commit.pull, {}
    assert group is not None
    for pipeline in {*commit.pipelines.values(), *commit.untouched, *commit.removed}:
        words = [one for one in said if (one.base, one.pipeline) == (group.base, pipeline)]
        if not words:
            continue
        covered: set[Change | None] = set()
        for one in words:
            covered |= await _loosened(repositories, name, one.commit, group, pipeline)
        if await _loosened(repositories, name, commit.sha, group, pipeline) <= covered:
            found[pipeline] = " and ".join(sorted({one.by for one in words}))
    return found


async def _loosened(
    repositories: Repositories, name: str, commit: str, group: Pull, pipeline: str
) -> set[Change | None]:
    """The rules of the group's base that a commit loosens; None stands for their removal."""
    code = await repositories.named(name, commit, pipeline)
    if code is None:
        return {None}
    rules = await repositories.rules(name, group.base_commit, pipeline)
    found = await compare(repositories, code, rules, group.base_commit)
    return {change for change in found.changes if change.loosens}
