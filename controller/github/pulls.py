"""Reads open pull requests on GitHub, and the commands that people give there."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from controller.github.check_ids import parse as parse_mark
from controller.github.client import Client
from controller.github.responses import GitHubRefused
from controller.github.values import Comment
from controller.github.values import PullRequest as Theirs
from controller.machine.messages import ButtonPressed
from controller.machine.repositories.pull import (
    Command,
    LastComment,
    Pull,
    Right,
    Verb,
    is_command,
    parse_command,
)
from specs.failures import NeedsHuman, TryAgain

RESERVE = 500
"""Requests per hour that polls leave for reports."""
MAY_COMMAND = ("admin", "write")

log = structlog.get_logger("headgate.github")


class Pulls:
    """Reads pull requests and comments. `names` has the `owner/name` of each repository."""

    def __init__(self, client: Client, names: Mapping[str, str]) -> None:
        self._client = client
        self._names = names

    def on_github(self, repository: str) -> bool:
        """Whether the repository is on GitHub."""
        return repository in self._names

    async def open(self, repository: str) -> dict[int, Pull]:
        """The open ones by number. Raises what `Client` raises."""
        pulls = await self._client.open_pulls(self._names[repository], reserve=RESERVE)
        return {each.number: _pull(each) for each in sorted(pulls, key=lambda each: each.number)}

    async def now(self, repository: str) -> object:
        """A value that stays equal as long as nothing happens, and is then free of the rate limit.
        Raises what `Client` raises."""
        last = await self._client.last_comment(self._names[repository], reserve=RESERVE)
        return await self.open(repository), last.id if last else 0

    async def asked(
        self, repository: str, seen: LastComment | None, pressed: Sequence[ButtonPressed]
    ) -> tuple[tuple[Command, ...], LastComment]:
        """The commands in comments after `seen` and by `pressed` buttons, and the newest comment.
        Without `seen`, comments from before Headgate was installed are ignored."""
        at = self._names[repository]
        if seen is None:
            last = await self._client.last_comment(at, reserve=RESERVE)
            seen = LastComment(comment=last.id if last else 0, at=last.created if last else _EVER)
        found = await self._client.comments_since(at, earlier(seen.at), reserve=RESERVE)
        # The answer includes older comments: those since a little earlier, as the times of two
        # comments need not be in the order of their ids, and those that were edited.
        known = seen.comment
        news = [one for one in found if (one.id > known if known else one.created >= seen.at)]
        spoken = [one for one in news if is_command(one.body) and one.kind != "Bot"]
        people = {*(one.author for one in spoken), *(one.author for one in pressed)} - {""}
        may = {who: await self._client.permission(at, who) in MAY_COMMAND for who in sorted(people)}
        if news:
            last = max(news, key=lambda one: one.id)
            seen = LastComment(comment=last.id, at=last.created)
        commands = (
            *(_said(one, may.get(one.author, False)) for one in spoken),
            *(one for each in pressed if (one := _pressed(each, may.get(each.author, False)))),
        )
        return commands, seen

    async def required(self, repository: str, branch: str) -> frozenset[str] | None:
        """The names of the checks that a merge into a branch requires; None if they cannot be
        read."""
        at = self._names[repository]
        try:
            return await self._client.required_checks(at, branch, RESERVE)
        except (TryAgain, NeedsHuman) as failure:
            log.warning("the required checks cannot be read", branch=branch, reason=str(failure))
            return None

    async def right(self, repository: str, who: str, approvers: Sequence[str]) -> Right:
        """Whether a person is one of `approvers` (`@person` or `@organisation/team`) or, without
        any, an administrator of the repository. Raises what `Client` raises."""
        at = self._names[repository]
        if not approvers:
            return Right(may=await self._client.permission(at, who) == "admin")
        who_may = tuple(approvers)
        named = [each.removeprefix("@").lower() for each in approvers]
        if who.lower() in named:
            return Right(may=True, who=who_may)
        unseen = ""
        for organisation, slash, team in (each.partition("/") for each in named):
            try:
                if slash and await self._client.is_member(at, organisation, team, who):
                    return Right(may=True, who=who_may)
            except GitHubRefused as refusal:
                log.warning("the members of a team cannot be read", reason=str(refusal))
                unseen = (
                    f"The members of `@{organisation}/{team}` cannot be read: grant Headgate's app "
                    "`members: read` on that organisation (a classic token: `read:org`), or list "
                    "people instead."
                )
        return Right(who=who_may, unseen=unseen)


def begin(moment: float) -> LastComment:
    """Makes `asked` read comments from that moment on, in seconds since the epoch."""
    return LastComment(comment=0, at=f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}")


_EVER = "1970-01-01T00:00:00Z"
SLACK = 60
"""Seconds by which a comment with a higher id may have an earlier time."""


def earlier(moment: str) -> str:
    """`SLACK` earlier than a time of GitHub's."""
    if moment == _EVER:
        return moment
    at = datetime.fromisoformat(moment) - timedelta(seconds=SLACK)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _pull(theirs: Theirs) -> Pull:
    return Pull(
        number=theirs.number,
        head=theirs.head_sha,
        branch="" if theirs.fork else theirs.head_ref,
        base=theirs.base_ref,
        title=theirs.title[:200],
        author=theirs.author,
        fork=theirs.fork,
    )


def _said(comment: Comment, may: bool) -> Command:
    verb, argument = parse_command(comment.body)
    return Command(
        id=f"comment/{comment.id}",
        verb=verb,
        argument=argument,
        by=comment.author,
        may=may,
        pull=comment.about,
        comment=comment.id,
        edited=comment.edited,
    )


_ACTIONS: Mapping[str, Verb] = {"approve": "approve", "accept": "accept"}
"""By the identifier of our buttons."""


def _pressed(button: ButtonPressed, may: bool) -> Command | None:
    """A button: GitHub's own for a re-run, or ours."""
    verb = _ACTIONS.get(button.action) if not button.rerun else "run"
    if verb is None:
        return None
    mark = parse_mark(button.external_id)
    return Command(
        # Only the body is signed, so a repeated delivery counts as the same press of this check.
        id=f"button/{button.check or button.sha}/{button.external_id}/{verb}",
        verb=verb,
        by=button.author,
        may=may,
        commit=button.sha,
        check=mark.kind if button.external_id else "",
        pipeline=mark.pipeline,
        scope=mark.scope,
    )
