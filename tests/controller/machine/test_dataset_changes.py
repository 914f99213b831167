"""What became of a dataset's objects between two versions."""

from hypothesis import given
from hypothesis import strategies as st

from controller.machine.pipelines.dataset_changes import (
    MOST_NAMED,
    ChangedObject,
    ObjectChanges,
    compare_objects,
    describe_changes,
)
from specs.digests import ManifestEntry

versions = st.dictionaries(st.text("abc", min_size=1, max_size=2), st.sampled_from("12"))


def entries(version: dict[str, str]) -> list[ManifestEntry]:
    return [ManifestEntry(key, 1, version[key]) for key in sorted(version)]


@given(versions, versions)
def test_objects_are_counted_as_sets_would_count_them(
    was: dict[str, str], now: dict[str, str]
) -> None:
    found = compare_objects(entries(was), entries(now))
    new = sorted(now.keys() - was.keys())
    assert found.objects == len(now)
    gone = sorted(was.keys() - now.keys())
    other = sorted(key for key in was.keys() & now.keys() if was[key] != now[key])
    assert (found.added, found.replaced, found.gone) == (len(new), len(other), len(gone))
    named = {
        happened: [one.key for one in found.named if one.happened == happened]
        for happened in ("added", "replaced", "gone")
    }
    assert named == {
        "added": new[-MOST_NAMED:],
        "replaced": other[-MOST_NAMED:],
        "gone": gone[-MOST_NAMED:],
    }


def test_what_became_of_objects_is_said_by_their_names_and_rows() -> None:
    found = ObjectChanges(
        objects=9,
        added=3,
        gone=1,
        named=(
            ChangedObject(key="2013-04.parquet", happened="added", rows=28_330),
            ChangedObject(key="2013-05.csv", happened="added"),
            ChangedObject(key="2012-12.parquet", happened="gone"),
        ),
    )
    assert list(describe_changes(found)) == [
        "2013-04.parquet added, 28,330 rows",
        "2013-05.csv added",
        "1 more added",
        "2012-12.parquet gone",
    ]
