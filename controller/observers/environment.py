"""Observes environments: what runs there, its traffic, and its file on the environments branch."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from controller.git import CommitInfo, Mirror
from controller.git.environment_file import Invalid
from controller.git.environments import BRANCH, Environments, is_ours, proposed_by, rollout_of
from controller.git.repositories import Repositories
from controller.github.proposals import Proposals
from controller.machine.actions import Origin
from controller.machine.core import InboxMessage, Key
from controller.machine.environments.environment import (
    Branch,
    EnvironmentState,
    LostHistory,
    ObservedEnvironment,
    Proposed,
)
from controller.machine.environments.file import path_of
from controller.machine.environments.job import BatchJob, ObservedJob
from controller.machine.environments.needs import (
    ProposalNeed,
    TrafficNeed,
    needs,
    needs_branch,
    repository_of,
)
from controller.machine.pipelines.version import ModelVersion
from controller.observers.batches import BatchObserver, due, next_due
from controller.observers.past import PastReader
from controller.store.model_versions import Versions
from deployers.protocol import Deployed, Deployer, Traffic
from specs.failures import Failure, NeedsHuman, TryAgain
from specs.figures import clip
from specs.notifications import Notification

TIP_TIMEOUT = 5.0
"""Seconds to wait for a remote to say where its branch is; else it counts as unchanged."""
MOST_LOST = 5
"""How many lost commits are named."""
LONGEST_SUBJECT = 200
LONGEST_UNHEARD = 400
MOST_RECREATED = 200
"""How many commits of a branch are searched for whether Headgate recreated it."""

CLOCK_TOLERANCE = 2.0
"""Seconds by which the router's clock may seem to differ, because its answer takes a while."""


