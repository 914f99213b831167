"""PURE. Reports on heads of branches and pull requests, other than those of their pipelines."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from controller.machine.actions import ReportCommit, ReportPolicy, ReportUntouched
from controller.machine.core import Envelope, Key
from controller.machine.messages import RulesAccepted
from controller.machine.repositories.pull import Pull

MOST_NAMED = 30
"""How many pipelines one report for all of them names."""


class ReportPlace(NamedTuple):
    """The commit that is reported on, and in which scope."""

    repository: str
    commit: str
    scope: str
    """See `pull.scope_of`."""
    pull: Pull | None = None


def report(
    place: ReportPlace,
    pipeline: str,
    state: Literal["invalid", "skipped", "held", "accepted"],
    title: str,
    *,
    text: str = "",
    asks: Literal["", "approve", "accept"] = "",
) -> ReportCommit:
    """A check and, of a pull request, a section of its comment."""
    return ReportCommit(
        repository=place.repository,
        commit=place.commit,
        pipeline=pipeline,
        state=state,
        title=title,
        text=text,
        scope=place.scope,
        asks=asks,
        pull=place.pull.told if place.pull else None,
    )


def untouched(place: ReportPlace, pull: Pull, pipelines: Iterable[str]) -> Iterator[ReportCommit]:
    """Pipelines that a pull request does not affect get a final status too, since a protected
    branch may require all of them."""
    for pipeline in pipelines:
        title = f"nothing to run: {_what(pull)} changes nothing that {pipeline} reads"
        yield report(place, pipeline, "skipped", title)


def untouched_together(
    place: ReportPlace, pipelines: Mapping[str, str]
) -> Iterator[ReportUntouched]:
    """One report for all pipelines that a head does not affect, however many they are. Each is
    given with the run whose result stands; empty: none."""
    if not pipelines:
        return
    names = sorted(pipelines)
    who = names[0] if len(names) == 1 else f"these {len(names)} pipelines"
    reads = "reads" if len(names) == 1 else "read"
    yield ReportUntouched(
        repository=place.repository,
        commit=place.commit,
        title=f"nothing to run: {_what(place.pull)} changes nothing that {who} {reads}",
        named={name: pipelines[name] for name in names[:MOST_NAMED]},
        others=max(len(names) - MOST_NAMED, 0),
        scope=place.scope,
    )


def covered(
    place: ReportPlace, runs: Mapping[str, str]
) -> Iterator[ReportUntouched | ReportCommit]:
    """Pipelines for which a branch's head changes nothing, each with its run that passed, if
    commits start any. A single one is reported on as by itself."""
    if len(runs) != 1 or not all(runs.values()):
        yield from untouched_together(place, runs)
        return
    for pipeline, run in runs.items():
        title = f"nothing to run: nothing it reads has changed since {run} (passed)"
        yield report(place, pipeline, "skipped", title).model_copy(update={"run": run})


def _what(pull: Pull | None) -> str:
    if pull is None:
        return "this commit"
    return f"this merge group of #{pull.number}" if pull.queued else f"#{pull.number}"


def removed(place: ReportPlace, pull: Pull, pipeline: str, by: str) -> ReportCommit:
    """Without its spec nothing judges a pipeline, so an approver has to accept the removal; `by` is
    who did, or empty."""
    if by:
        title = f"#{pull.number} removes {pipeline}, as {by} accepted"
        return report(place, pipeline, "accepted", f"{title}; its environments keep what runs")
    if pull.queued:
        title = f"this merge group removes {pipeline}, which was accepted in no open pull request"
        text = "Accept it in the pull request that removes it, then queue that one again."
        return report(place, pipeline, "held", title, text=text)
    title = f"#{pull.number} removes {pipeline}: an approver has to accept that"
    text = (
        f"This removes the rules that judge `{pipeline}`; its environments keep what they run. "
        f"Those named by `policy.approvers` of its spec on `{pull.base}` (by default, those who "
        "administer the repository) can accept it for this very commit, by a comment or the "
        "button of this check. A new push has to be accepted again."
    )
    return report(place, pipeline, "held", title, text=text, asks="accept")


def held(place: ReportPlace, pull: Pull, pipelines: Iterable[str]) -> Iterator[ReportCommit]:
    """A fork's commit waits for approval; until then its spec cannot claim a pipeline's name."""
    short = place.commit[:12]
    text = (
        "This comes from a fork, so nothing of it runs until somebody with write access has read "
        "it and approved this very commit, by a comment or the button of this check. A new push "
        "needs a new approval.\n\n"
        f"Its run gets no secrets, and is judged by the gates of `{pull.base}`."
    )
    for pipeline in pipelines:
        title = f"waits for a maintainer to approve {short}"
        yield report(place, pipeline, "held", title, text=text, asks="approve")


def duplicate_names(place: ReportPlace, named: Mapping[str, str]) -> Iterator[ReportCommit]:
    """Specs whose name another spec has. On a branch the first one runs and reports under that
    name, so this is a report without a pipeline."""
    of_name = {named[spec]: spec for spec in first_of_each_name(named)}
    for spec, pipeline in named.items():
        one = of_name[pipeline]
        if one != spec:
            title = (
                f"two specs are named {pipeline}: {one} and {spec}; give one another "
                "`metadata.name`"
            )
            yield report(place, pipeline if place.pull else "", "invalid", title)


def misnamed(place: ReportPlace, names: Mapping[str, str]) -> list[ReportCommit]:
    """Files that look like specs but are not read, because of their names."""
    if not names:
        return []
    path, right = next(iter(names.items()))
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    title = f"{path} is not read: rename it to {right}{more}"
    return [report(place, "", "skipped", title)]


def pushed_together(head: ReportPlace, commits: Iterable[str]) -> Iterator[ReportCommit]:
    """Commits that were pushed with the head of their branch, or just before it."""
    for commit in commits:
        title = f"not run: {head.commit[:12]} was pushed with it, or right after it, and covers it"
        yield report(head._replace(commit=commit), "", "skipped", title)


def unwatched(place: ReportPlace, default_branch: str) -> ReportCommit:
    """Tells whoever pushed to a branch that is not watched why nothing runs."""
    title = (
        f"not run: this branch is not watched; name it in `triggers.commits.branches` of "
        f"{default_branch}'s spec, or merge it"
    )
    return report(place, "", "skipped", title)


def first_of_each_name(named: Mapping[str, str]) -> list[str]:
    """The first spec of each name."""
    names = list(named.values())
    return [spec for at, spec in enumerate(named) if named[spec] not in names[:at]]


def unique_names(named: Mapping[str, str]) -> list[str]:
    """The specs whose name no other has."""
    names = list(named.values())
    return [spec for spec, name in named.items() if names.count(name) == 1]


def policy(place: ReportPlace, pull: Pull, pipeline: str, by: str) -> ReportPolicy:
    """Reports how a pull request changes a pipeline's rules; `by` is who accepted that, if any."""
    return ReportPolicy(
        repository=place.repository,
        commit=place.commit,
        pipeline=pipeline,
        pull=pull.number,
        base=pull.base,
        base_commit=pull.base_commit,
        queued=pull.queued,
        scope=place.scope,
        accepted=by,
    )


def rules_accepted(
    id_: str, place: ReportPlace, branch: str, pull: Pull, pipeline: str, by: str
) -> Envelope:
    """Tells a pipeline that its run of a pull request may be judged by the commit's own rules."""
    message = RulesAccepted(branch=branch, commit=place.commit, by=by, pull=pull)
    return Envelope(to=Key("pipeline", pipeline), id=id_, message=message)
