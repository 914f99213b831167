"""A digest is enough to read a dataset version, in every later controller too."""

import os
from pathlib import Path

import pytest

from controller.catalog import Catalog
from controller.datasets import LocalBucket
from specs.failures import NeedsHuman


def catalog(folder: Path) -> Catalog:
    return Catalog(folder / "manifests", LocalBucket(folder / "datasets"))


def drop(folder: Path, text: str) -> str:
    """Put an object there, written a while ago; the dataset's URI."""
    bucket = folder / "bucket"
    bucket.mkdir(exist_ok=True)
    (bucket / "a.csv").write_text(text)
    os.utime(bucket / "a.csv", (1e9, 1e9))
    return bucket.as_uri()


async def test_what_was_listed_is_pinned_by_another_controller(tmp_path: Path) -> None:
    listing = await catalog(tmp_path).list(drop(tmp_path, "1"))
    folder, manifest = await catalog(tmp_path).pinned(listing.manifest.digest)
    assert manifest == listing.manifest
    assert (folder / "a.csv").read_text() == "1"


async def test_a_pinned_version_stays_when_the_bucket_moves_on(tmp_path: Path) -> None:
    first = (await catalog(tmp_path).list(drop(tmp_path, "1"))).manifest.digest
    await catalog(tmp_path).pinned(first)
    drop(tmp_path, "22")
    folder, _ = await catalog(tmp_path).pinned(first)
    assert (folder / "a.csv").read_text() == "1"


async def test_a_version_that_was_never_pinned_and_is_gone_needs_a_human_and_names_the_object(
    tmp_path: Path,
) -> None:
    first = (await catalog(tmp_path).list(drop(tmp_path, "1"))).manifest.digest
    drop(tmp_path, "22")
    with pytest.raises(NeedsHuman, match=r"a\.csv.*headgate trigger"):
        await catalog(tmp_path).pinned(first)


async def test_an_unknown_version_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NeedsHuman, match="trigger a run"):
        await catalog(tmp_path).addresses("sha256:" + "0" * 64)


async def test_addresses_are_had_without_a_copy(tmp_path: Path) -> None:
    listing = await catalog(tmp_path).list(drop(tmp_path, "1"))
    found = await catalog(tmp_path).addresses(listing.manifest.digest)
    assert list(found.values()) == [(tmp_path / "bucket" / "a.csv").as_uri()]
    assert not (tmp_path / "datasets" / "pins").exists()
