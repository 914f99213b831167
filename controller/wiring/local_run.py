"""Runs a commit of a local clone once, as a pull request's run would be.

It uses the controller's loop, run machine, store and executor, without sources, environments,
servers and a forge.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from controller.buckets.places import base_folder
from controller.buckets.roots import Roots
from controller.config.settings import ObjectStore, RepositorySettings, Settings
from controller.config.settings_file import load_secrets
from controller.machine.actions import ReportCommit
from controller.machine.core import Envelope, Fact, Key, parsed
from controller.machine.messages import CancelRun, StartRun
from controller.machine.pipelines.data import versioned
from controller.machine.pipelines.trust import (
    RunTerms,
    denied_queries,
    rules_in_force,
    without_denied_addresses,
    without_secrets,
)
from controller.machine.runs.dataset_nodes import UNASKED
from controller.machine.runs.exam import lacks
from controller.machine.runs.graph import Baseline, Graph, Rules, SourceTree, fingerprint
from controller.machine.runs.graph_builder import build, build_model_only
from controller.machine.runs.model_gate_nodes import BaselineChoice
from controller.machine.runs.node_names import of_base
from controller.machine.runs.run import Run, Trigger, why_ended
from controller.planning.checkout import Checkout, git_folder
from controller.store.identity import ensure_identity
from controller.store.protocol import Transaction
from controller.store.run_numbers import last_number
from controller.store.sqlite import SqliteStore
from controller.wiring.controller import Controller
from controller.wiring.home_lock import RUN, only_one
from specs.datasets import Query
from specs.failures import Failure, NeedsHuman
from specs.gates import PairedCheck
from specs.model import Pipeline as Spec

REPOSITORY = "here"
NO_BASELINE: Final = BaselineChoice(
    None, "no model in production is known here; `--base` names a commit whose model is compared"
)
SETTLING = 60.0
"""Seconds to wait for data that is still being written."""
LOOK = 0.1
"""Seconds between checks of the progress of a run."""
GRACE, HURRIED = 10.0, 0.1
"""Seconds between SIGTERM and SIGKILL for what is ended: normally, and after a second request."""


class RunRequest(NamedTuple):
    """What to run."""

    checkout: Checkout
    spec: Spec
    source: SourceTree
    branch: str
    subject: str
    """The commit's."""
    why: str
    rules: Rules | None = None
    """The rules that judge it, like those of a pull request's base."""
    baseline: BaselineChoice = NO_BASELINE
    """What it is compared with."""
    fresh: bool = False
    """Whether to ignore the cache."""


class EndedRun(NamedTuple):
    """An ended run."""

    run: Run
    graph: Graph
    end: ReportCommit
    """Its last report."""


class Stop(NamedTuple):
    """How a person stops it: the second request leaves processes no time to clean up."""

    asked: asyncio.Event
    hurried: asyncio.Event


Watcher = Callable[[Run, Graph], None]
"""Called with the run whenever its progress may have changed."""


@asynccontextmanager
async def at_home(
    home: Path, checkout: Checkout, stop: Stop, stores: Sequence[ObjectStore] = ()
) -> AsyncIterator[Controller]:
    """A controller whose only repository is the clone, and whose state is in `home`. `stores` says
    how object stores are reached.

    On exit, every process that it started has ended. Raises `NeedsHuman` if another run
    uses `home`.
    """
    settings = Settings(
        home=str(home),
        repositories=(RepositorySettings(name=REPOSITORY, url=str(checkout.top)),),
        stores=tuple(stores),
    )
    with only_one(home, RUN):
        _link_objects(git_folder(checkout) / "objects", home / "mirrors" / REPOSITORY)
        store = await SqliteStore.open(home / "state.db")
        try:
            app = Controller(
                settings,
                home,
                load_secrets(settings, home, os.environ),
                store,
                identity=await ensure_identity(store, home, time.time()),
                # It runs with the rights of its user, who may read any folder that the spec names.
                roots=Roots(sealed=(home,)),
            )
            try:
                await app.sweeper.forget_strangers()
                yield app
            finally:
                await _cancel_until_none(app, stop)
                with suppress(Failure):
                    await app.sweeper.sweep(settings.keep.total_seconds(), time.time())
                await app.close()
        finally:
            await store.close()


async def play(app: Controller, asked: RunRequest, show: Watcher, stop: Stop) -> EndedRun:
    """Run it to its end.

    Raises `NeedsHuman` for data that is not there.
    """
    run, graph = await _begin(app, asked)
    return await _run_to_end(app, run, graph, show, stop)


def compares(asked: RunRequest) -> bool:
    """Whether a check, of the base or its own, compares with the base's model."""
    rules = asked.rules
    if rules is None or rules.spec.model is None:
        return False
    gates = (spec.gates.model for spec in (rules.spec, asked.spec))
    return any(isinstance(check, PairedCheck) for gate in gates if gate for check in gate.checks)


