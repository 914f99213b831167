"""An Iceberg table is listed as its current snapshot, by its metadata and wherever it lies."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import LongType

from controller.buckets import iceberg
from controller.buckets.catalog import Catalog
from specs.failures import NeedsHuman
from specs.snapshot import ICEBERG_KEY, read_snapshot
from tests.controller.buckets.tabled import keys, numbers, rows


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


def _delete_file(table: Table) -> None:
    """As an engine does that deletes by merging on read."""
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=f"{table.location()}/data/deletes.parquet",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=1,
        file_size_in_bytes=1,
    )
    deletes.spec_id = 0
    with table.transaction() as change, change.update_snapshot().fast_append() as append:
        append.append_data_file(deletes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_delete_file, "has delete files.*rewrite_data_files.*copy-on-write"),
        (_version_3, "has format version 3.*version 2"),
        (_rename, "a column `a` that was renamed to `b`.*rewrite_data_files"),
        (_drop_and_add_anew, "a dropped column `a` whose name another column has"),
        (_two_of_a_number, "2 metadata files with number 1, and only its catalog knows"),
        (_garbage, "metadata of the Iceberg table .* cannot be read"),
    ],
    ids=["delete files", "version 3", "renamed", "dropped and added", "two of a number", "garbage"],
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
