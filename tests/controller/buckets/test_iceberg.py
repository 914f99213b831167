"""An Iceberg table is listed as its current snapshot, by its metadata and wherever it lies."""

import shutil
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
    TimeType,
)

from controller.buckets import iceberg
from controller.buckets.catalog import Catalog
from specs.failures import NeedsHuman
from specs.snapshot import ICEBERG_KEY, read_snapshot
from tests.controller.buckets.tabled import keys, numbers, rows, rows_of_gate


class House:
    """A catalog of Iceberg, and what Headgate sees of its warehouse, which it knows as files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "warehouse").mkdir()
        self._iceberg = SqlCatalog(
            "house",
            uri=f"sqlite:///{root}/catalog.db",
            warehouse=(root / "warehouse").as_uri(),
        )
        self._iceberg.create_namespace("db")
        self.catalog = Catalog(root / "home")
        self.uri = (root / "warehouse" / "db" / "trips").as_uri()

    def table(self, data: pa.Table, **options: Any) -> Table:
        """A new table with these rows."""
        made = self._iceberg.create_table("db.trips", schema=data.schema, **options)
        made.append(data)
        return made

    def empty(self, schema: Schema, parts: PartitionSpec) -> Table:
        """A new table without rows."""
        return self._iceberg.create_table("db.trips", schema=schema, partition_spec=parts)

    async def version(self) -> str:
        return (await self.catalog.list(self.uri)).manifest.digest

    async def folder(self) -> Path:
        folder, _ = await self.catalog.pinned(self.uri, await self.version())
        return folder


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_what_a_delete_left_in_the_folder_is_not_in_the_version(house: House) -> None:
    table = house.table(numbers(*range(10)))
    table.append(numbers(*range(10, 15)))
    assert rows(await house.folder()) == list(range(15))
    table.delete("a >= 8 and a < 13")
    assert rows(await house.folder()) == [*range(8), 13, 14]


async def test_changes_of_metadata_alone_make_no_version(house: House) -> None:
    table = house.table(numbers(1, 2))
    version = await house.version()
    with table.transaction() as change:
        change.set_properties(owner="ada")
    assert await house.version() == version
    table.append(numbers(3))
    assert await house.version() != version


async def test_a_table_that_was_moved_is_read_where_it_is(house: House) -> None:
    house.table(numbers(1, 2))
    moved = house.root / "elsewhere"
    shutil.copytree(house.root / "warehouse" / "db" / "trips", moved)
    shutil.rmtree(house.root / "warehouse")
    house.uri = moved.as_uri()
    assert rows(await house.folder()) == [1, 2]


async def test_the_schema_is_the_tables_and_columns_that_came_later_are_in_it(
    house: House,
) -> None:
    table = house.table(numbers(1))
    with table.update_schema() as change:
        change.add_column("b", LongType())
    table.append(numbers(2, b=pa.array([5], pa.int64())))
    log = read_snapshot((await house.folder() / ICEBERG_KEY).read_text())
    assert [(field["name"], field["type"]) for field in log.fields] == [
        ("a", "long"),
        ("b", "long"),
    ]
    assert len(log.files) == 2


async def test_partitions_are_columns_of_the_files(house: House) -> None:
    table = house.table(numbers(1, 2, 3, kind=["x", "y", "y"]))
    with table.update_spec() as change:
        change.add_field("kind", IdentityTransform(), "kind")
    table.append(numbers(4, kind=["z"]))
    folder = await house.folder()
    read = pq.read_table(folder, partitioning=None)
    assert sorted(read["kind"].to_pylist()) == ["x", "y", "y", "z"]


async def test_a_glob_and_the_folder_of_data_say_what_to_write_or_are_the_table(
    house: House,
) -> None:
    house.table(numbers(1))
    whole = await house.catalog.list(house.uri)
    part = await house.catalog.list(f"{house.uri}/**/*.parquet")
    assert keys(part) == keys(whole)
    with pytest.raises(NeedsHuman, match="inside the Iceberg table"):
        await house.catalog.list(f"{house.uri}/data")


async def test_a_table_of_no_rows_yet_is_the_log_alone(house: House) -> None:
    house._iceberg.create_table("db.trips", schema=numbers(1).schema)
    assert keys(await house.catalog.list(house.uri)) == {ICEBERG_KEY}


async def test_a_step_that_reads_by_address_is_told_the_snapshot(house: House) -> None:
    table = house.table(numbers(1))
    found = await house.catalog.addresses(house.uri, await house.version())
    current = table.current_snapshot()
    assert found.table is not None
    assert current is not None
    assert (found.table.format, found.table.version) == ("iceberg", current.snapshot_id)


async def test_without_the_extra_it_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.table(numbers(1))
    monkeypatch.setitem(sys.modules, "pyiceberg.exceptions", None)  # as where it is not installed
    with pytest.raises(NeedsHuman, match=r"is an Iceberg table: .*`headgate\[tables\]`"):
        await house.catalog.list(house.uri)


async def test_columns_that_were_widened_added_and_dropped_are_those_of_the_table(
    house: House,
) -> None:
    old = pa.table({"a": pa.array([1], pa.int32()), "b": pa.array([0.5], pa.float32()), "c": ["x"]})
    table = house.table(old)
    with table.update_schema() as change:
        change.update_column("a", LongType())
        change.update_column("b", DoubleType())
        change.add_column("d", StringType())
    with table.update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("c")
    table.append(numbers(2**40, b=pa.array([0.1]), d=["y"]))
    assert rows_of_gate(await house.folder()) == [
        {"a": 1, "b": 0.5, "d": None},
        {"a": 2**40, "b": 0.1, "d": "y"},
    ]


async def test_a_table_whose_partitions_changed_has_all_its_rows(house: House) -> None:
    table = house.table(numbers(1, 2, kind=["x", "y"]))
    with table.update_spec() as change:
        change.add_field("kind", IdentityTransform(), "kind")
    table.append(numbers(3, kind=["z"]))
    with table.update_spec() as change:
        change.remove_field("kind")
        change.add_field("a", IdentityTransform(), "by_a")
    table.append(numbers(4, kind=["z"]))
    found = rows_of_gate(await house.folder())
    assert [(row["a"], row["kind"]) for row in found] == [(1, "x"), (2, "y"), (3, "z"), (4, "z")]


def _as_from_hive(table: Table, name: str, value: Any) -> None:
    """A file without its partition column, as Spark's `migrate` and `add_files` take it over."""
    path = Path(table.location().removeprefix("file://")) / "data" / name
    path.parent.mkdir(exist_ok=True)
    pq.write_table(numbers(1), path)
    taken = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"{table.location()}/data/{name}",
        file_format=FileFormat.PARQUET,
        partition=Record(value),
        record_count=1,
        file_size_in_bytes=path.stat().st_size,
        value_counts={1: 1},
    )
    taken.spec_id = table.spec().spec_id
    with table.transaction() as change, change.update_snapshot().fast_append() as append:
        append.append_data_file(taken)


