"""Observes environments: what runs there, its traffic, and its file on the environments branch."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from controller.git import CommitInfo, Mirror
from controller.git.environment_file import Invalid
from controller.git.environments import BRANCH, Environments, is_ours, proposed_by, rollout_of
from controller.git.repositories import Repositories
from controller.github.proposals import Proposals
from controller.machine.actions import Origin
from controller.machine.core import InboxMessage, Key
from controller.machine.environments.adopting import is_behind, is_new
from controller.machine.environments.environment import (
    Branch,
    EnvironmentState,
    LostHistory,
    ObservedEnvironment,
    Proposed,
)
from controller.machine.environments.file import path_of
from controller.machine.environments.job import ObservedJob
from controller.machine.environments.warm import reads_traffic
from controller.machine.messages import BranchMoved, ReleaseRequested, Retry, Rollback
from controller.machine.pipelines.version import ModelVersion
from controller.observers.batches import BatchObserver, due
from controller.observers.past import Pasts
from controller.store.model_versions import Versions
from deployers.protocol import Deployed, Deployer, Traffic
from specs.failures import Failure, Ignore, NeedsHuman, TryAgain
from specs.figures import clip
from specs.notifications import Notification

ASKED = 5.0
"""Seconds in which a remote says where its branch is; without its word the branch is as it was."""
MOST_LOST = 5
"""Commits that are gone and are named."""
LONGEST_SUBJECT = 200
MOST_ANEW = 200
"""Commits that a branch may have and be known for one that was made anew."""

SAME = 2.0
"""Seconds by which the router's clock may seem to differ because an answer takes a while."""


