"""Observes pipelines: code, datasets, the model in production, and runs that ended."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from controller.artifacts import Artifacts
from controller.buckets.catalog import Catalog
from controller.buckets.local import base_folder, place_of
from controller.buckets.stores import CredentialsRefused, is_remote
from controller.git.environments import Environments
from controller.git.repositories import Repositories
from controller.machine.core import Blocked, InboxMessage, Key, parsed
from controller.machine.messages import (
    CommitSeen,
    RulesAccepted,
    RunEnded,
    RunRequested,
    ScheduleDue,
    SpecGone,
)
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import DatasetListing, place, versioned
from controller.machine.pipelines.pipeline import ObservedPipeline, PipelineState, begin
from controller.machine.pipelines.untrusted import RunTerms, marked, rules_of, unasked
from controller.machine.repositories.pull import Pull
from controller.machine.repositories.repository import ENVIRONMENTS
from controller.machine.runs.exam import lacks
from controller.machine.runs.run import Run
from controller.queries.polling import QueryVersions as Questions
from controller.sources.watch import Watcher, WatchRequest
from controller.store.model_versions import Versions
from controller.store.protocol import Store
from specs.datasets import Query
from specs.failures import NeedsHuman, TryAgain
from specs.notifications import Notification
from validators.report import Report


class PipelineObserver:
    """A `Kind`: looks at what letters and the state name, and lists the datasets."""

    def __init__(
        self,
        store: Store,
        repositories: Repositories,
        catalog: Catalog,
        versions: Versions,
        artifacts: Artifacts,
        watch: Watcher,
        branches: Mapping[str, Environments],
        questions: Questions,
        *,
        confined: bool = True,
        everyone: Sequence[Notification] = (),
    ) -> None:
        self._store = store
        self._repositories = repositories
        self._catalog = catalog
        self._versions = versions
        self._artifacts = artifacts
        self._watch = watch
        self._branches = branches
        self._questions = questions
        self._confined = confined
        self._everyone = tuple(everyone)

    async def observe(
        self, key: Key, state: PipelineState | None, inbox: Sequence[InboxMessage]
    ) -> ObservedPipeline:
        pipeline = state or begin(inbox)
        if any(isinstance(x.message, (RunRequested, ScheduleDue)) for x in inbox):
            self._questions.forget()
        await self._look_first(pipeline, inbox)
        ended = await self._ended(inbox)
        heads, commits, pulls = _commits(pipeline, inbox)
        behind = _behind(pipeline, inbox)
        code = {
            commit: await self._repositories.code(pipeline.repository, commit, spec)
            for commit, spec in {**behind, **commits}.items()
        }
        head = heads.get(pipeline.default_branch)
        await self._follow(key.name, code[head] if head else None, pipeline.scheduled)
        rules = await self._rules(pipeline, pulls)
        examined = _examined(code, rules, heads, pulls)
        # What waits in line has its data looked at in its turn.
        now = {commit: one for commit, one in code.items() if commit in commits}
        barred = _unasked(code, rules, heads, pulls, pipeline.default_branch)
        listings = await self._listings({**examined, **now}, barred)
        for run in ended.values():
            code[run.commit] = await self._repositories.code(run.repository, run.commit, run.spec)
        return ObservedPipeline(
            code=code,
            rules=rules,
            confined=self._confined,
            listings=listings,
            baseline=await self._versions.baseline(key.name),
            ended=ended,
            reports={run: await self._reports(end) for run, end in _ends(inbox).items()},
            known=await self._known(key.name, inbox),
            numbered=await self._numbered(pipeline, inbox),
            everyone=self._everyone,
        )

    async def _look_first(self, pipeline: PipelineState, inbox: Sequence[InboxMessage]) -> None:
        """Wait until the environments have heard what the branch says of them: a candidate is held
        against what is in production. Raises TryAgain until then."""
        seen = {x.message.branch for x in inbox if isinstance(x.message, CommitSeen)}
        if pipeline.default_branch not in {*pipeline.heads, *seen}:
            return
        branch = self._branches[pipeline.repository]
        for name in ENVIRONMENTS:
            key = Key("environment", f"{pipeline.name}/{name}")
            if await self._store.get(key) is None and await branch.names(name, pipeline.name):
                why = f"{name} has not looked yet at what the environments branch says of it"
                raise TryAgain(why, after=0.5)

    async def _numbered(self, pipeline: PipelineState, inbox: Sequence[InboxMessage]) -> int:
        """The highest number that was ever given, as the environments branch knows it; looked up
        when one is to be given."""
        if not any(end.package for end in _ends(inbox).values()):
            return 0
        branch = self._branches[pipeline.repository]
        return max([await branch.highest(name, pipeline.name) for name in ENVIRONMENTS])

    async def _rules(self, pipeline: PipelineState, pulls: Mapping[str, Pull]) -> dict[str, Code]:
        """Whose gates judge each of the pull requests: by the pipeline's name, wherever its spec is
        or was last."""
        found = {}
        for branch, pull in pulls.items():
            base = await self._repositories.rules(
                pipeline.repository, pull.base_commit, pipeline.name
            )
            if base is not None:
                found[branch] = base
        return found

    async def _ended(self, inbox: Sequence[InboxMessage]) -> dict[str, Run]:
        runs = {}
        for id_ in _ends(inbox):
            record = await self._store.get(Key("run", id_))
            assert record is not None, "the letter was sent with the run's last change"
            runs[id_] = parsed(Run, record.body)
        return runs

    async def _follow(self, name: str, head: Code | None, scheduled: float | None) -> None:
        """See to it that the sources watch what the spec asks for."""
        if head is None:
            self._watch.follow(name, WatchRequest(), scheduled)
            return
        if head.spec is None:
            return  # what the spec asked for before it was broken
        trigger = head.spec.triggers.data
        top = await self._top(head)
        names = trigger.datasets if trigger else ()
        watched = [head.spec.datasets[name] for name in names]
        uris = [dataset.uri for dataset in watched if dataset.uri is not None]
        remote = tuple(uri for uri in uris if is_remote(uri))
        folders = []
        for uri in uris:
            with suppress(NeedsHuman):
                root = base_folder(uri, top, head.source.folder)
                folders.append(place_of(uri, root).folder)
        asked = any(dataset.query is not None for dataset in watched)
        wish = WatchRequest(tuple(folders), remote, head.spec.triggers.schedule, asked)
        self._watch.follow(name, wish, scheduled)

    async def _top(self, code: Code) -> Path:
        return await self._repositories.folder(code.source.repository, code.source.commit)

    async def _listings(
        self, code: Mapping[str, Code], unasked: Mapping[str, Collection[str]]
    ) -> dict[str, dict[str, DatasetListing]]:
        """By commit and dataset; what several commits ask for is listed once. Those `unasked` are
        what must not be asked on a commit's behalf; another may have had it asked."""
        listed: dict[str, DatasetListing] = {}
        found: dict[str, dict[str, DatasetListing]] = {}
        for commit, one in code.items():
            if one.spec is None:
                continue
            trigger = one.spec.triggers.data
            found[commit] = {}
            for name in versioned(one.spec):
                here = place(one.spec, name, commit)
                dataset = one.spec.datasets[name]
                if here not in listed and dataset.query is not None:
                    if name in unasked.get(commit, ()):
                        continue
                    listed[here] = await self._asked(name, dataset.query)
                elif here not in listed:
                    marker = trigger.marker if trigger and name in trigger.datasets else None
                    listed[here] = await self._listing(one, dataset.uri or "", marker)
                found[commit][name] = listed[here]
        return found

    async def _asked(self, name: str, query: Query) -> DatasetListing:
        """Which version a query's rows have."""
        try:
            digest, at = await self._questions.now(query)
        except (NeedsHuman, TryAgain) as failure:
            said = f"datasets.{name}: {failure}"
            waits = Blocked(reason=said, human=isinstance(failure, NeedsHuman))
            return DatasetListing(problem=said, waits=waits)
        return DatasetListing(digest=digest, at=at, whole=True)

    async def _listing(self, head: Code, uri: str, marker: str | None) -> DatasetListing:
        """What a dataset holds; what is wrong with it is for the pipeline to say."""
        try:
            folder = base_folder(uri, await self._top(head), head.source.folder)
            listing = await self._catalog.list(uri, repository=folder, marker=marker)
        except (NeedsHuman, TryAgain) as failure:
            away = is_remote(uri) and isinstance(failure, TryAgain | CredentialsRefused)
            waits = (
                Blocked(reason=str(failure), human=isinstance(failure, CredentialsRefused))
                if away
                else None
            )
            return DatasetListing(problem=str(failure), waits=waits)
        if not len(listing.manifest):
            being = " (it is being written)" if listing.unsettled else ""
            return DatasetListing(settled=False, problem=f"there is no object at {uri} yet{being}")
        return DatasetListing(
            digest=listing.manifest.digest,
            settled=not listing.unsettled,
            marked=bool(listing.marked),
            unmarked=listing.unmarked,
            at=listing.at,
            whole=listing.whole,
        )

    async def _reports(self, end: RunEnded) -> tuple[Report, ...]:
        """The gates' reports; one that is lost is left out, as its verdict is in the run."""
        found = []
        for digest in end.reports.values():
            try:
                content = await self._artifacts.read_bytes(digest)
            except NeedsHuman:
                continue
            found.append(Report.model_validate_json(content))
        return tuple(found)

    async def _known(self, pipeline: str, inbox: Sequence[InboxMessage]) -> dict[str, int]:
        known = {}
        for end in _ends(inbox).values():
            package = end.package
            record = await self._store.get(Key("package", f"{pipeline}/{package}"))
            if package and record:
                known[package] = record.body["number"]
        return known


