"""Observes pipelines: code, datasets, the model in production, and runs that ended."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from controller.artifacts import Artifacts
from controller.catalog import Catalog
from controller.datasets import place_of
from controller.kinds.code import Repositories
from controller.machine import pipeline as machine
from controller.machine.core import Decision, Key, Letter
from controller.machine.environment import Environment
from controller.machine.graph import Baseline
from controller.machine.pipeline import Code, Listing, Observed, Pipeline
from controller.machine.run import Run
from controller.outbox import parsed
from controller.store.protocol import Store
from controller.versions import Versions
from controller.watch import Watch, Wish
from specs.failures import NeedsHuman, TryAgain
from validators.report import Report


class PipelineKind:
    """A `Kind`: looks at what letters and the state name, and lists the datasets."""

    state = Pipeline

    def __init__(
        self,
        store: Store,
        repositories: Repositories,
        catalog: Catalog,
        versions: Versions,
        artifacts: Artifacts,
        watch: Watch,
    ) -> None:
        self._store = store
        self._repositories = repositories
        self._catalog = catalog
        self._versions = versions
        self._artifacts = artifacts
        self._watch = watch

    async def observe(self, key: Key, state: Pipeline | None, inbox: Sequence[Letter]) -> Observed:
        pipeline = state or machine.begin(inbox)
        ended = await self._ended(inbox)
        heads = {pipeline.default_branch: pipeline.heads.get(pipeline.default_branch)}
        folder = pipeline.folder
        for letter in inbox:
            if letter.message.type == "commit_seen":
                heads[letter.message.body["branch"]] = letter.message.body["commit"]
                folder = letter.message.body["folder"]
        commits = {commit for commit in heads.values() if commit}
        commits |= {wanted.commit for wanted in pipeline.wanted.values()}
        commits |= {pipeline.heads[b] for b in _branches_asked_for(pipeline, inbox)}
        code = {
            commit: await self._repositories.code(pipeline.repository, commit, folder)
            for commit in commits
        }
        for run in ended.values():
            code[run.commit] = await self._repositories.code(run.repository, run.commit, run.folder)
        head = code.get(heads[pipeline.default_branch] or "")
        if head and head.spec:
            await self._follow(key.name, head, pipeline.scheduled)
        return Observed(
            code=code,
            listings=await self._listings(head) if head else {},
            baseline=await self._baseline(key.name),
            ended=ended,
            reports={id_: await self._reports(letter) for id_, letter in _ends(inbox).items()},
            known=await self._known(key.name, inbox),
        )

    def decide(
        self,
        key: Key,  # noqa: ARG002 - a pipeline knows its own name
        state: Pipeline | None,
        observed: Observed,
        inbox: Sequence[Letter],
        now: float,
    ) -> Decision[Pipeline]:
        return machine.decide(state, observed, inbox, now)

    async def _ended(self, inbox: Sequence[Letter]) -> dict[str, Run]:
        runs = {}
        for id_ in _ends(inbox):
            record = await self._store.get(Key("run", id_))
            assert record is not None, "the letter was sent with the run's last change"
            runs[id_] = parsed(Run, record.body)
        return runs

    async def _follow(self, name: str, head: Code, scheduled: float | None) -> None:
        """See to it that the sources watch what the spec asks for."""
        assert head.spec is not None
        trigger = head.spec.triggers.data
        checkout = await self._checkout(head)
        folders = []
        for dataset in trigger.datasets if trigger else ():
            with suppress(NeedsHuman):
                folders.append(place_of(head.spec.datasets[dataset].uri, checkout).folder)
        self._watch.follow(name, Wish(tuple(folders), head.spec.triggers.schedule), scheduled)

    async def _checkout(self, code: Code) -> Path:
        source = code.source
        return await self._repositories.folder(source.repository, source.commit) / source.folder

    async def _listings(self, head: Code) -> dict[str, Listing]:
        if head.spec is None:
            return {}
        trigger = head.spec.triggers.data
        found = {}
        for name, dataset in head.spec.datasets.items():
            marker = trigger.marker if trigger and name in trigger.datasets else None
            found[name] = await self._listing(head, dataset.uri, marker)
        return found

    async def _listing(self, head: Code, uri: str, marker: str | None) -> Listing:
        """What a dataset holds; what is wrong with it is for the pipeline to say."""
        try:
            listing = await self._catalog.list(
                uri, repository=await self._checkout(head), marker=marker
            )
        except (NeedsHuman, TryAgain) as failure:
            return Listing(problem=str(failure))
        if not listing.manifest.entries:
            being = " (it is being written)" if listing.unsettled else ""
            return Listing(settled=False, problem=f"there is no object at {uri} yet{being}")
        return Listing(
            digest=listing.manifest.digest,
            settled=not listing.unsettled,
            marked=bool(listing.marked),
        )

    async def _baseline(self, pipeline: str) -> Baseline | None:
        record = await self._store.get(Key("environment", f"{pipeline}/production"))
        stable = parsed(Environment, record.body).stable if record else None
        version = await self._versions.get(pipeline, stable.version) if stable else None
        if version is None:
            return None
        return Baseline(
            version=version.number,
            digest=version.digest,
            model=version.model,
            spec=version.spec,
            source=version.source,
        )

    async def _reports(self, letter: Letter) -> tuple[Report, ...]:
        """The gates' reports; one that is lost is left out, as its verdict is in the run."""
        found = []
        for digest in letter.message.body["reports"].values():
            try:
                content = await self._artifacts.read_bytes(digest)
            except NeedsHuman:
                continue
            found.append(Report.model_validate_json(content))
        return tuple(found)

    async def _known(self, pipeline: str, inbox: Sequence[Letter]) -> dict[str, int]:
        known = {}
        for letter in _ends(inbox).values():
            package = letter.message.body["package"]
            record = await self._store.get(Key("package", f"{pipeline}/{package}"))
            if package and record:
                known[package] = record.body["number"]
        return known


def _ends(inbox: Sequence[Letter]) -> dict[str, Letter]:
    """The letters that say that a run ended, by the run."""
    return {x.message.body["run"]: x for x in inbox if x.message.type == "run_ended"}


def _branches_asked_for(pipeline: Pipeline, inbox: Sequence[Letter]) -> set[str]:
    asked = {
        x.message.body.get("branch") or pipeline.default_branch
        for x in inbox
        if x.message.type == "trigger"
    }
    return asked & pipeline.heads.keys()