async def baseline_of_base(
    app: Controller, asked: RunRequest, show: Watcher, stop: Stop
) -> BaselineChoice:
    """The model of the base's commit, trained on today's data unless that has been done; or why
    there is none, so that checks against it are inconclusive."""
    rules = asked.rules
    assert rules is not None, "the caller checks this"
    assert rules.spec.model is not None
    source = rules.source
    base = asked._replace(
        spec=without_secrets(rules.spec, RunTerms(rules=rules)), source=source, rules=None
    )
    graph = without_denied_addresses(build_model_only(base.spec, source), RunTerms(rules=rules))
    try:
        datasets = await _datasets(app, base)
        why = f"the model of the base, {source.commit[:12]}, to compare with"
        run = await _run_of(app, base, graph, datasets, why)
        played = await _run_to_end(app, run, graph, show, stop)
    except NeedsHuman as failure:
        return BaselineChoice(
            None, f"the model of {source.commit[:12]} cannot be made: {failure}", lost=True
        )
    node = played.run.nodes.get(rules.spec.model.step)
    model = (node.outputs or {}).get(rules.spec.model.output) if node else None
    if played.run.outcome != "passed" or model is None:
        why = f"the model of {source.commit[:12]} cannot be made: {why_ended(played.run)}"
        return BaselineChoice(None, why, lost=True)
    found = Baseline(version=None, digest=model, model=model, spec=rules.spec, source=source)
    return BaselineChoice(found, "")


async def _run_to_end(
    app: Controller, run: Run, graph: Graph, show: Watcher, stop: Stop
) -> EndedRun:
    """Run it to its end, or until a person stops it."""
    told: asyncio.Future[ReportCommit] = asyncio.get_running_loop().create_future()

    async def tell(_owner: Key, action: ReportCommit) -> tuple[Envelope, ...]:
        if action.run == run.id and action.state != "running" and not told.done():
            told.set_result(action)
        return ()

    loop = app.runs(tell)
    app.wake_ended(loop)
    tasks = [asyncio.create_task(loop.run())]
    cancelled = False

    async def check() -> None:
        nonlocal cancelled
        record = await app.store.get(Key("run", run.id))
        if record is not None:
            show(parsed(Run, record.body), graph)
        if stop.asked.is_set() and not cancelled:
            cancelled = True
            await app.send(_cancel(run.id, "stopped by a person"))
            loop.wake(Key("run", run.id))
        if stop.hurried.is_set():
            await _cancel_all(app, HURRIED)

    try:
        await app.store.commit(_start(run, graph), run.created)
        loop.wake(Key("run", run.id))
        await _until(told, tasks, check)
        await check()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    record = await app.store.get(Key("run", run.id))
    assert record is not None, "it has reported its end"
    return EndedRun(parsed(Run, record.body), graph, told.result())


async def _begin(app: Controller, asked: RunRequest) -> tuple[Run, Graph]:
    """The run and its graph, on the current data."""
    datasets = await _datasets(app, asked)
    terms = RunTerms(rules=asked.rules)
    if asked.rules:
        besides, lacking = await _base_data(app, asked, asked.rules)
        datasets |= besides
        terms = RunTerms(rules=asked.rules.model_copy(update={"lacking": lacking}))
    spec = without_secrets(asked.spec, terms) if asked.rules else asked.spec
    rules = rules_in_force(terms)
    baseline = asked.baseline.baseline
    if baseline is not None:
        bare = without_secrets(baseline.spec, terms)
        baseline = baseline.model_copy(update={"spec": bare})
    graph = build(spec, asked.source, baseline, rules, asked.baseline)
    graph = without_denied_addresses(graph, terms) if asked.rules else graph
    run = await _run_of(app, asked, graph, datasets, asked.why)
    return run.model_copy(update={"base": rules.source.commit if rules else None}), graph


async def _run_of(
    app: Controller, asked: RunRequest, graph: Graph, datasets: Mapping[str, str], why: str
) -> Run:
    number = await _clean_up(app, asked.spec.metadata.name) + 1
    return Run(
        id=f"{asked.spec.metadata.name}-{number}",
        number=number,
        pipeline=asked.spec.metadata.name,
        repository=REPOSITORY,
        commit=asked.source.commit,
        branch=asked.branch,
        folder=asked.source.folder,
        file=asked.source.file,
        trigger=Trigger(kind="manual", why=why),
        datasets=datasets,
        fingerprint=fingerprint(graph, datasets),
        fresh=asked.fresh,
        created=time.time(),
    )


def _start(run: Run, graph: Graph) -> Transaction:
    """Starts a run as the machine of pipelines does."""
    start = Envelope(to=Key("run", run.id), id=f"start/{run.id}", message=StartRun(run=run))
    fact = Fact(key=Key("graph", run.id), body=graph.model_dump(mode="json"))
    return Transaction(facts=(fact,), send=(start,))


