"""Observes pipelines: their code, datasets, model in production and ended runs."""

from collections.abc import Mapping, Sequence

from controller.artifacts import Artifacts
from controller.git.environments import Environments
from controller.git.repositories import Repositories
from controller.machine.core import InboxMessage, Key
from controller.machine.messages import RunEnded, RunRequested, ScheduleDue
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import DatasetListing
from controller.machine.pipelines.needs import (
    DatasetNeed,
    PipelineNeeds,
    datasets_to_list,
    needs_of,
)
from controller.machine.pipelines.pipeline import ObservedPipeline, PipelineState, begin
from controller.machine.repositories.repository import ENVIRONMENTS
from controller.machine.run_incidents import is_overruled
from controller.machine.runs.run import Run
from controller.observers.datasets import (
    DatasetObserver,
    comparable,
    is_committed,
    named,
    watched,
)
from controller.sources.bucket import WatchedDataset
from controller.sources.watch import Watcher, WatchRequest
from controller.store.model_versions import Versions
from controller.store.protocol import Store
from specs.failures import NeedsHuman, TryAgain
from specs.notifications import Notification
from validators.report import Report


class PipelineObserver:
    """An `Observer`: reads the code, lists the datasets and finds the runs that `needs` names."""

    def __init__(
        self,
        store: Store,
        repositories: Repositories,
        datasets: DatasetObserver,
        versions: Versions,
        artifacts: Artifacts,
        watch: Watcher,
        branches: Mapping[str, Environments],
        *,
        confined: bool = True,
        everyone: Sequence[Notification] = (),
    ) -> None:
        self._store = store
        self._repositories = repositories
        self._datasets = datasets
        self._versions = versions
        self._artifacts = artifacts
        self._watch = watch
        self._branches = branches
        self._confined = confined
        self._everyone = tuple(everyone)

    async def observe(
        self, key: Key, state: PipelineState | None, inbox: Sequence[InboxMessage]
    ) -> ObservedPipeline:
        pipeline = state or begin(inbox)
        if any(isinstance(x.message, (RunRequested, ScheduleDue)) for x in inbox):
            self._datasets.forget()
        needs = needs_of(pipeline, inbox)
        await self._require_environments(pipeline, needs)
        ended = await self._ended(needs)
        code = {
            commit: await self._repositories.code(at.repository, commit, at.path)
            for commit, at in needs.specs.items()
        }
        head = needs.heads.get(needs.default_branch)
        await self._follow(key.name, code[head] if head else None, pipeline.scheduled)
        rules = await self._rules(key.name, needs)
        listings = await self._listings(key.name, datasets_to_list(needs, code, rules))
        for run in ended.values():
            code[run.commit] = await self._repositories.code(run.repository, run.commit, run.spec)
        return ObservedPipeline(
            code=code,
            rules=rules,
            confined=self._confined,
            listings=listings,
            baseline=await self._versions.baseline(key.name),
            ended=ended,
            reports={run: await self._reports(end) for run, end in needs.ended.items()},
            known=await self._known(key.name, needs),
            numbered=await self._numbered(key.name, needs),
            everyone=self._everyone,
        )

    async def _require_environments(self, pipeline: PipelineState, needs: PipelineNeeds) -> None:
        """Wait until the environments have read their files on the environments branch, since a
        candidate is compared with what is in production. Raises TryAgain until then."""
        if needs.default_branch not in {*pipeline.heads, *needs.heads}:
            return
        named = await self._branches[needs.repository].named()
        for name in ENVIRONMENTS:
            key = Key("environment", f"{pipeline.name}/{name}")
            if key.name in named and await self._store.get(key) is None:
                why = f"{name} has not read its file on the environments branch yet"
                raise TryAgain(why, after=0.5)

    async def _numbered(self, pipeline: str, needs: PipelineNeeds) -> int:
        """The highest version number on the environments branch; 0 if no number is needed now."""
        if not needs.packages:
            return 0
        branch = self._branches[needs.repository]
        return max([await branch.highest(name, pipeline) for name in ENVIRONMENTS])

    async def _rules(self, name: str, needs: PipelineNeeds) -> dict[str, Code]:
        """By branch, the base's version of the pipeline, whose gates judge the pull request. It is
        found by the pipeline's name, as the spec may have moved."""
        found = {}
        for branch, pull in needs.pulls.items():
            base = await self._repositories.rules(needs.repository, pull.base_commit, name)
            if base is not None:
                found[branch] = base
        return found

    async def _ended(self, needs: PipelineNeeds) -> dict[str, Run]:
        runs = {}
        for id_ in needs.ended:
            record = await self._store.get(Key("run", id_))
            if record is not None:  # else the message is of no run, and is set aside
                runs[id_] = Run.model_validate_json(record.text)
        return runs

    async def _follow(self, name: str, head: Code | None, scheduled: float | None) -> None:
        """Have the sources watch the data and the schedule that trigger the pipeline."""
        if head is None:
            self._watch.follow(name, WatchRequest(), scheduled)
            return
        if head.spec is None:
            return  # still what the last valid spec named
        trigger = head.spec.triggers.data
        names = trigger.datasets if trigger else ()
        datasets = [await self._watched(head, each) for each in names]
        # A commit's own data cannot change.
        changing = tuple(each for each in datasets if each.base is None)
        self._watch.follow(name, WatchRequest(changing, head.spec.triggers.schedule), scheduled)

    async def _watched(self, code: Code, name: str) -> WatchedDataset:
        """A dataset; the commit is checked out only if the dataset is in the repository."""
        if not is_committed(code, name):
            return watched(code, name, None)
        source = code.source
        return watched(
            code, name, await self._repositories.folder(source.repository, source.commit)
        )

    async def _listings(
        self, pipeline: str, needs: Sequence[DatasetNeed]
    ) -> dict[str, dict[str, DatasetListing]]:
        """By commit and dataset. Each place is listed once."""
        listed: dict[str, DatasetListing] = {}
        found: dict[str, dict[str, DatasetListing]] = {}
        for need in needs:
            if need.place not in listed:
                dataset = await self._watched(need.code, need.name)
                listing = await self._datasets.listing(dataset)
                self._watch.listed(pipeline, dataset, comparable(listing))
                listed[need.place] = named(listing, need.name) if dataset.query else listing
            found.setdefault(need.code.source.commit, {})[need.name] = listed[need.place]
        return found

    async def _reports(self, end: RunEnded) -> tuple[Report, ...]:
        """The gates' reports. A lost one is left out, as its verdict is in the run; so is one whose
        verdict a person has overruled, as it stopped nothing."""
        found = []
        for gate, digest in end.reports.items():
            try:
                content = await self._artifacts.read_bytes(digest)
            except NeedsHuman:
                continue
            report = Report.model_validate_json(content)
            if not is_overruled(report, end.verdicts.get(gate)):
                found.append(report)
        return tuple(found)

    async def _known(self, pipeline: str, needs: PipelineNeeds) -> dict[str, int]:
        known = {}
        for package in needs.packages:
            record = await self._store.get(Key("package", f"{pipeline}/{package}"))
            if record:
                known[package] = record.body["number"]
        return known