class EnvironmentObserver:
    """A `Kind`: asks the deployer, the router and git."""

    def __init__(
        self,
        versions: Versions,
        deployer: Deployer,
        repositories: Repositories,
        branches: Mapping[str, Environments],
        redact: Callable[[str], str],
        pasts: Pasts,
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
        """By repository and commit: commits never change."""

    async def observe(
        self, key: Key, state: EnvironmentState | None, inbox: Sequence[InboxMessage]
    ) -> ObservedEnvironment:
        pipeline, _, name = key.name.partition("/")
        repository = state.repository if state else _repository(inbox)
        # Before the branch is read, so that what has landed there is in what is read.
        tip = await self._repositories.mirror(repository).resolve(BRANCH)
        branch, lost = await self._branch(repository, pipeline, name, state)
        past = None
        if _asks_the_past(state, inbox, branch) and tip is not None:
            past = await self._pasts.of(repository, pipeline, name, tip)
        numbers = _numbers(state, inbox, branch)
        found = {number: await self._versions.get(pipeline, number) for number in numbers}
        known = {number: version for number, version in found.items() if version}
        return ObservedEnvironment(
            versions={**(past.versions if past else {}), **known},
            deployed=await self._deployed(key.name),
            traffic=await self._traffic(key.name, state),
            branch=branch,
            lost=lost,
            past=past,
            port=self._ports.get(key.name),
            proposes=self._proposals is not None and self._proposals.at(repository) is not None,
            proposal=await self._proposal(state, inbox, branch, tip),
            job=await self._job(state),
            due=self._due(state, known),
            origins=await self._origins_of(state, found),
            everyone=self._everyone,
        )

    async def _job(self, state: EnvironmentState | None) -> ObservedJob | None:
        """How the batch fares; what it wrote becomes a reason in the store, so no secret of ours
        is in it."""
        if self._batches is None or state is None or state.job is None or not state.job.open:
            return None
        seen = await self._batches.seen(state.job)
        if seen is None:
            return None
        status = seen.status.model_copy(update={"message": self._redact(seen.status.message)})
        return seen.model_copy(update={"status": status})

    def _due(
        self, state: EnvironmentState | None, known: Mapping[int, ModelVersion]
    ) -> float | None:
        """When the schedule of the batch last came since it was run."""
        if state is None or state.stable is None or state.job is None:
            return None
        version = known.get(state.stable.version)
        return due(version, state.job.asked, self._clock()) if version else None

    async def _origins_of(
        self, state: EnvironmentState | None, found: Mapping[int, ModelVersion | None]
    ) -> dict[int, Origin]:
        """Who made what is on its way, for whoever is told of it; what cannot be read is left
        out, as nobody has to wait for a name."""
        rollout = state.rollout if state else None
        version = found.get(rollout.version.version) if rollout else None
        if version is None:
            return {}
        key = (version.source.repository, version.source.commit)
        if key not in self._origins:
            try:
                commit = await self._repositories.mirror(key[0]).commit_info(key[1])
            except Failure:
                return {}
            self._origins[key] = Origin(
                commit=commit.sha,
                author=self._redact(clip(commit.author, LONGEST_SUBJECT)),
                subject=self._redact(clip(commit.subject, LONGEST_SUBJECT)),
            )
        return {version.number: self._origins[key]}

    async def _deployed(self, place: str) -> Deployed:
        """What runs there. Its details become reasons in the store and in git, so whatever the
        deployer hid or forgot to hide, no secret of ours is in them."""
        seen = await self._deployer.observe(place)
        servers = (s.model_copy(update={"detail": self._redact(s.detail)}) for s in seen.servers)
        return seen.model_copy(update={"servers": tuple(servers)})

    async def _branch(
        self, repository: str, pipeline: str, name: str, state: EnvironmentState | None
    ) -> tuple[Branch | None, LostHistory | None]:
        """The environment's file, if the branch has moved past what was heeded; and whether that
        is not on the branch any more."""
        mirror = self._repositories.mirror(repository)
        tip = await mirror.resolve(BRANCH)  # the repository's own turn fetches it
        heeded = state.acted_on if state else None
        if state is None or heeded is None:
            return (await self._last(repository, pipeline, name, state, tip) if tip else None), None
        if tip is not None and await _follows(mirror, tip, heeded):
            return await self._last(repository, pipeline, name, state, tip), None
        # The mirror may be behind what this controller has pushed itself: the remote's word counts.
        try:
            async with asyncio.timeout(ASKED):
                tip = await mirror.tip(BRANCH)
        except (TryAgain, NeedsHuman, TimeoutError):
            return None, None
        if tip is None:
            return None, LostHistory(was=heeded, now=None)
        branch = await self._last(repository, pipeline, name, state, tip)
        if await _follows(mirror, tip, heeded):
            return branch, None
        return branch, await self._lost(repository, path_of(name, pipeline), heeded, tip, branch)

    async def _lost(
        self, repository: str, path: str, was: str, tip: str, branch: Branch | None
    ) -> LostHistory:
        """What of the file's history is gone: told as far as the mirror still has it."""
        mirror = self._repositories.mirror(repository)
        gone: Sequence[CommitInfo] = ()
        old = False
        if await mirror.has(was):
            gone = await mirror.log(was, [path], MOST_LOST, without=tip)
            old = branch is not None and await mirror.is_ancestor(branch.commit, was)
        news = branch is not None and not branch.ours and not old
        if await _is_made_anew(mirror, tip, was):
            return LostHistory(was=was, now=None, news=news)  # all is gone, which needs no list
        said = tuple(f"{c.sha[:12]} of {c.author}, {c.subject!r}" for c in gone)
        return LostHistory(was=was, now=tip, left_out=said, news=news)

    async def _last(
        self, repository: str, pipeline: str, name: str, state: EnvironmentState | None, tip: str
    ) -> Branch | None:
        """The last commit at `tip` that changed the file; None if there never was one."""
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
        self,
        state: EnvironmentState | None,
        inbox: Sequence[InboxMessage],
        branch: Branch | None,
        tip: str | None,
    ) -> Proposed | None:
        """The pull request of a rollout that waits: now and then, and when there is a hint."""
        rollout = state.rollout if state else None
        proposal = rollout.proposal if rollout and rollout.awaiting_approval else None
        if self._proposals is None or state is None or proposal is None or proposal.pull is None:
            return None
        moved = branch is not None and branch.commit != state.acted_on
        hinted = moved or any(isinstance(x.message, BranchMoved) for x in inbox)
        return await self._proposals.look(state.repository, proposal.pull, tip, at_once=hinted)

    async def _traffic(self, place: str, state: EnvironmentState | None) -> Traffic | None:
        """The router's records since the last look, where a canary or a switch is watched."""
        read, cursor = reads_traffic(state)
        if not read:
            return None
        try:
            if cursor is None:
                return by_clock(await self._history(place), self._clock())
            page = await self._deployer.traffic(place, cursor.epoch, cursor.after)
            return by_clock(page, self._clock())
        except TryAgain:
            return None  # missing data is no evidence either way

    async def _history(self, place: str) -> Traffic:
        """Every record until now: what is left for later looks would count as the canary's, and
        among it are the errors of canaries before it.
        """
        page = await self._deployer.traffic(place, None, 0)
        exchanges = [*page.exchanges]
        while page.more:
            page = await self._deployer.traffic(place, page.epoch, page.next)
            exchanges += page.exchanges
        return page.model_copy(update={"exchanges": tuple(exchanges)})