def _ends(inbox: Sequence[InboxMessage]) -> dict[str, RunEnded]:
    """The messages that say that a run ended, by the run."""
    return {x.message.run: x.message for x in inbox if isinstance(x.message, RunEnded)}


def _commits(
    pipeline: PipelineState, inbox: Sequence[InboxMessage]
) -> tuple[Mapping[str, str], dict[str, str], dict[str, Pull]]:
    """The heads by branch as the messages leave them; the commits that the machine will ask about,
    with the path of the spec in each; and the pull requests among the branches asked about."""
    heads, specs = dict(pipeline.heads), dict(pipeline.specs)
    pulls = dict(pipeline.pulls)
    asked = {pipeline.default_branch, *pipeline.wanted}
    for each in inbox:
        message = each.message
        match message:
            case CommitSeen():
                heads[message.branch], specs[message.branch] = message.commit, message.spec
                if message.pull is not None:
                    pulls[message.branch] = message.pull
                asked |= {message.branch, message.default_branch}
            case RunEnded() if message.stale:
                asked.add(message.branch)
            case SpecGone():
                heads.pop(message.branch, None)
            case RunRequested() | RulesAccepted():
                asked.add(message.branch or pipeline.default_branch)
                if message.pull is not None:
                    pulls[message.branch] = message.pull
    commits = {heads[branch]: specs[branch] for branch in sorted(asked & heads.keys())}
    for branch, one in pipeline.wanted.items():
        commits.setdefault(one.commit, one.spec or pipeline.specs[branch])
    default = pipeline.default_branch
    if default in pipeline.heads and default not in heads:  # its last spec says whom to tell
        commits[pipeline.heads[default]] = pipeline.specs[default]
    looked_at = {branch: pull for branch, pull in pulls.items() if branch in asked & heads.keys()}
    return heads, commits, looked_at


