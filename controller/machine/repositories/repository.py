"""PURE. A git repository: its state, and what is observed of it.

`noticing` has the machine. For pipelines, a pull request is one more branch: `pull request 12`.
"""

from collections.abc import Mapping

from pydantic import field_validator

from controller.machine.core import Value
from controller.machine.messages import ButtonPressed
from controller.machine.repositories.pull import (
    Acceptance,
    Command,
    LastComment,
    Pull,
    pull_branch,
    scope_of,
)
from specs.model import spec_order, spec_path

ENVIRONMENTS = ("staging", "production")


class Commit(Value):
    """The head of a branch, or of a pull request."""

    sha: str
    subject: str = ""
    author: str = ""
    pipelines: Mapping[str, str] = {}
    """Names by the paths of their specs: the pipelines that run for this branch. Empty for a head
    that was seen before."""
    broken: tuple[str, ...] = ()
    """Invalid specs. Such a spec cannot rename its pipeline."""
    misnamed: Mapping[str, str] = {}
    """On the default branch: files that are almost named like specs, with the correct names."""
    beside: tuple[str, ...] = ()
    """On a branch: commits between the head that was seen last and this one; on a new branch, since
    the default branch."""
    covered: Mapping[str, str] = {}
    """On a branch: pipelines for which this head changes nothing, each with the run whose result
    stands (empty: commits start none). They are not told of it."""
    untouched: tuple[str, ...] = ()
    """On a pull request: pipelines that it does not affect."""
    required: tuple[str, ...] | None = None
    """Of the untouched, those of which the forge requires a check to merge; None: it is unknown."""
    removed: tuple[str, ...] = ()
    """On a pull request: pipelines of its base whose spec it removes."""
    pull: Pull | None = None
    accepted: Mapping[str, str] = {}
    """On a merge group: by pipeline, who accepted its changed rules, in its pull requests."""
    waits: bool = False
    """Whether it could not be read yet, so that it is left for the next reconcile."""


class Untold(Value):
    """The pipelines of a pull request that do not run for its head, but have checks there."""

    untouched: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class RepositoryState(Value):
    """The stored facts of a repository."""

    name: str
    default_branch: str | None = None
    heads: Mapping[str, str] = {}
    """The last commit seen of each watched branch and open pull request."""
    environments: str | None = None
    """The last commit seen of the environments branch."""
    pipelines: Mapping[str, Mapping[str, str]] = {}
    """By branch and spec path, the names of the pipelines that are on it."""
    unwatched: Mapping[str, str] | None = None
    """The last commit seen of each unwatched branch that has specs; None: not known yet."""
    untold: Mapping[str, Untold] = {}
    """By pull request."""
    pulls: Mapping[int, Pull] = {}
    """The open pull requests, by number."""
    approved: Mapping[int, str] = {}
    """By number, the commit of a fork's pull request that a maintainer approved."""
    held: tuple[str, ...] = ()
    """The pull requests whose head waits for such an approval."""
    accepted: tuple[Acceptance, ...] = ()
    """The accepted rule changes of open pull requests."""
    last_comment: LastComment | None = None
    pressed: tuple[ButtonPressed, ...] = ()
    """Pressed buttons that wait until the forge can say what their users may do."""
    moves: int = 0
    """Counts changes. Part of message ids, as a branch may return to an earlier commit."""

    @field_validator("pipelines")
    @classmethod
    def _by_folders(cls, known: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
        """Older controllers stored the folders of specs."""
        return {
            branch: {spec_path(place): name for place, name in names.items()}
            for branch, names in known.items()
        }


class ObservedRepository(Value):
    """The branches and pull requests as they are now."""

    default_branch: str
    heads: Mapping[str, Commit] = {}
    """The heads of watched branches, merge groups and pull requests."""
    unwatched: Mapping[str, str] = {}
    """The heads of unwatched branches that have specs, if nothing else reports on them."""
    environments: str | None = None
    places: frozenset[str] | None = None
    """The environments that have a file on that branch: `flight-delay/staging`; None: unknown."""
    moved: frozenset[str] | None = None
    """Those whose file was committed to since the commit that was seen last; None: perhaps all, as
    that is no longer on the branch."""
    pulls: Mapping[int, Pull] = {}
    """The open ones, by number; `heads` has the head of each."""
    asked: tuple[Command, ...] = ()
    """Commands that were given since the last reconcile."""
    last_comment: LastComment | None = None
    pressed: tuple[ButtonPressed, ...] = ()
    """Buttons that could not be handled, as the forge could not be reached."""
    unheard: bool = False
    """Whether the forge could not be reached, and pull requests are as they were before, or one of
    them could not be read, and is to be looked at again soon."""
    more: bool = False
    """Whether some pull requests were left for the next reconcile."""
    nudged: frozenset[str] | None = frozenset()
    """The environments of which a release's pull request changed; None: perhaps any."""


def is_seen(
    repository: RepositoryState | None,
    branch: str,
    sha: str,
    default_branch: str,
    approved: Mapping[int, str],
    pull: Pull | None = None,
) -> bool:
    """Whether that head was handled before, so that nothing about it is new.

    A pull request with another base is new, as other gates judge it. So is a held one that was
    approved, and a branch that became the default one or ceased to be.
    """
    if repository is None or repository.heads.get(branch) != sha:
        return False
    before = repository.pulls.get(pull.number) if pull and not pull.queued else None
    if pull is not None and before is not None and before.base != pull.base:
        return False
    if pull is not None and branch not in repository.untold:
        return False  # an older controller, which compared no rules, handled it
    if branch in repository.held and any(pull_branch(n) == branch for n in approved):
        return False
    was = repository.default_branch or ""
    return scope_of(branch, pull, default_branch) == scope_of(branch, pull, was)


def is_held(pull: Pull, approved: Mapping[int, str]) -> bool:
    """Whether nothing of it may run: it comes from a fork, and this commit was not approved."""
    return pull.fork and approved.get(pull.number) != pull.head


def pipelines_of(before: RepositoryState, branch: str, commit: Commit) -> tuple[str, ...]:
    """The pipelines that have rules at the head of a pull request, now or when last seen."""
    untold = before.untold.get(branch, Untold())
    told = (*before.pipelines.get(branch, {}).values(), *names_of(before, branch, commit).values())
    untouched = with_checks(before, branch, commit)
    beside = (*untold.untouched, *untold.removed, *untouched, *commit.removed)
    return tuple(sorted({*told, *beside}))


def with_checks(before: RepositoryState, branch: str, commit: Commit) -> tuple[str, ...]:
    """The untouched pipelines that get checks of their own: those that the forge requires, and
    those that were told of an earlier head, which have a section in the comment."""
    if commit.required is None:
        return commit.untouched
    own = {*commit.required, *before.pipelines.get(branch, {}).values()}
    return tuple(name for name in commit.untouched if name in own)


def names_of(before: RepositoryState, branch: str, commit: Commit) -> dict[str, str]:
    """Names by spec. An invalid spec keeps its last name, here or on the default branch."""
    known = {
        **before.pipelines.get(before.default_branch or "", {}),
        **before.pipelines.get(branch, {}),
    }
    return {
        spec: known.get(spec, pipeline) if spec in commit.broken else pipeline
        for spec, pipeline in sorted(commit.pipelines.items(), key=lambda each: spec_order(each[0]))
    }