async def _follows(mirror: Mirror, tip: str, heeded: str) -> bool:
    """Whether the branch is where it was heeded, or went on from there."""
    return tip == heeded or (await mirror.has(heeded) and await mirror.is_ancestor(heeded, tip))


async def _is_made_anew(mirror: Mirror, tip: str, was: str) -> bool:
    """Whether Headgate itself began the branch again after it was deleted, by its commit for
    another environment: no history that a person pushes begins with one of its own commits."""
    if not await mirror.has(was) or await mirror.fork_points(was, tip):
        return False
    commits = await mirror.log(tip, limit=MOST_ANEW)
    first = [one for one in commits if not one.parents]
    return bool(first) and all(is_ours(one) for one in first)


def _asks_the_past(
    state: EnvironmentState | None, inbox: Sequence[InboxMessage], branch: Branch | None
) -> bool:
    """Whether the state knows nothing of the environment, or is older than the branch; or does not
    know what runs, and is asked again."""
    if state is not None and is_behind(state, branch):
        return True
    if state is None or state.unknown is None:
        return state is None or is_new(state)
    return any(isinstance(x.message, (Retry, BranchMoved)) for x in inbox)


def by_clock(traffic: Traffic, now: float) -> Traffic:
    """The records with moments of a clock that says `now`: the router has one of its own, and the
    machine's may have been set since either began."""
    apart = now - traffic.now if traffic.now is not None else 0.0
    if abs(apart) < SAME:
        return traffic
    moved = tuple(each._replace(at=each.at + apart) for each in traffic.exchanges)
    return traffic.model_copy(update={"exchanges": moved, "now": now})


def _repository(inbox: Sequence[InboxMessage]) -> str:
    for each in inbox:
        if isinstance(each.message, (ReleaseRequested, BranchMoved)):
            return each.message.repository
    raise Ignore("nothing was released there yet")


def _numbers(
    state: EnvironmentState | None, inbox: Sequence[InboxMessage], branch: Branch | None
) -> set[int]:
    """The versions that a decision may need."""
    numbers: set[int | None] = set()
    for each in inbox:
        match each.message:
            case ReleaseRequested() | Retry():
                numbers.add(each.message.version)
            case Rollback():
                numbers.add(each.message.to)
    if branch and branch.file and branch.file.model:
        numbers.add(branch.file.model.version)
    if state is not None:
        numbers |= {ref.version for ref in (state.stable, *state.former[:1]) if ref}
        some = (state.rollout, state.stopped, state.warm)
        numbers |= {one.version.version for one in some if one}
    return {number for number in numbers if isinstance(number, int)}
