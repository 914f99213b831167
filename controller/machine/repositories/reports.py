"""PURE. What is said on the head of a branch or pull request beside what its pipelines say."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from controller.machine.actions import ReportCommit, ReportPolicy
from controller.machine.core import Envelope, Key
from controller.machine.messages import RulesAccepted
from controller.machine.repositories.pull import Pull


class ReportPlace(NamedTuple):
    """The commit that something is said on, and what for."""

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
    """Pipelines that a pull request does not concern get their terminal status, too: a branch may
    be protected by all of them."""
    what = f"this merge group of #{pull.number}" if pull.queued else f"#{pull.number}"
    for pipeline in pipelines:
        title = f"nothing to run: {what} changes nothing that {pipeline} reads"
        yield report(place, pipeline, "skipped", title)


def removed(place: ReportPlace, pull: Pull, pipeline: str, by: str) -> ReportCommit:
    """Without its spec nothing judges a pipeline, so that is for people with the right to accept;
    `by` is who did."""
    if by:
        title = f"#{pull.number} removes {pipeline}, as {by} accepted"
        return report(place, pipeline, "accepted", f"{title}; its environments keep what runs")
    if pull.queued:
        title = f"this merge group removes {pipeline}, which no open pull request has accepted"
        text = "Accept it in the pull request that removes it, and queue that one again."
        return report(place, pipeline, "held", title, text=text)
    title = f"#{pull.number} removes {pipeline}: somebody with the right has to accept that"
    text = (
        f"With its spec go the rules that judge `{pipeline}`; its environments keep what runs. "
        f"Whom `policy.approvers` of its spec on `{pull.base}` names or, without any, who "
        "administers the repository accepts that for this very commit, by a comment or the button "
        "of this check. A new push needs a new word."
    )
    return report(place, pipeline, "held", title, text=text, asks="accept")


def held(place: ReportPlace, pull: Pull, pipelines: Iterable[str]) -> Iterator[ReportCommit]:
    """A fork's commit waits; its spec may not even claim a pipeline's name."""
    short = place.commit[:12]
    text = (
        "This comes from a fork, so nothing of it runs until somebody who may write here has read "
        "it and approves this very commit, by a comment or the button of this check. A new push "
        "needs a new approval.\n\n"
        f"Its run gets no secrets, and is judged by the gates of `{pull.base}`."
    )
    for pipeline in pipelines:
        title = f"waits for a maintainer to approve {short}"
        yield report(place, pipeline, "held", title, text=text, asks="approve")


def duplicate_names(place: ReportPlace, named: Mapping[str, str]) -> Iterator[ReportCommit]:
    """Says so where a spec has the name of another. Of a branch the first of them runs, so that is
    said apart from what it says."""
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
    """Files that somebody may take for specs, and nothing reads."""
    if not names:
        return []
    path, right = next(iter(names.items()))
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    title = f"{path} is not read, as specs are called: rename it to {right}{more}"
    return [report(place, "", "skipped", title)]


def pushed_together(head: ReportPlace, commits: Iterable[str]) -> Iterator[ReportCommit]:
    """Commits that were pushed together with the head of their branch, or just before it."""
    for commit in commits:
        title = f"not run: {head.commit[:12]} came with it, or right after it, and stands for it"
        yield report(head._replace(commit=commit), "", "skipped", title)


def unwatched(place: ReportPlace, default_branch: str) -> ReportCommit:
    """Nothing looks at a branch, and somebody who pushed to it may look for what it says."""
    title = (
        f"not run: this branch is not watched; name it in `triggers.commits.branches` of "
        f"{default_branch}'s spec, or merge it"
    )
    return report(place, "", "skipped", title)


def first_of_each_name(named: Mapping[str, str]) -> list[str]:
    """The specs that are the first of their name."""
    names = list(named.values())
    return [spec for at, spec in enumerate(named) if named[spec] not in names[:at]]


def unique_names(named: Mapping[str, str]) -> list[str]:
    """The specs that are the only ones of their name."""
    names = list(named.values())
    return [spec for spec, name in named.items() if names.count(name) == 1]


def policy(place: ReportPlace, pull: Pull, pipeline: str, by: str) -> ReportPolicy:
    """How a pull request changes the rules of a pipeline; `by` is who accepted that."""
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
