"""What became of a dataset's objects between two versions."""

from hypothesis import given
from hypothesis import strategies as st

from controller.reports.objects import NAMED, moved
from specs.digests import ManifestEntry

versions = st.dictionaries(st.text("abc", min_size=1, max_size=2), st.sampled_from("12"))


def entries(version: dict[str, str]) -> list[ManifestEntry]:
    return [ManifestEntry(key, 1, version[key]) for key in sorted(version)]


@given(versions, versions)
def test_objects_are_counted_as_sets_would_count_them(
    was: dict[str, str], now: dict[str, str]
) -> None:
    found = moved(entries(was), entries(now))
    new = sorted(now.keys() - was.keys())
    assert found.objects == len(now)
    assert (found.added, found.newest) == (len(new), tuple(new[-NAMED:]))
    assert found.gone == len(was.keys() - now.keys())
    assert found.replaced == sum(was[key] != now[key] for key in was.keys() & now.keys())
