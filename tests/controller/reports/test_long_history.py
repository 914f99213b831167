"""What reports read of a pipeline's past: as much after a hundred runs as after a few."""

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path

import pytest

from controller.artifacts import Artifacts
from controller.buckets.catalog import Catalog
from controller.config.secrets import Secrets
from controller.git.repositories import Repositories
from controller.machine.core import Key
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.runs.end_report import report_end
from controller.machine.runs.run import Run
from controller.reports.applier import ReportApplier
from controller.store.protocol import Put, Record, Transaction
from controller.store.sqlite import SqliteStore
from specs.failures import Ignore
from tests.controller.reports.recording_forge import RecordingForge
from tests.controller.reports.stories import failed_step, run
from tests.controller.reports.test_applier import keep, said

HEAD = "a" * 40


class CountingStore(SqliteStore):
    """A store that counts the runs that are read."""

    read = 0

    async def get(self, key: Key) -> Record | None:
        found = await super().get(key)
        self.read += key.kind == "run" and found is not None
        return found

    async def get_all(self, kind: str, names: Collection[str]) -> Mapping[str, Record]:
        found = await super().get_all(kind, names)
        self.read += len(found) if kind == "run" else 0
        return found

    async def list(
        self, kind: str, series: str = "", limit: int | None = None, *, live: bool = False
    ) -> Sequence[Record]:
        found = await super().list(kind, series, limit, live=live)
        self.read += len(found) if kind == "run" else 0
        return found


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    store = await CountingStore.open(tmp_path / "state.db")
    yield store
    await store.close()


@pytest.fixture
def shown() -> RecordingForge:
    return RecordingForge()


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Its clock is ahead, so that no file is taken for one that is being written."""
    return Catalog(tmp_path / "catalog", wall=lambda: time.time() + 60.0)


@pytest.fixture
def applier(
    store: CountingStore, shown: RecordingForge, catalog: Catalog, tmp_path: Path
) -> ReportApplier:
    return ReportApplier(
        store,
        Artifacts(tmp_path / "artifacts"),
        Repositories({}, tmp_path / "checkouts"),
        shown,
        Secrets({}),
        datasets=catalog,
    )


async def ran(store: CountingStore, number: int, commit: str = HEAD, **facts: object) -> Run:
    """The pipeline's run of that number, its last."""
    one = run(commit, {}, number=number, **facts)
    await keep(store, one)
    pipeline = PipelineState(
        name="flight-delay", repository="flights", default_branch="main", runs=number
    )
    key = Key("pipeline", "flight-delay")
    record = await store.get(key)
    revision = record.revision if record else 0
    put = Put(key=key, revision=revision, text=pipeline.model_dump_json(), live=False)
    await store.commit(Transaction(put=put), now=1.0)
    return one


async def test_a_report_reads_no_more_runs_the_longer_the_past_is(
    store: CountingStore, applier: ReportApplier
) -> None:
    read = {}
    for number in range(1, 41):
        one = await ran(store, number, f"{number:040}")
        store.read = 0
        await applier.apply(Key("run", one.id), report_end(one))
        read[number] = store.read
    assert read[5] == read[10] == read[40]


async def test_a_report_on_a_run_in_progress_reads_that_run_only(
    store: CountingStore, applier: ReportApplier
) -> None:
    for number in range(1, 10):
        await ran(store, number, f"{number:040}")
    one = await ran(store, 10, finished=None)
    store.read = 0
    await applier.apply(Key("run", one.id), said(one, "running", "runs"))
    assert store.read == 1


async def test_a_later_run_of_the_commit_has_the_last_word_however_many_followed(
    store: CountingStore, applier: ReportApplier
) -> None:
    first = await ran(store, 1, finished=1100.0)
    await ran(store, 2)
    for number in range(3, 50):
        await ran(store, number, f"{number:040}")
    with pytest.raises(Ignore, match="flight-delay-2 is a later run"):
        await applier.apply(Key("run", first.id), report_end(first))


async def test_the_data_is_compared_with_the_last_run_that_passed_before_many_failures(
    store: CountingStore,
    catalog: Catalog,
    applier: ReportApplier,
    shown: RecordingForge,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    versions = []
    for name in ("march.csv", "april.csv"):
        (folder / name).write_text("a\n1\n")
        listing = await catalog.list("data/*.csv", repository=tmp_path)
        versions.append({"flights": listing.manifest.digest})
    await ran(store, 1, f"{1:040}", datasets=versions[0])
    for number in range(2, 10):
        one = run(f"{number:040}", {"train": failed_step("no")}, number=number)
        await keep(store, one)
    last = await ran(store, 10, datasets=versions[1])
    await applier.apply(Key("run", last.id), report_end(last))
    assert "Since `flight-delay-1`: `flights` `april.csv` added" in shown.last.text
