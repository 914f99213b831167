"""A manifest on the disk is the same version, and what did not change is not written again."""

import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.buckets.manifest import ManifestWriter, Sorter, StoredManifest, read, sweep
from specs.digests import Manifest, ManifestEntry
from tests.specs.steady import steady

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ENTRIES = st.lists(
    st.builds(ManifestEntry, TEXT, st.integers(0, 1 << 50), TEXT), unique_by=lambda e: e.key
)


def entry(number: int, version: str = "v1") -> ManifestEntry:
    return ManifestEntry(f"day={number // 1000:04}/part-{number:08}", number, version)


MANY = tuple(map(entry, range(30_000)))


def written(folder: Path, entries: tuple[ManifestEntry, ...]) -> StoredManifest:
    writer = ManifestWriter(folder)
    for one in entries:
        writer.add((one.key, one.size, one.version))
    return writer.done()


def files(folder: Path) -> dict[str, int]:
    return {p.relative_to(folder).as_posix(): p.stat().st_mtime_ns for p in folder.rglob("*/*")}


@steady
@given(ENTRIES)
def test_a_manifest_on_the_disk_is_the_version_that_it_is_in_memory(
    tmp_path_factory: pytest.TempPathFactory, entries: list[ManifestEntry]
) -> None:
    folder = tmp_path_factory.mktemp("manifests")
    memory = Manifest(tuple(entries))
    stored = written(folder, memory.entries)
    assert (stored.digest, stored.size) == (memory.digest, memory.size)
    again = read(folder, stored.digest)
    assert again == stored
    assert tuple(stored) == memory.entries


def test_a_long_one_is_cut_and_read_whole(tmp_path: Path) -> None:
    stored = written(tmp_path, MANY)
    assert stored.digest == Manifest(MANY).digest
    assert stored.count == len(MANY)
    assert len(stored.segments) > 1
    assert tuple(stored) == MANY


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    first = written(tmp_path, MANY)
    before = files(tmp_path)
    assert written(tmp_path, MANY) == first
    assert files(tmp_path) == before


@pytest.mark.parametrize("change", ["another version", "gone", "new"])
def test_one_change_makes_one_segment_new(tmp_path: Path, change: str) -> None:
    first = written(tmp_path, MANY)
    middle = {
        "another version": (entry(15_000, "v2"),),
        "gone": (),
        "new": (entry(15_000), ManifestEntry(entry(15_000).key + "-b", 1, "v1")),
    }[change]
    second = written(tmp_path, (*MANY[:15_000], *middle, *MANY[15_001:]))
    assert second.digest != first.digest
    assert len(set(second.segments) - set(first.segments)) == 1


def test_a_key_that_comes_twice_or_too_late_is_refused(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path)
    writer.add(("b", 1, "v1"))
    with pytest.raises(ValueError, match="more than once"):
        writer.add(("b", 1, "v2"))
    with pytest.raises(ValueError, match="after"):
        writer.add(("a", 1, "v1"))


def test_what_comes_in_any_order_is_sorted_beyond_what_fits_into_memory(tmp_path: Path) -> None:
    rows = [(f"{number * 7919 % 120_000:06}", number, "v") for number in range(120_000)]
    with closing(Sorter(tmp_path)) as sorter:
        for begin in range(0, len(rows), 1000):
            sorter.add(rows[begin : begin + 1000])
        assert list(sorter.rows()) == sorted(rows)
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_is_cut_into_parts_of_about_the_same_length(tmp_path: Path) -> None:
    stored = written(tmp_path, MANY)
    keys = [one.key for one in MANY]
    places = [0, *map(keys.index, stored.cuts(4, 5000)), len(keys)]
    assert len(places) > 2
    assert all(end > begin for begin, end in pairwise(places))
    assert stored.cuts(4, 30_000) == []
    assert written(tmp_path, ()).cuts(4, 1) == []


def test_sweeping_takes_only_the_segments_that_no_manifest_has(tmp_path: Path) -> None:
    first = written(tmp_path, MANY)
    second = written(tmp_path, MANY[:15_000])
    old = max(p.stat().st_ctime for p in tmp_path.rglob("*/*"))
    while time.time() <= old:  # until the clock has ticked, as with each write
        pass
    before = time.time()
    index = tmp_path / "indexes" / second.digest.rpartition(":")[2]
    while index.stat().st_ctime < before:
        assert read(tmp_path, second.digest) == second  # it is in use
    assert sweep(tmp_path, (), before) == 1
    assert read(tmp_path, first.digest) is None
    assert tuple(second) == MANY[:15_000]
    left = {p.name for p in (tmp_path / "segments").iterdir()}
    assert left == {p.name for p in second.segments}
    assert {p.name for p in tmp_path.iterdir()} == {"indexes", "segments"}
