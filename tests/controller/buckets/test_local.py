"""Datasets in local directories: what is listed, and that what is pinned is what was listed."""

import os
import time
from pathlib import Path

import pytest

from controller.buckets.local import LocalBucket
from controller.buckets.local_listing import EMPTY_SETTLED_AFTER, SETTLED_AFTER
from controller.buckets.places import place_of
from controller.buckets.protocol import Listing, ObjectChanged
from specs.digests import digest
from specs.failures import NeedsHuman


class Clock:
    """A clock that stands well after the files' own times until it is told otherwise."""

    ahead = SETTLED_AFTER + 60

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bucket(tmp_path: Path, clock: Clock) -> LocalBucket:
    return LocalBucket(tmp_path / "cache", clock=clock)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    write(folder / "2013-01.parquet", "january")
    write(folder / "deep" / "er" / "2013-02.parquet", "february")
    write(folder / "readme.txt", "about")
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def keys(listing: Listing) -> list[str]:
    return [entry.key for entry in listing.manifest]


async def test_a_listing_holds_what_the_glob_admits_by_content(
    bucket: LocalBucket, lake: Path
) -> None:
    listing = await bucket.list(f"file://{lake}/**/*.parquet")
    assert keys(listing) == ["2013-01.parquet", "deep/er/2013-02.parquet"]
    assert next(iter(listing.manifest)).version == digest(b"january")
    assert listing.manifest.size == 7 + 8
    assert listing.unsettled == ()
    assert listing.marked is None
    assert keys(await bucket.list(str(lake / "*.parquet"))) == ["2013-01.parquet"]
    assert "readme.txt" in keys(await bucket.list(str(lake)))


async def test_the_same_data_elsewhere_or_written_again_is_the_same_version(
    bucket: LocalBucket, lake: Path, tmp_path: Path
) -> None:
    before = (await bucket.list(str(lake))).manifest.digest
    write(lake / "2013-01.parquet", "january")
    lake.rename(tmp_path / "moved")  # noqa: ASYNC240 - a test may block
    assert (await bucket.list(str(tmp_path / "moved"))).manifest.digest == before


async def test_another_content_of_the_same_size_and_time_is_another_version(
    bucket: LocalBucket, lake: Path
) -> None:
    before = await bucket.list(str(lake))
    path = lake / "2013-01.parquet"
    about = path.stat()
    path.write_text("JANUARY")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    after = await bucket.list(str(lake))
    assert after.manifest.digest != before.manifest.digest


async def test_the_cache_outlives_the_process_and_its_own_damage(
    bucket: LocalBucket, lake: Path, tmp_path: Path, clock: Clock
) -> None:
    before = await bucket.list(str(lake))
    clock.ahead = 0  # too young to be hashed now: only the cache can know them
    again = await LocalBucket(tmp_path / "cache", clock=clock).list(str(lake))
    assert again.manifest == before.manifest
    for path in (tmp_path / "cache").glob("versions.db*"):
        path.write_bytes(b"rubbish" * 1000)
    clock.ahead = 60
    assert (await bucket.list(str(lake))).manifest == before.manifest


async def test_a_file_that_is_being_written_is_unsettled(
    bucket: LocalBucket, lake: Path, clock: Clock
) -> None:
    await bucket.list(str(lake))
    write(lake / "2013-03.parquet", "mar")
    clock.ahead = 0
    listing = await bucket.list(f"{lake}/**/*.parquet")
    assert listing.unsettled == ("2013-03.parquet",)
    assert keys(listing) == ["2013-01.parquet", "deep/er/2013-02.parquet"]
    clock.ahead = 60
    assert "2013-03.parquet" in keys(await bucket.list(f"{lake}/**/*.parquet"))


async def test_an_empty_file_is_being_written_until_it_stayed_empty_for_a_while(
    bucket: LocalBucket, lake: Path, clock: Clock
) -> None:
    write(lake / "2013-03.parquet", "")
    clock.ahead = SETTLED_AFTER + 1
    listing = await bucket.list(f"{lake}/*.parquet")
    assert (listing.unsettled, keys(listing)) == (("2013-03.parquet",), ["2013-01.parquet"])
    clock.ahead = EMPTY_SETTLED_AFTER + 1
    listing = await bucket.list(f"{lake}/*.parquet")
    assert (listing.unsettled, len(listing.manifest)) == ((), 2)


async def test_an_empty_file_is_meant_to_be_where_a_marker_or_a_commit_says_so(
    bucket: LocalBucket, lake: Path, clock: Clock
) -> None:
    write(lake / "2013-03.parquet", "")
    clock.ahead = SETTLED_AFTER + 1
    committed = await bucket.list("lake/*.parquet", repository=lake.parent)
    assert (committed.unsettled, len(committed.manifest)) == ((), 2)
    write(lake / "2013-04.parquet", "")
    write(lake / "_SUCCESS", "")
    delivered = await bucket.list(f"{lake}/*.parquet", marker="_SUCCESS")
    assert (delivered.unsettled, len(delivered.manifest)) == ((), 3)


