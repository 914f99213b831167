"""Which objects of a dataset came, went or changed, and how many rows those have that came."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from controller.buckets.catalog import Catalog
from controller.buckets.changes import MAX_FOOTER, TAIL, rows
from tests.controller.buckets.test_remote import Lake
from tests.servers.faults import Faults
from tests.servers.moto import Moto


def parquet(count: int, *, columns: int = 1) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({f"a column {n}": range(count) for n in range(columns)}), out)
    return bytes(out.getvalue())


def rows_in(content: bytes, size: int | None = None) -> int | None:
    return rows(lambda start, end: content[start:end], len(content) if size is None else size)


@pytest.mark.parametrize(("count", "columns"), [(0, 1), (1, 1), (100_000, 1), (3, 2000)])
def test_a_footer_says_how_many_rows_there_are_however_long_it_is(count: int, columns: int) -> None:
    content = parquet(count, columns=columns)
    assert (len(content) > TAIL) is (max(count, columns) > 100), "else the case is none"
    assert rows_in(content) == count


WHOLE = parquet(3)
HOSTILE = {
    "empty": b"",
    "short": b"PAR1",
    "text": b"a,b\n1,2\n" * 9,
    "cut": WHOLE[:-9],
    "too long": WHOLE[:-8] + (MAX_FOOTER + 1).to_bytes(4, "little") + b"PAR1",
    "longer than the file": WHOLE[:-8] + (2**32 - 1).to_bytes(4, "little") + b"PAR1",
    "garbled": WHOLE[:-40] + b"\xff" * 32 + WHOLE[-8:],
    "noise": random.Random(1).randbytes(4000) + (3000).to_bytes(4, "little") + b"PAR1",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_footer_has_no_rows(name: str) -> None:
    assert rows_in(HOSTILE[name]) is None


def test_an_object_that_is_shorter_than_it_was_listed_has_no_rows() -> None:
    assert rows_in(WHOLE, len(WHOLE) + 1) is None


async def test_objects_of_this_machine_are_named_with_their_rows(tmp_path: Path) -> None:
    lake, catalog = tmp_path / "lake", Catalog(tmp_path / "home", wall=lambda: 0.0)
    (lake / "2013").mkdir(parents=True)
    (lake / "2013/04.parquet").write_bytes(parquet(4))
    (lake / "a.csv").write_text("a\n1\n")
    uri = f"file://{lake}/**/*"
    was = (await catalog.list(uri)).manifest.digest
    (lake / "2013/05.parquet").write_bytes(parquet(27_128))
    (lake / "a.csv").unlink()
    now = (await catalog.list(uri)).manifest.digest
    found = await catalog.differ(uri, was, now)
    assert found is not None
    assert [(one.key, one.happened, one.rows) for one in found.named] == [
        ("2013/05.parquet", "added", 27_128),
        ("a.csv", "gone", None),
    ]
    (lake / "2013/05.parquet").write_bytes(b"replaced since")
    found = await catalog.differ(uri, was, now)
    assert found is not None
    assert found.named[0].rows is None
    assert await catalog.differ(uri, was, "sha256:" + "0" * 64) is None, "it was never listed"


async def test_data_of_a_commit_is_named_and_not_opened(tmp_path: Path) -> None:
    checkout, catalog = tmp_path / "checkout", Catalog(tmp_path / "home", wall=lambda: 0.0)
    (checkout / "data").mkdir(parents=True)
    (checkout / "data/a.parquet").write_bytes(parquet(1))
    was = (await catalog.list("data/*", repository=checkout)).manifest.digest
    (checkout / "data/b.parquet").write_bytes(parquet(2))
    now = (await catalog.list("data/*", repository=checkout)).manifest.digest
    found = await catalog.differ("data/*", was, now)
    assert found is not None
    assert [(one.key, one.rows) for one in found.named] == [("b.parquet", None)]


@pytest.mark.usefixtures("aws")
async def test_objects_of_an_object_store_are_named_with_their_rows(
    tmp_path: Path, moto: Moto, faults: Faults
) -> None:
    lake = Lake(tmp_path, moto, faults.url)
    lake.put("a.parquet", parquet(1))
    was = (await lake.catalog.list(lake.uri)).manifest.digest
    lake.put("b.parquet", parquet(27_128))
    lake.catalog.hint(lake.uri)
    now = (await lake.catalog.list(lake.uri)).manifest.digest
    found = await lake.catalog.differ(lake.uri, was, now)
    assert found is not None
    assert [(one.key, one.rows) for one in found.named] == [("b.parquet", 27_128)]
    moto.client("s3").delete_object(Bucket=lake.name, Key="lake/b.parquet")
    found = await lake.catalog.differ(lake.uri, was, now)
    assert found is not None
    assert [(one.key, one.rows) for one in found.named] == [("b.parquet", None)]
