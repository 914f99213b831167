"""A Delta table is listed as its current snapshot, wherever it lies and whoever reads it."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from controller.buckets.catalog import Catalog
from controller.buckets.protocol import ObjectChanged
from controller.buckets.stores import Stores
from controller.config.settings import ObjectStore
from specs.failures import NeedsHuman
from specs.snapshot import DELTA_KEY
from tests.controller.buckets.tabled import Lake, keys, numbers, rows, rows_of_gate, rows_of_table
from tests.servers.moto import KEY, Moto


class LocalLake:
    """A folder of this machine."""

    options: Mapping[str, str] = {}

    def __init__(self, root: Path) -> None:
        self.catalog = Catalog(root / "home")
        self._folder = root / "lake"
        self._folder.mkdir()

    @property
    def uri(self) -> str:
        return self._folder.as_uri()

    def put(self, key: str, content: bytes) -> None:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def delete(self, key: str) -> None:
        (self._folder / key).unlink()


class S3Lake:
    """A folder of keys in a bucket; nothing listed stands for longer than the next look."""

    def __init__(self, root: Path, moto: Moto) -> None:
        name = moto.bucket()
        stores = Stores([ObjectStore(uri=f"s3://{name}", endpoint=moto.url)])
        self.catalog = Catalog(root / "home", stores, longest=0.0)
        self._client = moto.client("s3")
        self._name = name
        self.uri = f"s3://{name}/lake"
        self.options = {
            **{name.lower(): value for name, value in KEY.items()},
            "aws_endpoint": moto.url,
            "aws_allow_http": "true",
        }

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._name, Key=f"lake/{key}", Body=content)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self._name, Key=f"lake/{key}")


@pytest.fixture(params=["local", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    if request.param == "local":
        return LocalLake(tmp_path)
    request.getfixturevalue("aws")
    return S3Lake(tmp_path, request.getfixturevalue("moto"))


@pytest.fixture
def local(tmp_path: Path) -> LocalLake:
    return LocalLake(tmp_path)


class Writer:
    """A team's job that writes one table."""

    def __init__(self, lake: Lake, name: str = "trips") -> None:
        self.uri = f"{lake.uri}/{name}"
        self._lake = lake

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(self.uri, storage_options=dict(self._lake.options))

    def write(self, data: Any, **options: Any) -> None:
        write_deltalake(self.uri, data, storage_options=dict(self._lake.options), **options)

    def append(self, data: Any, **options: Any) -> None:
        self.write(data, mode="append", **options)

    async def version(self) -> str:
        return (await self._lake.catalog.list(self.uri)).manifest.digest

    async def read(self) -> list[Any]:
        """What both kinds of readers find of the version that is there now."""
        folder, _ = await self._lake.catalog.pinned(self.uri, await self.version())
        assert rows(folder) == rows_of_table(folder)
        return rows(folder)


async def test_what_a_delete_left_in_the_folder_is_not_in_the_version(lake: Lake) -> None:
    writer = Writer(lake)
    writer.write(numbers(*range(10)))
    writer.append(numbers(*range(10, 15)))
    assert await writer.read() == list(range(15))
    writer.table.delete("a >= 8 and a < 13")
    assert await writer.read() == [*range(8), 13, 14]


async def test_both_kinds_of_readers_see_partitions_as_the_log_says_them(lake: Lake) -> None:
    writer = Writer(lake)
    odd = ["x y", "b:c", "50%", "ü/日", None, "a=b"]
    writer.write(numbers(*range(6), kind=odd), partition_by=["kind"])
    listing = await lake.catalog.list(writer.uri)
    folder, _ = await lake.catalog.pinned(writer.uri, listing.manifest.digest)
    found = DeltaTable(str(folder)).to_pyarrow_table().sort_by("a")
    assert found["kind"].to_pylist() == odd
    files = pq.read_table(folder, partitioning=None)  # pyarrow 26 knows no folder that is null
    assert sorted(files["a"].to_pylist()) == list(range(6))
    assert len(listing.manifest) == len(odd) + 1