class EnvironmentObserver:
    """An `Observer`: asks the deployer, the router and git."""

    def __init__(
        self,
        versions: Versions,
        deployer: Deployer,
        repositories: Repositories,
        branches: Mapping[str, Environments],
        redact: Callable[[str], str],
        pasts: PastReader,
        ports: Mapping[str, int],
        clock: Callable[[], float],
        batches: BatchObserver | None = None,
        proposals: Proposals | None = None,
        everyone: Sequence[Notification] = (),
    ) -> None:
        self._batches = batches
        self._versions = versions
        self._deployer = deployer
        self._repositories = repositories
        self._branches = branches
        self._redact = redact
        self._pasts = pasts
        self._ports = ports
        self._clock = clock
        self._proposals = proposals
        self._everyone = tuple(everyone)
        self._origins: dict[tuple[str, str], Origin] = {}
        """By repository and commit; commits never change."""

    async def observe(
        self, key: Key, state: EnvironmentState | None, inbox: Sequence[InboxMessage]
    ) -> ObservedEnvironment:
        pipeline, _, name = key.name.partition("/")
        repository, now = repository_of(state, inbox), self._clock()
        tip, seen = None, _Seen()
        if needs_branch(state, inbox):
            # Resolved first, so that a merge that is seen in `tip` is also in what is read below.
            tip = await self._repositories.mirror(repository).resolve(BRANCH)
            seen = await self._branch(repository, pipeline, name, state, tip)
        need = needs(state, inbox, seen.branch)
        past = None
        if need.past and tip is not None:
            past = await self._pasts.read(repository, pipeline, name, tip)
        found = {number: await self._versions.get(pipeline, number) for number in need.versions}
        known = {number: version for number, version in found.items() if version}
        scheduled = known.get(need.schedule.version) if need.schedule else None
        heard = await self._traffic(key.name, need.traffic) if need.traffic else None
        return ObservedEnvironment(
            versions={**(past.versions if past else {}), **known},
            deployed=await self._deployed(key.name),
            traffic=heard if isinstance(heard, Traffic) else None,
            unheard=heard if isinstance(heard, str) else "",
            branch=seen.branch,
            unread=seen.unread,
            lost_history=seen.lost,
            past=past,
            port=self._ports.get(key.name),
            proposes=self._proposals is not None and self._proposals.at(repository) is not None,
            proposal=await self._proposal(repository, need.proposal, tip),
            job=await self._job(need.job),
            due=due(scheduled, need.schedule.after, now) if scheduled and need.schedule else None,
            next_due=next_due(scheduled, now) if scheduled else None,
            origins=await self._origins_of(need.origins, known),
            everyone=self._everyone,
        )

    async def _job(self, job: BatchJob | None) -> ObservedJob | None:
        """How the batch job is doing. What it wrote may become a reason in the store, so our
        secrets are taken out of it."""
        if self._batches is None or job is None:
            return None
        seen = await self._batches.observe(job)
        if seen is None:
            return None
        status = seen.status.model_copy(update={"message": self._redact(seen.status.message)})
        return seen.model_copy(update={"status": status})

    async def _origins_of(
        self, numbers: Iterable[int], known: Mapping[int, ModelVersion]
    ) -> dict[int, Origin]:
        """The commits of versions. One that cannot be read is left out: nothing waits for the name
        of an author."""
        found = {}
        for version in (known[number] for number in numbers if number in known):
            key = (version.source.repository, version.source.commit)
            if key not in self._origins:
                try:
                    commit = await self._repositories.mirror(key[0]).commit_info(key[1])
                except Failure:
                    continue
                self._origins[key] = Origin(
                    commit=commit.sha,
                    author=self._redact(clip(commit.author, LONGEST_SUBJECT)),
                    subject=self._redact(clip(commit.subject, LONGEST_SUBJECT)),
                )
            found[version.number] = self._origins[key]
        return found

    async def _deployed(self, place: str) -> Deployed:
        """What runs there. Our secrets are taken out of the details of servers, whatever the
        deployer did, because they become reasons in the store and in git."""
        seen = await self._deployer.observe(place)
        servers = (s.model_copy(update={"detail": self._redact(s.detail)}) for s in seen.servers)
        return seen.model_copy(update={"servers": tuple(servers)})

    async def _branch(
        self,
        repository: str,
        pipeline: str,
        name: str,
        state: EnvironmentState | None,
        tip: str | None,
    ) -> "_Seen":
        """The environment's file at `tip`, the head of the branch as last fetched; and what was
        lost, if the commit that was acted on is no longer there."""
        mirror = self._repositories.mirror(repository)
        acted_on = state.acted_on if state else None
        if state is None or acted_on is None:
            return _Seen(await self._last(repository, pipeline, name, state, tip) if tip else None)
        if tip is not None and await _descends(mirror, tip, acted_on):
            return _Seen(await self._last(repository, pipeline, name, state, tip))
        # The mirror may lack what this controller has just pushed: ask the remote.
        try:
            async with asyncio.timeout(TIP_TIMEOUT):
                tip = await mirror.tip(BRANCH)
        except (TryAgain, NeedsHuman, TimeoutError):
            return _Seen(unread=True)
        if tip is None:
            return _Seen(lost=LostHistory(was=acted_on, now=None))
        branch = await self._last(repository, pipeline, name, state, tip)
        if await _descends(mirror, tip, acted_on):
            return _Seen(branch)
        path = path_of(name, pipeline)
        return _Seen(branch, await self._lost(repository, path, acted_on, tip, branch))

    async def _lost(
        self, repository: str, path: str, was: str, tip: str, branch: Branch | None
    ) -> LostHistory:
        """What was lost of the file's history, as far as the mirror still has it."""
        mirror = self._repositories.mirror(repository)
        gone: Sequence[CommitInfo] = ()
        old = False
        if await mirror.has(was):
            gone = await mirror.log(was, [path], MOST_LOST, without=tip)
            old = branch is not None and await mirror.is_ancestor(branch.commit, was)
        news = branch is not None and not branch.ours and not old
        if await _is_recreated(mirror, tip, was):
            return LostHistory(
                was=was, now=None, news=news
            )  # everything is gone: no list is needed
        said = tuple(f"{c.sha[:12]} by {c.author}, {c.subject!r}" for c in gone)
        return LostHistory(was=was, now=tip, left_out=said, news=news)

    async def _last(
        self, repository: str, pipeline: str, name: str, state: EnvironmentState | None, tip: str
    ) -> Branch | None:
        """The last commit up to `tip` that changed the file; None if there never was one."""
        mirror = self._repositories.mirror(repository)
        history = await mirror.log(tip, [path_of(name, pipeline)], limit=1)
        if not history:
            return None
        last = history[0]
        seen = Branch(
            commit=last.sha,
            ours=is_ours(last),
            rollout=rollout_of(last, f"{pipeline}-{name}"),
            author=last.author,
            subject=last.subject[:LONGEST_SUBJECT],
            proposal=proposed_by(last),
        )
        if state is not None and state.acted_on == last.sha:
            return seen
        try:
            file = await self._branches[repository].read(name, pipeline, at=last.sha)
        except Invalid as error:
            return seen.model_copy(update={"problem": f"{path_of(name, pipeline)}: {error}"})
        return seen.model_copy(update={"file": file})

    async def _proposal(
        self, repository: str, need: ProposalNeed | None, tip: str | None
    ) -> Proposed | None:
        """The pull request of a rollout that awaits approval."""
        if self._proposals is None or need is None:
            return None
        return await self._proposals.look(repository, need.pull, tip, at_once=need.now)

    async def _traffic(self, place: str, need: TrafficNeed) -> Traffic | str:
        """The records since the last look, or why there are none: missing data is no evidence
        either way."""
        try:
            if need.cursor is None:
                return by_clock(await self._history(place), self._clock())
            page = await self._deployer.traffic(place, need.cursor.epoch, need.cursor.after)
            return by_clock(page, self._clock())
        except TryAgain as failure:
            return clip(self._redact(f"{failure}"), LONGEST_UNHEARD)

    async def _history(self, place: str) -> Traffic:
        """Every record until now. Records left for later would count for the new canary, though
        they may be errors of earlier ones.
        """
        page = await self._deployer.traffic(place, None, 0)
        exchanges, windows = [*page.exchanges], [*page.windows]
        while page.more:
            page = await self._deployer.traffic(place, page.epoch, page.next)
            exchanges += page.exchanges
            windows += page.windows
        found = {"exchanges": tuple(exchanges), "windows": tuple(windows)}
        return page.model_copy(update=found)


