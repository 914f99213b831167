"""What listings of local folders cost: in files that are opened, and folders that are read."""

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.buckets.catalog import Catalog
from controller.buckets.local import LocalBucket
from controller.buckets.protocol import ObjectChanged
from specs.digests import Manifest, ManifestEntry, digest
from specs.globs import matches
from tests.controller.buckets.opened import opened
from tests.specs.steady import steady

LATER = 60.0
"""Seconds by which the bucket's clock is ahead, so that every file counts as complete."""


def bucket(folder: Path, ahead: float = LATER) -> LocalBucket:
    return LocalBucket(folder / "home", clock=lambda: time.time() + ahead)


def data(names: list[str]) -> list[str]:
    """The opened files that are data."""
    return sorted(name for name in names if name.endswith(".csv"))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    for day in range(3):
        (folder / f"day={day}").mkdir(parents=True)
        for part in range(4):
            (folder / f"day={day}" / f"{day}-{part}.csv").write_text(f"{day},{part}")
    return folder


async def test_an_unchanged_folder_is_listed_without_opening_a_file(
    tmp_path: Path, lake: Path
) -> None:
    with opened() as first:
        before = await bucket(tmp_path).list(str(lake))
    assert len(data(first)) == 12
    with opened() as again:  # by another process, as it were
        after = await bucket(tmp_path).list(str(lake))
    assert data(again) == []
    assert again.count("a folder") == 4
    assert after == before


async def test_only_the_files_that_changed_are_opened(tmp_path: Path, lake: Path) -> None:
    await bucket(tmp_path).list(str(lake))
    (lake / "day=1" / "1-2.csv").write_text("other")
    (lake / "day=1" / "1-0.csv").unlink()
    (lake / "day=3").mkdir()
    (lake / "day=3" / "3-0.csv").write_text("new")
    (lake / "day=0").rename(lake / "day=9")
    with opened() as names:
        listing = await bucket(tmp_path).list(str(lake))
    # What was moved is new in its folder.
    assert data(names) == ["0-0.csv", "0-1.csv", "0-2.csv", "0-3.csv", "1-2.csv", "3-0.csv"]
    assert [entry.key.rpartition("/")[2] for entry in listing.manifest][:5] == [
        "1-1.csv", "1-2.csv", "1-3.csv", "2-0.csv", "2-1.csv"
    ]  # fmt: skip


async def test_two_datasets_of_a_folder_hash_its_files_once(tmp_path: Path, lake: Path) -> None:
    await bucket(tmp_path).list(f"{lake}/**/*-0.csv")
    with opened() as names:
        await bucket(tmp_path).list(f"{lake}/day=0/*.csv")
        await bucket(tmp_path).list(str(lake))
        await bucket(tmp_path).list(f"{lake}/**/*-0.csv")
    # A glob whose folder is another one knows nothing of the first's.
    assert len(data(names)) == 4 + 9
    assert "1-0.csv" not in names


async def test_a_file_that_was_hashed_in_the_second_of_its_change_is_hashed_again(
    tmp_path: Path, lake: Path
) -> None:
    """A second change may have the same time on the file system's clock."""
    late = lake / "late.csv"
    late.write_text("x")
    os.utime(late, (1.7e9, 1.7e9))  # as `rsync -t` does: only the inode's time says that it is new
    with opened() as names:
        await bucket(tmp_path, 0.0).list(f"{lake}/*.csv")
        await bucket(tmp_path, 0.0).list(f"{lake}/*.csv")
        await bucket(tmp_path).list(f"{lake}/*.csv")
    assert data(names) == ["late.csv"] * 3
    with opened() as names:
        await bucket(tmp_path).list(f"{lake}/*.csv")
    assert data(names) == []


async def test_the_digests_of_an_older_controller_are_read_once(tmp_path: Path, lake: Path) -> None:
    first = await bucket(tmp_path).list(str(lake))
    versions = tmp_path / "home" / "versions.db"
    versions.unlink()
    with closing(sqlite3.connect(versions)) as db, db:
        db.execute(
            "CREATE TABLE version (folder TEXT, key TEXT, identity TEXT, digest TEXT,"
            " PRIMARY KEY (folder, key)) WITHOUT ROWID"
        )
        for path in sorted(lake.rglob("*.csv")):  # noqa: ASYNC240 - a test may block
            about = path.stat()
            identity = (
                "-".join(map(str, (about.st_dev, about.st_ino, about.st_size)))
                + f"-{about.st_mtime_ns}-{about.st_ctime_ns}"
            )
            row = str(lake), str(path.relative_to(lake)), identity, digest(path.read_bytes())
            db.execute("INSERT INTO version VALUES (?, ?, ?, ?)", row)
    with opened() as names:
        assert (await bucket(tmp_path).list(str(lake))).manifest == first.manifest
    assert data(names) == []
    with closing(sqlite3.connect(versions)) as db:
        assert db.execute("SELECT count(*) FROM version").fetchone() == (0,)


async def test_who_asks_at_the_same_time_shares_a_listing(tmp_path: Path, lake: Path) -> None:
    catalog = Catalog(tmp_path / "home", wall=lambda: time.time() + LATER)
    await catalog.list(str(lake))
    with opened() as names:
        found = await asyncio.gather(*(catalog.list(str(lake)) for _ in range(50)))
    assert len({each.manifest.digest for each in found}) == 1
    # One began before the others asked; those share the next.
    assert names.count("a folder") <= 2 * 4


async def test_who_asks_within_a_moment_shares_a_listing_unless_it_proved_old(
    tmp_path: Path, lake: Path
) -> None:
    catalog = Catalog(tmp_path / "home", wall=lambda: time.time() + LATER, moment=3600.0)
    first = await catalog.list(str(lake))
    (lake / "day=0" / "0-0.csv").write_text("other")
    assert await catalog.list(str(lake)) is first
    with pytest.raises(ObjectChanged):
        await catalog.pinned(str(lake), first.manifest.digest)
    assert (await catalog.list(str(lake))).manifest.digest != first.manifest.digest


async def test_a_listing_goes_on_for_the_others_if_one_gives_up(tmp_path: Path, lake: Path) -> None:
    catalog = Catalog(tmp_path / "home", wall=lambda: time.time() + LATER)
    one = asyncio.create_task(catalog.list(str(lake)))
    other = asyncio.create_task(catalog.list(str(lake)))
    await asyncio.sleep(0)
    one.cancel()
    assert len((await other).manifest) == 12


NAMES = st.sampled_from(["a", "b", "a-b", "a.csv", "b.csv", "a b", "ä.csv", "z.tmp", "_SUCCESS"])
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=3), max_size=12
)


@steady
@given(TREES, st.sampled_from(["**", "*.csv", "**/*.csv", "[a]/**", "*/*"]))
def test_a_listing_is_the_manifest_of_its_files(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes], glob: str
) -> None:
    top = tmp_path_factory.mktemp("tree")
    files = {}
    (top / "lake").mkdir()
    for key, content in tree.items():
        path = top / "lake" / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError:
            continue  # it is a folder, or below a file
        files[key] = content
    entries = tuple(
        ManifestEntry(key, len(content), digest(content))
        for key, content in files.items()
        if matches(glob, key) and not key.endswith((".tmp", "_SUCCESS"))
    )
    listing = asyncio.run(bucket(top).list(f"{top}/lake/{glob}"))
    assert tuple(listing.manifest) == Manifest(entries).entries
    assert listing.manifest.digest == Manifest(entries).digest