async def test_commits_that_change_no_rows_make_no_version(lake: Lake) -> None:
    writer = Writer(lake)
    for number in range(4):
        writer.append(numbers(number))
    version = await writer.version()
    writer.append(numbers())
    assert await writer.version() == version
    writer.table.create_checkpoint()
    assert await writer.version() == version
    writer.table.optimize.compact()
    assert await writer.version() == version
    writer.append(numbers(4))
    assert await writer.version() != version
    assert await writer.read() == [0, 1, 2, 3, 4]


async def test_a_version_whose_files_were_vacuumed_is_that_of_the_files_that_replaced_them(
    lake: Lake,
) -> None:
    writer = Writer(lake)
    for number in range(4):
        writer.append(numbers(number))
    version = await writer.version()
    writer.table.optimize.compact()
    removed = writer.table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert len(removed) == 4
    assert await writer.version() != version
    assert await writer.read() == [0, 1, 2, 3]


async def test_a_table_is_read_from_its_checkpoint_once_commits_before_it_are_gone(
    lake: Lake,
) -> None:
    writer = Writer(lake)
    for number in range(6):
        writer.append(numbers(number))
        if number in (1, 3):
            writer.table.create_checkpoint()
    version = await writer.version()
    for number in range(3):
        lake.delete(f"trips/_delta_log/{number:020}.json")
    assert await writer.version() == version
    assert await writer.read() == list(range(6))


async def test_files_that_no_commit_names_are_no_data(lake: Lake) -> None:
    writer = Writer(lake)
    writer.write(numbers(1))
    version = await writer.version()
    lake.put("trips/part-00000-being-written.snappy.parquet", b"PAR1 half of it")
    lake.put("trips/_change_data/cdc-1.parquet", b"not a row of the table")
    assert await writer.version() == version


@pytest.mark.parametrize("glob", ["**", "*.parquet", "**/*.parquet", "*"])
async def test_a_glob_over_a_table_is_the_table(lake: Lake, glob: str) -> None:
    writer = Writer(lake)
    writer.write(numbers(*range(4)))
    writer.table.delete("a = 2")
    whole = await lake.catalog.list(writer.uri)
    part = await lake.catalog.list(f"{writer.uri}/{glob}")
    assert keys(part) == keys(whole)
    assert part.manifest.digest == whole.manifest.digest


async def test_a_glob_that_names_some_partitions_is_their_part_of_the_table(lake: Lake) -> None:
    writer = Writer(lake)
    writer.write(numbers(1, 2, 3, year=[2023, 2024, 2024]), partition_by=["year"])
    uri = f"{writer.uri}/year=2024*/**"
    listing = await lake.catalog.list(uri)
    folder, _ = await lake.catalog.pinned(uri, listing.manifest.digest)
    assert rows(folder) == rows_of_table(folder) == [2, 3]


async def test_a_folder_within_a_table_is_refused_with_what_to_write(lake: Lake) -> None:
    writer = Writer(lake)
    writer.write(numbers(1, 2, year=[2023, 2024]), partition_by=["year"])
    for below in ("year=2024", "year=2024/*.parquet"):
        with pytest.raises(NeedsHuman, match=r"inside the Delta table .*trips/year=2024\*/\*\*"):
            await lake.catalog.list(f"{writer.uri}/{below}")


@pytest.mark.parametrize("glob", ["", "/**/*.parquet", "/*/*.parquet"])
async def test_a_folder_that_holds_tables_is_refused_with_their_names(
    lake: Lake, glob: str
) -> None:
    Writer(lake, "raw/trips").write(numbers(1))
    with pytest.raises(NeedsHuman, match=r"contains the Delta table (raw/)?trips"):
        await lake.catalog.list(f"{lake.uri}{'/raw' if glob == '/*/*.parquet' else ''}{glob}")


async def test_a_live_file_that_is_missing_is_named_and_nothing_is_read(lake: Lake) -> None:
    writer = Writer(lake)
    writer.write(numbers(1))
    (path,) = writer.table.file_uris()
    lake.delete(f"trips/{path.rpartition('/')[2]}")
    with pytest.raises(NeedsHuman, match=r"version 0 that is not there \(part-0.*parquet\)"):
        await lake.catalog.list(writer.uri)