async def test_hidden_and_temporary_files_and_the_marker_are_no_data(
    bucket: LocalBucket, lake: Path
) -> None:
    before = await bucket.list(str(lake), marker="_SUCCESS")
    assert before.marked is False
    for name in (".hidden", ".tmp/x", "a.parquet.part", "b.parquet~", "_SUCCESS", "c.TMP"):
        write(lake / name, "x")
    after = await bucket.list(str(lake), marker="_SUCCESS")
    assert after.manifest == before.manifest
    assert after.marked is True


async def test_a_name_that_is_no_text_is_told_with_the_mend(
    bucket: LocalBucket, lake: Path
) -> None:
    (lake / os.fsdecode(b"caf\xe9.parquet")).write_text("march")
    with pytest.raises(NeedsHuman, match=r"lake/caf\\xe9\.parquet is not UTF-8: rename the file"):
        await bucket.list(f"file://{lake}/*.parquet")
    assert keys(await bucket.list(f"file://{lake}/2013*.parquet")) == ["2013-01.parquet"]


async def test_no_directory_is_said_and_an_empty_one_is_empty(
    bucket: LocalBucket, tmp_path: Path
) -> None:
    with pytest.raises(NeedsHuman, match="lake is not a directory: create it"):
        await bucket.list(str(tmp_path / "lake" / "*.parquet"))
    (tmp_path / "lake").mkdir()
    listing = await bucket.list(str(tmp_path / "lake" / "*.parquet"))
    assert len(listing.manifest) == 0


@pytest.mark.parametrize(
    "uri", ["s3://b/x", "file://host/x", "file:relative", "data/../../etc", "/a/../b", "data/x"]
)
def test_an_address_that_leads_elsewhere_is_refused(uri: str) -> None:
    with pytest.raises(NeedsHuman, match=r"local directory|absolute|contains|relative"):
        place_of(uri)


async def test_a_link_out_of_the_dataset_or_the_repository_is_refused(
    bucket: LocalBucket, lake: Path, tmp_path: Path
) -> None:
    write(tmp_path / "secret.parquet", "secret")
    (lake / "link.parquet").symlink_to(tmp_path / "secret.parquet")
    with pytest.raises(NeedsHuman, match=r"link\.parquet is a symbolic link out"):
        await bucket.list(str(lake))
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "data").symlink_to(lake)
    with pytest.raises(NeedsHuman, match="out of the repository"):
        await bucket.list("data/*.parquet", repository=tmp_path / "repository")


async def test_a_path_in_the_repository_is_looked_up_there(
    bucket: LocalBucket, lake: Path, tmp_path: Path
) -> None:
    listing = await bucket.list("lake/*.parquet", repository=tmp_path)
    assert keys(listing) == ["2013-01.parquet"]


async def test_a_pin_holds_exactly_what_was_listed_whatever_comes_later(
    bucket: LocalBucket, lake: Path
) -> None:
    uri = f"{lake}/**/*.parquet"
    january = (await bucket.list(uri)).manifest
    pinned = await bucket.pin(uri, january)
    files = sorted(p.relative_to(pinned).as_posix() for p in pinned.rglob("*") if p.is_file())
    assert files == ["2013-01.parquet", "deep/er/2013-02.parquet"]
    write(lake / "2013-01.parquet", "restated")
    write(lake / "2013-03.parquet", "march")
    (lake / "deep/er/2013-02.parquet").unlink()
    assert await bucket.pin(uri, january) == pinned
    assert (pinned / "2013-01.parquet").read_text() == "january"
    assert (pinned / "deep/er/2013-02.parquet").read_text() == "february"
    assert (pinned / "2013-01.parquet").stat().st_mode & 0o222 == 0
    march = (await bucket.list(uri)).manifest
    assert (await bucket.pin(uri, march) / "2013-01.parquet").read_text() == "restated"


@pytest.mark.parametrize("change", ["rewritten", "deleted", "led astray"])
async def test_a_change_between_listing_and_pinning_is_an_error_that_names_the_object(
    bucket: LocalBucket, lake: Path, change: str
) -> None:
    uri = f"{lake}/**/*.parquet"
    listed = (await bucket.list(uri)).manifest
    path = lake / "2013-01.parquet"
    path.unlink()
    if change == "rewritten":
        path.write_text("JANUARY")
    elif change == "led astray":
        path.symlink_to("/etc/passwd")
    with pytest.raises(ObjectChanged, match=r"2013-01\.parquet"):
        await bucket.pin(uri, listed)


@pytest.mark.parametrize("harm", ["rewritten", "deleted", "added"])
async def test_a_pin_that_a_step_changed_is_made_anew(
    bucket: LocalBucket, lake: Path, harm: str
) -> None:
    listed = (await bucket.list(str(lake))).manifest
    pinned = await bucket.pin(str(lake), listed)
    pinned.chmod(0o755)
    path = pinned / "2013-01.parquet"
    if harm == "rewritten":
        path.chmod(0o644)
        before = path.stat().st_mtime_ns
        while path.stat().st_mtime_ns <= max(before, pinned.stat().st_mtime_ns):
            path.write_text("JANUARY")  # until the file system's clock has ticked
    elif harm == "deleted":
        path.unlink()
    else:
        (pinned / "extra.parquet").write_text("x")
    assert await bucket.pin(str(lake), listed) == pinned
    assert path.read_text() == "january"
    assert not (pinned / "extra.parquet").exists()
    assert len(list(pinned.parent.iterdir())) == 1, "nothing half-made is left"