class _Seen(NamedTuple):
    """What was seen of the branch."""

    branch: Branch | None = None
    lost: LostHistory | None = None
    unread: bool = False


async def _descends(mirror: Mirror, tip: str, acted_on: str) -> bool:
    """Whether the commit that was acted on is on the branch."""
    return tip == acted_on or (
        await mirror.has(acted_on) and await mirror.is_ancestor(acted_on, tip)
    )


async def _is_recreated(mirror: Mirror, tip: str, was: str) -> bool:
    """Whether the branch was deleted and Headgate recreated it, with a commit for another
    environment. A history that a person pushes does not begin with a commit of Headgate's."""
    if not await mirror.has(was) or await mirror.fork_points(was, tip):
        return False
    commits = await mirror.log(tip, limit=MOST_RECREATED)
    first = [one for one in commits if not one.parents]
    return bool(first) and all(is_ours(one) for one in first)


def by_clock(traffic: Traffic, now: float) -> Traffic:
    """The records with their times moved to our clock, which says `now`. The router has its own,
    and the machine's may have been set since either was started."""
    apart = now - traffic.now if traffic.now is not None else 0.0
    if abs(apart) < CLOCK_TOLERANCE:
        return traffic
    moved = {
        "exchanges": tuple(each._replace(at=each.at + apart) for each in traffic.exchanges),
        "windows": tuple(
            each.model_copy(update={"start": each.start + apart, "end": each.end + apart})
            for each in traffic.windows
        ),
        "now": now,
    }
    return traffic.model_copy(update=moved)