async def test_a_live_file_of_another_size_is_named(lake: Lake) -> None:
    writer = Writer(lake)
    writer.write(numbers(1))
    (path,) = writer.table.file_uris()
    lake.put(f"trips/{path.rpartition('/')[2]}", b"PAR1 half")
    with pytest.raises(NeedsHuman, match="another size"):
        await lake.catalog.list(writer.uri)


async def test_a_step_that_reads_by_address_is_told_the_version_of_the_table(lake: Lake) -> None:
    writer = Writer(lake)
    writer.write(numbers(1))
    writer.append(numbers(2))
    listing = await lake.catalog.list(writer.uri)
    found = await lake.catalog.addresses(writer.uri, listing.manifest.digest)
    assert found.table is not None
    assert (found.table.format, found.table.version) == ("delta", 1)
    writer.append(numbers(3))
    there = DeltaTable(
        found.table.uri, version=found.table.version, storage_options=dict(lake.options)
    )
    assert sorted(there.to_pyarrow_table()["a"].to_pylist()) == [1, 2]
    names = {uri.rpartition("/")[2] for _, uri in found.objects}
    assert names == {uri.rpartition("/")[2] for uri in there.file_uris()}


async def test_a_version_that_is_read_by_address_is_there_until_it_is_vacuumed(
    lake: Lake,
) -> None:
    writer = Writer(lake)
    writer.write(numbers(1, 2))
    version = await writer.version()
    writer.table.delete("a = 1")
    await lake.catalog.verify_unchanged(writer.uri, version)
    writer.table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(ObjectChanged, match="was replaced or deleted"):
        await lake.catalog.verify_unchanged(writer.uri, version)


async def test_a_version_stays_readable_once_pinned_whatever_becomes_of_the_table(
    lake: Lake, tmp_path: Path
) -> None:
    writer = Writer(lake)
    writer.write(numbers(1, 2))
    version = await writer.version()
    await lake.catalog.pinned(writer.uri, version)
    writer.table.delete("a = 1")
    writer.table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    folder, _ = await Catalog(tmp_path / "home").pinned(writer.uri, version)
    assert rows(folder) == rows_of_table(folder) == [1, 2]


async def test_columns_that_came_later_are_in_the_schema_of_the_snapshot(lake: Lake) -> None:
    writer = Writer(lake)
    writer.write(numbers(1))
    writer.append(numbers(2, b=["x"]), schema_mode="merge")
    listing = await lake.catalog.list(writer.uri)
    folder, _ = await lake.catalog.pinned(writer.uri, listing.manifest.digest)
    table = DeltaTable(str(folder)).to_pyarrow_table().sort_by("a")
    assert table.to_pydict() == {"a": [1, 2], "b": [None, "x"]}


async def test_a_commit_counts_at_once_without_waiting_for_its_files_to_settle(
    local: LocalLake,
) -> None:
    writer = Writer(local)
    writer.write(numbers(1))
    listing = await local.catalog.list(writer.uri)
    assert (listing.unsettled, listing.whole) == ((), True)


# -- what cannot be read faithfully ----------------------------------------------------------------


def _commit(folder: Path, number: int, *actions: Mapping[str, Any]) -> None:
    """As another writer would: a line an action."""
    path = folder / "_delta_log" / f"{number:020}.json"
    path.write_text("".join(json.dumps(action) + "\n" for action in actions))


def _actions(folder: Path, number: int) -> list[dict[str, Any]]:
    text = (folder / "_delta_log" / f"{number:020}.json").read_text()
    return [json.loads(line) for line in text.splitlines()]


def _with_feature(*names: str) -> dict[str, Any]:
    features = {"readerFeatures": list(names), "writerFeatures": list(names)}
    return {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}}


def _deletion_vector(folder: Path) -> None:
    (add,) = (one["add"] for one in _actions(folder, 0) if "add" in one)
    vector = {"storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 4,
              "sizeInBytes": 40, "cardinality": 1}  # fmt: skip
    removed = {"path": add["path"], "dataChange": True, "deletionTimestamp": 1}
    _commit(
        folder,
        1,
        _with_feature("deletionVectors"),
        {"remove": removed},
        {"add": {**add, "deletionVector": vector}},
    )