def _behind(pipeline: PipelineState, inbox: Sequence[InboxMessage]) -> dict[str, str]:
    """The commits that wait in line, or may from now on, with the paths of their specs."""
    messages = (x.message for x in inbox if isinstance(x.message, CommitSeen))
    seen = {message.commit: message.spec for message in messages}
    waiting = (one for line in pipeline.behind.values() for one in line)
    return {**seen, **{one.commit: one.spec for one in waiting}}


def _unasked(
    code: Mapping[str, Code],
    rules: Mapping[str, Code],
    heads: Mapping[str, str],
    pulls: Mapping[str, Pull],
    default_branch: str,
) -> dict[str, frozenset[str]]:
    """The datasets of pull requests that no database may be asked for, by commit; a commit that is
    a branch's head as well is that branch's to ask for."""
    trusted = {commit for branch, commit in heads.items() if branch not in pulls}
    found = {}
    for branch, pull in pulls.items():
        commit = heads.get(branch, "")
        head = code.get(commit)
        if head is not None and head.spec is not None and commit not in trusted:
            terms = RunTerms(
                rules=rules_of(rules.get(branch), pull.base),
                fork=pull.fork,
                marked=marked(pull.base, default_branch, code.get(heads.get(default_branch, ""))),
            )
            found[commit] = unasked(head.spec, terms)
    return found


def _examined(
    code: Mapping[str, Code],
    rules: Mapping[str, Code],
    heads: Mapping[str, str],
    pulls: Mapping[str, Pull],
) -> dict[str, Code]:
    """The bases whose data has to be looked at besides that of the pull requests, by commit."""
    found = {}
    for branch, base in rules.items():
        head = code.get(heads.get(branch, ""))
        terms = rules_of(base, pulls[branch].base)
        if head and head.spec and terms and lacks(head.spec, head.source, terms):
            found[base.source.commit] = base
    return found