DAYS = (datetime(2024, 5, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
OF_HIVE: list[tuple[IcebergType, Any, Any]] = [
    (StringType(), "x y", "x y"),
    (LongType(), 7, 7),
    (BooleanType(), True, True),
    (DateType(), DAYS, date(2024, 5, 1)),
    (TimestamptzType(), int(MOMENT.timestamp() * 1_000_000), MOMENT),
    (DecimalType(5, 2), Decimal("1.50"), Decimal("1.50")),
    (StringType(), None, None),
]


@pytest.mark.parametrize(("kind", "stored", "value"), OF_HIVE)
async def test_a_partition_column_that_a_file_lacks_has_the_value_of_its_manifest(
    house: House, kind: IcebergType, stored: Any, value: Any
) -> None:
    fields = NestedField(1, "a", LongType()), NestedField(2, "kind", kind)
    by_kind = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "kind"))
    _as_from_hive(house.empty(Schema(*fields), by_kind), "p.parquet", stored)
    assert rows_of_gate(await house.folder()) == [{"a": 1, "kind": value}]


async def test_a_partition_column_of_an_odd_type_that_a_file_lacks_is_refused(
    house: House,
) -> None:
    fields = NestedField(1, "a", LongType()), NestedField(2, "at", TimeType())
    by_time = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "at"))
    _as_from_hive(house.empty(Schema(*fields), by_time), "p.parquet", 1)
    with pytest.raises(NeedsHuman, match=r"without its partition column `at`.* of type time"):
        await house.version()