def _mapping(physical: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (about,) = (one["metaData"] for one in _actions(folder, 0) if "metaData" in one)
        schema = json.loads(about["schemaString"])
        schema["fields"][0]["metadata"] = {
            "delta.columnMapping.id": 1,
            "delta.columnMapping.physicalName": physical,
        }
        settings = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "1"}
        named = {**about, "schemaString": json.dumps(schema), "configuration": settings}
        _commit(folder, 1, _with_feature("columnMapping"), {"metaData": named})

    return change


def _shallow_clone(folder: Path) -> None:
    (add,) = (one["add"] for one in _actions(folder, 0) if "add" in one)
    _commit(folder, 1, {"add": {**add, "path": (folder.parent / "other.parquet").as_uri()}})


def _managed(folder: Path) -> None:
    _commit(folder, 1, _with_feature("catalogManaged"))


def _unsupported(folder: Path) -> None:
    _commit(folder, 1, _with_feature("rowsThatSing"))


def _garbage(folder: Path) -> None:
    (folder / "_delta_log" / f"{1:020}.json").write_text('{"add": {"pa')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_deletion_vector, r"has deletion vectors.*REORG TABLE \.\.\. APPLY \(PURGE\)"),
        (
            _mapping("col-1f"),
            r"column mapping: in its files, the column `a` is called `col-1f`.*columnMapping\.mode",
        ),
        (_shallow_clone, "outside its folder, like a shallow clone: make it a deep clone"),
        (_unsupported, "uses the feature rowsThatSing, which delta-rs does not support"),
        (_managed, r"managed by a catalog|cannot be read"),
        (_garbage, "log of the Delta table .* cannot be read"),
    ],
    ids=[
        "deletion vectors",
        "column mapping",
        "shallow clone",
        "unsupported",
        "catalog",
        "garbage",
    ],
)
async def test_a_table_that_plain_readers_would_misread_is_refused_with_the_fix(
    local: LocalLake, tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    writer = Writer(local)
    writer.write(numbers(1, 2))
    change(tmp_path / "lake" / "trips")
    with pytest.raises(NeedsHuman, match=said):
        await local.catalog.list(writer.uri)


async def test_column_mapping_under_the_same_names_and_unused_vectors_are_read(
    local: LocalLake, tmp_path: Path
) -> None:
    writer = Writer(local)
    writer.write(numbers(1, 2))
    folder = tmp_path / "lake" / "trips"
    _mapping("a")(folder)
    _commit(folder, 2, _with_feature("columnMapping", "deletionVectors"))
    assert await writer.read() == [1, 2]


async def test_types_that_were_widened_are_those_of_the_table(
    local: LocalLake, tmp_path: Path
) -> None:
    writer = Writer(local)
    writer.write(pa.table({"a": pa.array([1], pa.int32()), "b": pa.array([2], pa.int16())}))
    folder = tmp_path / "lake" / "trips"
    (about,) = (one["metaData"] for one in _actions(folder, 0) if "metaData" in one)
    wide = about["schemaString"].replace('"integer"', '"long"').replace('"short"', '"double"')
    _commit(folder, 1, _with_feature("typeWidening"), {"metaData": {**about, "schemaString": wide}})
    pinned, _ = await local.catalog.pinned(writer.uri, await writer.version())
    (row,) = rows_of_gate(pinned)
    assert (row, type(row["b"])) == ({"a": 1, "b": 2.0}, float)


async def test_without_the_extra_it_is_named(
    local: LocalLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(local)
    writer.write(numbers(1))
    monkeypatch.setitem(sys.modules, "deltalake", None)  # as where it is not installed
    with pytest.raises(NeedsHuman, match=r"is a Delta table: .*`headgate\[tables\]`"):
        await local.catalog.list(writer.uri)


async def test_the_log_of_a_snapshot_is_the_only_one_in_its_folder(local: LocalLake) -> None:
    writer = Writer(local)
    writer.write(numbers(1))
    writer.append(numbers(2))
    listing = await local.catalog.list(writer.uri)
    logs = {key for key in keys(listing) if key.startswith("_delta_log/")}
    assert logs == {DELTA_KEY}