def _cancel(run: str, reason: str) -> Envelope:
    message = CancelRun(reason=reason)
    return Envelope(to=Key("run", run), id=f"cancel/{run}/here", message=message)


async def _until(
    told: asyncio.Future[ReportCommit],
    tasks: Sequence[asyncio.Task[None]],
    check: Callable[[], Awaitable[None]],
) -> None:
    """Call `check` regularly until the run has reported its end."""
    while not told.done():
        for task in tasks:
            if task.done():
                task.result()  # an error of the loop ends this as well
        await check()
        await asyncio.wait([told], timeout=LOOK)


async def _datasets(app: Controller, asked: RunRequest) -> dict[str, str]:
    """The current version of each dataset."""
    checkout = await app.repositories.folder(REPOSITORY, asked.source.commit)
    trigger = asked.spec.triggers.data
    found = {}
    denied = denied_queries(asked.spec, RunTerms(rules=asked.rules)) if asked.rules else frozenset()
    for name in versioned(asked.spec):
        dataset = asked.spec.datasets[name]
        if dataset.query is not None:
            found[name] = (
                UNASKED if name in denied else await _query_version(app, name, dataset.query)
            )
            continue
        marker = trigger.marker if trigger and name in trigger.datasets else None
        uri = dataset.uri or ""
        folder = base_folder(uri, checkout, asked.source.folder)
        found[name] = await _version(app, uri, folder, marker)
    return found


async def _query_version(app: Controller, name: str, query: Query) -> str:
    """The version of a query's rows. Raises `NeedsHuman` even if a retry may help, as a person is
    waiting."""
    try:
        digest, _ = await app.query_versions.now(query)
    except Failure as failure:
        raise NeedsHuman(f"datasets.{name}: {failure}") from None
    return digest


async def _base_data(
    app: Controller, asked: RunRequest, rules: Rules
) -> tuple[dict[str, str], dict[str, str]]:
    """The versions of the data that only the base's evaluation reads, by name in the run, and
    why others are unavailable."""
    checkout = await app.repositories.folder(REPOSITORY, rules.source.commit)
    found, lacking = {}, {}
    for name in lacks(asked.spec, asked.source, rules):
        dataset = rules.spec.datasets[name]
        if not dataset.is_versioned:
            continue
        try:
            if dataset.query is not None:
                version = await _query_version(app, name, dataset.query)
            else:
                uri = dataset.uri or ""
                folder = base_folder(uri, checkout, rules.source.folder)
                version = await _version(app, uri, folder, None)
            found[of_base(name)] = version
        except NeedsHuman as failure:
            lacking[name] = str(failure)
    return found, lacking


async def _version(app: Controller, uri: str, folder: Path, marker: str | None) -> str:
    deadline = time.monotonic() + SETTLING
    while True:
        listing = await app.catalog.list(uri, repository=folder, marker=marker)
        if not listing.unsettled:
            break
        if time.monotonic() > deadline:
            raise NeedsHuman(f"{listing.unsettled[0]} of {uri} is still being written; wait for it")
        await asyncio.sleep(0.2)
    if not len(listing.manifest):
        raise NeedsHuman(f"there is no object at {uri}; put the data there, or correct `uri`")
    if listing.marked is False:
        raise NeedsHuman(
            f"{uri} is not complete: {listing.unmarked}; write the marker once the data is"
        )
    return listing.manifest.digest


async def _clean_up(app: Controller, pipeline: str) -> int:
    """Cancel what a killed earlier command left running, and drop messages to anything but runs.
    Returns the number of the last run."""
    for record in await app.store.list("run", live=True):
        await app.send(_cancel(record.key.name, "its command was killed"))
    unread = [one.number for one in await app.store.inbox() if one.to.kind != "run"]
    await app.store.commit(Transaction(consume=tuple(unread)), time.time())
    return await last_number(app.store, pipeline)


async def _cancel_all(app: Controller, grace: float) -> bool:
    """Cancel every attempt, with `grace` seconds to end; whether there were any."""
    attempts = app.executor.unfinished()
    for attempt in attempts:
        await app.executor.cancel(attempt, grace)
    return bool(attempts)


async def _cancel_until_none(app: Controller, stop: Stop) -> None:
    """Cancel every attempt and wait until none is left."""
    while await _cancel_all(app, HURRIED if stop.hurried.is_set() else GRACE):  # noqa: ASYNC110 - ends are polled
        await asyncio.sleep(LOOK)


def _link_objects(objects: Path, mirror: Path) -> None:
    """Create an empty repository that uses the clone's objects in place: nothing is copied, and no
    command that writes ever touches the clone. See gitrepository-layout(5), alternates."""
    for folder in ("objects/info", "refs/heads"):
        (mirror / folder).mkdir(parents=True, exist_ok=True)
    (mirror / "HEAD").write_text("ref: refs/heads/none\n")
    (mirror / "objects" / "info" / "alternates").write_text(f"{objects}\n")