def _rename(table: Table) -> None:
    with table.update_schema() as change:
        change.rename_column("a", "b")


def _drop_and_add_anew(table: Table) -> None:
    with table.update_schema(allow_incompatible_changes=True) as change:
        change.add_column("c", LongType())
        change.delete_column("a")
    with table.update_schema() as change:
        change.add_column("a", LongType())


def _two_of_a_number(table: Table) -> None:
    newest = Path(table.metadata_location.removeprefix("file://"))
    shutil.copy(newest, newest.with_name(f"{newest.name[:6]}other.metadata.json"))


def _garbage(table: Table) -> None:
    Path(table.metadata_location.removeprefix("file://")).write_text("{")


def _version_3(table: Table) -> None:
    path = Path(table.metadata_location.removeprefix("file://"))
    text = path.read_text().replace('"format-version":2', '"format-version":3')
    path.write_text(text.replace('"current-schema-id"', '"next-row-id":0,"current-schema-id"', 1))


def _rename_within(table: Table) -> None:
    with table.update_schema() as change:
        change.add_column("s", StructType(NestedField(9, "inner", LongType(), required=False)))
    table.append(numbers(3, s=[{"inner": 1}]))
    with table.update_schema() as change:
        change.rename_column("s.inner", "other")


def _delete_file(table: Table, content: DataFileContent = DataFileContent.POSITION_DELETES) -> None:
    """As an engine does that deletes by merging on read."""
    deletes = DataFile.from_args(
        content=content,
        file_path=f"{table.location()}/data/deletes.parquet",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=1,
        file_size_in_bytes=1,
    )
    deletes.spec_id = 0
    with table.transaction() as change, change.update_snapshot().fast_append() as append:
        append.append_data_file(deletes)


def _equality_deletes(table: Table) -> None:
    _delete_file(table, DataFileContent.EQUALITY_DELETES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_delete_file, "has position delete files.*rewrite_data_files.*copy-on-write"),
        (_equality_deletes, "has equality delete files.*rewrite_data_files"),
        (_rename_within, r"a column `s\.inner` that was renamed to `s\.other`"),
        (_version_3, "has format version 3.*version 2"),
        (_rename, "a column `a` that was renamed to `b`.*rewrite_data_files"),
        (_drop_and_add_anew, "a dropped column `a` whose name another column has"),
        (_two_of_a_number, "2 metadata files with number 1, and only its catalog knows"),
        (_garbage, "metadata of the Iceberg table .* cannot be read"),
    ],
    ids=[
        "position deletes",
        "equality deletes",
        "renamed within",
        "version 3",
        "renamed",
        "dropped and added",
        "two of a number",
        "garbage",
    ],
)
async def test_a_table_that_plain_readers_would_misread_is_refused_with_the_fix(
    house: House, change: Callable[[Table], None], said: str
) -> None:
    change(house.table(numbers(1, 2)))
    with pytest.raises(NeedsHuman, match=said):
        await house.catalog.list(house.uri)


@pytest.mark.parametrize(
    ("keys_there", "hint", "current"),
    [
        (["metadata/v1.metadata.json", "metadata/v10.metadata.json"], "9", "v10"),
        (["metadata/00009-a.metadata.json", "metadata/00010-b.metadata.json"], "", "00010-b"),
        (
            ["metadata/00010-a.metadata.json", "metadata/00010-b.metadata.json"],
            "00010-a",
            "00010-a",
        ),
        (["metadata/v2.gz.metadata.json", "metadata/v1.metadata.json"], "", "v2.gz"),
    ],
)
def test_the_metadata_that_counts(keys_there: list[str], hint: str, current: str) -> None:
    assert iceberg.current(keys_there, hint, "t") == f"metadata/{current}.metadata.json"
