"""PURE. What a pipeline has to observe before it can decide.

The observer and the tests' model of the world both ask here, so that a decision which uses more
than it asked for fails in a test.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from controller.machine.core import InboxMessage
from controller.machine.messages import (
    CommitSeen,
    RulesAccepted,
    RunEnded,
    RunRequested,
    SpecGone,
)
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import place, versioned
from controller.machine.pipelines.pipeline import (
    PipelineState,
    concerns,
    is_name_taken,
    queue_of,
    with_head,
    with_pull,
    without_branch,
)
from controller.machine.pipelines.trust import RunTerms, denied_queries, rules_of, secrets_for_pulls
from controller.machine.repositories.pull import Pull
from controller.machine.runs.exam import lacks


class SpecAt(NamedTuple):
    """Where the pipeline's spec is in a commit."""

    repository: str
    path: str


class PipelineNeeds(NamedTuple):
    """What follows from the state and the inbox alone."""

    repository: str
    """The one that the pipeline is in, once the messages are handled."""
    default_branch: str
    heads: Mapping[str, str]
    """The head of each branch, once the messages are handled."""
    commits: Mapping[str, SpecAt]
    """Commits whose code and datasets are needed."""
    queued: Mapping[str, SpecAt]
    """Further commits that wait in line, or may from now on: only their code is needed."""
    pulls: Mapping[str, Pull]
    """By branch, the pull requests whose base's rules are needed."""
    ended: Mapping[str, RunEnded]
    """The messages that say that a run ended, by run. The code of that run's commit is needed."""

    @property
    def specs(self) -> dict[str, SpecAt]:
        """All commits whose code is needed."""
        return {**self.queued, **self.commits}

    @property
    def packages(self) -> tuple[str, ...]:
        """Digests of released packages that may need a version number."""
        return tuple(end.package for end in self.ended.values() if end.package)


class DatasetNeed(NamedTuple):
    """A dataset that has to be listed, as a commit's spec names it."""

    code: Code
    name: str
    place: str
    """Its `data.place`. Datasets of one place have one listing."""


def needs_of(pipeline: PipelineState, inbox: Sequence[InboxMessage]) -> PipelineNeeds:
    """What to observe before the messages are handled."""
    specs = {branch: SpecAt(pipeline.repository, path) for branch, path in pipeline.specs.items()}
    queued = {
        each.commit: SpecAt(pipeline.repository, each.spec or pipeline.specs[branch])
        for branch in pipeline.wanted
        for each in queue_of(pipeline, branch)
    }
    last: dict[str, SpecAt] = {}
    after = pipeline
    branches = {pipeline.default_branch, *pipeline.wanted}
    for each in inbox:
        message = each.message
        match message:
            case CommitSeen() if not is_name_taken(after, message):
                after = with_head(after, message)
                specs[message.branch] = SpecAt(message.repository, message.spec)
                queued[message.commit] = specs[message.branch]
                branches |= {message.branch, message.default_branch}
            case SpecGone() if concerns(after, message):
                if message.branch == after.default_branch:  # its last spec says whom to notify
                    last[after.heads[message.branch]] = specs[message.branch]
                after = without_branch(after, message)
            case RunEnded() if message.stale:
                branches.add(message.branch)
            case RunRequested() | RulesAccepted():
                branch = message.branch or after.default_branch
                after = with_pull(after, branch, message.pull)
                branches.add(branch)
    branches &= after.heads.keys()
    commits = {after.heads[branch]: specs[branch] for branch in sorted(branches)}
    wanted = {one.commit: queued[one.commit] for one in pipeline.wanted.values()}
    return PipelineNeeds(
        repository=after.repository,
        default_branch=after.default_branch,
        heads=after.heads,
        commits={**last, **wanted, **commits},
        queued=queued,
        pulls={branch: pull for branch, pull in after.pulls.items() if branch in branches},
        ended={x.message.run: x.message for x in inbox if isinstance(x.message, RunEnded)},
    )


def datasets_to_list(
    needs: PipelineNeeds, code: Mapping[str, Code], rules: Mapping[str, Code]
) -> tuple[DatasetNeed, ...]:
    """The datasets of which a listing is needed, once the code that `needs` names is read, by
    commit, and the rules of pull requests, by branch.

    A pull request may not have every database queried on its behalf. If another commit may have
    the same query run, both get the answer.
    """
    wanted = {commit: code[commit] for commit in needs.commits if commit in code}
    denied = _denied_queries(needs, code, rules)
    found, permitted = [], set()
    for commit, one in {**_bases_with_data(needs, code, rules), **wanted}.items():
        if one.spec is None:
            continue
        for name in versioned(one.spec):
            need = DatasetNeed(one, name, place(one.spec, name, commit))
            found.append(need)
            if name not in denied.get(commit, ()):
                permitted.add(need.place)
    return tuple(need for need in found if need.place in permitted)


def _denied_queries(
    needs: PipelineNeeds, code: Mapping[str, Code], rules: Mapping[str, Code]
) -> dict[str, frozenset[str]]:
    """By commit of a pull request, the datasets whose database may not be queried for it. A commit
    that is the head of a branch as well has the rights of that branch."""
    trusted = {commit for branch, commit in needs.heads.items() if branch not in needs.pulls}
    default_head = code.get(needs.heads.get(needs.default_branch, ""))
    found = {}
    for branch, pull in needs.pulls.items():
        commit = needs.heads.get(branch, "")
        head = code.get(commit)
        if head is not None and head.spec is not None and commit not in trusted:
            terms = RunTerms(
                rules=rules_of(rules.get(branch), pull.base),
                fork=pull.fork,
                marked=secrets_for_pulls(pull.base, needs.default_branch, default_head),
            )
            found[commit] = denied_queries(head.spec, terms)
    return found


def _bases_with_data(
    needs: PipelineNeeds, code: Mapping[str, Code], rules: Mapping[str, Code]
) -> dict[str, Code]:
    """By commit, the bases of pull requests whose evaluation reads data that the pull request's
    own spec does not have."""
    found = {}
    for branch, base in rules.items():
        head = code.get(needs.heads.get(branch, ""))
        terms = rules_of(base, needs.pulls[branch].base)
        if head and head.spec and terms and lacks(head.spec, head.source, terms):
            found[base.source.commit] = base
    return found
