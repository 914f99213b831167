"""A digest is enough to read a dataset version, in every later controller too."""

import json
import os
import time
from pathlib import Path

import pytest

from controller.buckets.catalog import Catalog
from controller.buckets.protocol import ObjectChanged
from specs.failures import NeedsHuman


def catalog(folder: Path) -> Catalog:
    return Catalog(folder / "datasets")


def drop(folder: Path, text: str, name: str = "bucket") -> str:
    """Put an object there, written a while ago; the dataset's URI."""
    bucket = folder / name
    bucket.mkdir(exist_ok=True)
    (bucket / "a.csv").write_text(text)
    os.utime(bucket / "a.csv", (1e9, 1e9))
    return bucket.as_uri()


async def test_what_was_listed_is_pinned_by_another_controller(tmp_path: Path) -> None:
    uri = drop(tmp_path, "1")
    listing = await catalog(tmp_path).list(uri)
    folder, manifest = await catalog(tmp_path).pinned(uri, listing.manifest.digest)
    assert list(manifest) == list(listing.manifest)
    assert (folder / "a.csv").read_text() == "1"


async def test_without_its_record_a_version_is_known_again_as_long_as_it_is_what_is_there(
    tmp_path: Path,
) -> None:
    uri = drop(tmp_path, "1")
    version = (await catalog(tmp_path).list(uri)).manifest.digest
    other = catalog(tmp_path / "of-another-controller")
    folder, _ = await other.pinned(uri, version)
    assert (folder / "a.csv").read_text() == "1"
    drop(tmp_path, "22")
    with pytest.raises(NeedsHuman, match=r"it is not what file://.* has now"):
        await catalog(tmp_path / "later").pinned(uri, version)


async def test_a_pinned_version_stays_when_the_bucket_moves_on(tmp_path: Path) -> None:
    uri = drop(tmp_path, "1")
    first = (await catalog(tmp_path).list(uri)).manifest.digest
    await catalog(tmp_path).pinned(uri, first)
    drop(tmp_path, "22")
    folder, _ = await catalog(tmp_path).pinned(uri, first)
    assert (folder / "a.csv").read_text() == "1"


async def test_a_version_that_was_never_pinned_and_is_gone_has_changed_and_names_the_object(
    tmp_path: Path,
) -> None:
    uri = drop(tmp_path, "1")
    first = (await catalog(tmp_path).list(uri)).manifest.digest
    drop(tmp_path, "22")
    with pytest.raises(ObjectChanged, match=r"a\.csv"):
        await catalog(tmp_path).pinned(uri, first)


async def test_an_unknown_version_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NeedsHuman, match="trigger a run"):
        await catalog(tmp_path).addresses("bucket", "sha256:" + "0" * 64)


async def test_addresses_are_had_without_a_copy(tmp_path: Path) -> None:
    uri = drop(tmp_path, "1")
    listing = await catalog(tmp_path).list(uri)
    found = await catalog(tmp_path).addresses(uri, listing.manifest.digest)
    assert [uri for _, uri in found.objects] == [(tmp_path / "bucket" / "a.csv").as_uri()]
    assert not (tmp_path / "datasets" / "pins").exists()


async def test_two_datasets_with_equal_objects_keep_their_own_addresses(tmp_path: Path) -> None:
    uris = [drop(tmp_path, "1", name) for name in ("old", "new")]
    (digest,) = {(await catalog(tmp_path).list(uri)).manifest.digest for uri in uris}
    for uri, name in zip(uris, ("old", "new"), strict=True):
        found = await catalog(tmp_path).addresses(uri, digest)
        assert [uri for _, uri in found.objects] == [(tmp_path / name / "a.csv").as_uri()]
    (tmp_path / "old" / "a.csv").unlink()
    folder, _ = await catalog(tmp_path).pinned(uris[1], digest)
    assert (folder / "a.csv").read_text() == "1"


async def test_a_version_is_expected_to_be_there_still_whatever_came_beside_it(
    tmp_path: Path,
) -> None:
    uri = drop(tmp_path, "1")
    first = (await catalog(tmp_path).list(uri)).manifest.digest
    for name in ("0.csv", "z.csv"):
        (tmp_path / "bucket" / name).write_text("more")
        os.utime(tmp_path / "bucket" / name, (1e9, 1e9))
    await catalog(tmp_path).verify_unchanged(uri, first)


@pytest.mark.parametrize("gone", [True, False])
async def test_a_version_of_which_an_object_is_gone_or_replaced_is_told_by_its_name(
    tmp_path: Path,
    gone: bool,
) -> None:
    uri = drop(tmp_path, "1")
    first = (await catalog(tmp_path).list(uri)).manifest.digest
    if gone:
        (tmp_path / "bucket" / "a.csv").rename(tmp_path / "bucket" / "b.csv")
    else:
        drop(tmp_path, "2")
        os.utime(tmp_path / "bucket" / "a.csv", (2e9, 2e9))
    with pytest.raises(ObjectChanged, match=r"a\.csv was replaced or deleted before it was read"):
        await catalog(tmp_path).verify_unchanged(uri, first)


MONTH = 30 * 86_400.0


async def test_a_version_that_a_state_names_can_be_read_for_ever_though_its_objects_are_gone(
    tmp_path: Path,
) -> None:
    """As the last version that passed its gate, which no run has read for a month."""
    uri = drop(tmp_path, "1")
    first = (await catalog(tmp_path).list(uri)).manifest.digest
    await catalog(tmp_path).pinned(uri, first)
    drop(tmp_path, "22")
    second = (await catalog(tmp_path).list(uri)).manifest.digest
    await catalog(tmp_path).pinned(uri, second)
    await catalog(tmp_path).sweep({first.rpartition(":")[2]}, time.time() + MONTH)
    folder, _ = await catalog(tmp_path).pinned(uri, first)
    assert (folder / "a.csv").read_text() == "1"
    drop(tmp_path, "333")
    with pytest.raises(NeedsHuman, match="trigger a run"):
        await catalog(tmp_path).pinned(uri, second)


async def test_a_record_of_an_older_controller_is_swept_like_any_that_is_not_used(
    tmp_path: Path,
) -> None:
    uri = drop(tmp_path, "1")
    first = (await catalog(tmp_path).list(uri)).manifest.digest
    (record,) = (tmp_path / "datasets" / "manifests" / "listed").iterdir()
    about = json.loads(record.read_text())
    del about["version"]
    record.write_text(json.dumps(about))
    assert (await catalog(tmp_path).pinned(uri, first))[0].is_dir()
    await catalog(tmp_path).sweep({first.rpartition(":")[2]}, time.time() + MONTH)
    assert not record.exists()
