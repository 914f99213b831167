"""Digests, manifests, names and globs."""

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.digests import Json, Manifest, ManifestEntry, canonical_json, digest, short
from specs.globs import admits, matches
from specs.names import is_part_name, is_pipeline_name, slug
from tests.specs.steady import steady

ENTRIES = st.lists(
    st.builds(ManifestEntry, st.text(), st.integers(0, 1 << 50), st.text()),
    unique_by=lambda entry: entry.key,
)


@pytest.fixture(name="month")
def _month() -> ManifestEntry:
    return ManifestEntry("2013-01.parquet", 10, "v1")


def test_the_digest_of_nothing_is_the_one_of_sha256() -> None:
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert short(digest(b"")) == "e3b0c44298fc"


def test_canonical_json_is_one_text_per_value() -> None:
    assert (
        canonical_json({"b": 1, "a": ["é", None, True]}) == '{"a":["é",null,true],"b":1}'.encode()
    )
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@steady
@given(JSON)
def test_canonical_json_keeps_the_value(value: Json) -> None:
    assert json.loads(canonical_json(value)) == value


def test_numbers_that_json_lacks_are_rejected() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(float("nan"))


@steady
@given(ENTRIES, st.randoms(use_true_random=False))
def test_a_manifest_has_one_digest_whatever_the_order_of_the_listing(
    entries: list[ManifestEntry], random: Random
) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)
    one, other = Manifest(tuple(entries)), Manifest(tuple(shuffled))
    assert one == other
    assert one.digest == other.digest


def test_a_manifest_changes_with_each_part_of_an_object(month: ManifestEntry) -> None:
    others = [
        ManifestEntry("2013-02.parquet", 10, "v1"),
        ManifestEntry("2013-01.parquet", 11, "v1"),
        ManifestEntry("2013-01.parquet", 10, "v2"),
    ]
    digests = {Manifest((entry,)).digest for entry in (month, *others)}
    assert len(digests) == 4
    assert Manifest(()).digest not in digests


def test_a_manifest_does_not_run_parts_together() -> None:
    one = Manifest((ManifestEntry("a", 1, "2b"),))
    other = Manifest((ManifestEntry("a", 12, "b"),))
    assert one.digest != other.digest


def test_a_manifest_with_a_duplicate_key_is_rejected(month: ManifestEntry) -> None:
    with pytest.raises(ValueError, match="more than once"):
        Manifest((month, ManifestEntry(month.key, 11, "v2")))


def test_a_manifest_knows_its_size(month: ManifestEntry) -> None:
    assert Manifest((month, ManifestEntry("b", 5, ""))).size == 15


@steady
@given(st.text())
def test_a_slug_is_a_valid_name_and_idempotent(text: str) -> None:
    assert is_pipeline_name(slug(text))
    assert slug(slug(text)) == slug(text)


def test_names_fit_into_branches_and_placeholders() -> None:
    assert slug("Flight Delay!") == "flight-delay"
    assert is_pipeline_name("flight-delay")
    assert not any(is_pipeline_name(text) for text in ("", "-a", "a-", "A", "a_b", "a\n", "a" * 64))
    assert is_part_name("max_depth")
    assert not any(is_part_name(text) for text in ("", "1a", "a.b", "a b", "a\n", "a" * 64))


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("train.py", "train.py", True),
        ("train.py", "sub/train.py", False),
        ("*.py", "train.py", True),
        ("*.py", "sub/train.py", False),
        ("**/*.py", "train.py", True),
        ("**/*.py", "a/b/train.py", True),
        ("features/**", "features/a/b.sql", True),
        ("features/**", "features", False),
        ("features/", "features/a.sql", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/x/y/c", False),
        ("**", "anything/at/all", True),
        ("month-[01]?.csv", "month-12.csv", True),
    ],
)
def test_globs_match_paths(glob: str, path: str, expected: bool) -> None:
    assert matches(glob, path) is expected


def test_the_last_matching_glob_decides() -> None:
    globs = ("**", "!docs/**", "docs/api.md")
    assert admits(globs, "train.py")
    assert not admits(globs, "docs/a.md")
    assert admits(globs, "docs/api.md")
    assert not admits((), "train.py")


def test_a_hostile_glob_does_not_take_exponential_time() -> None:
    assert not matches("**/a/" * 40 + "b", "/".join(["a"] * 200))


def as_written(parts: Sequence[str], path: Sequence[str]) -> bool:
    """What `matches` means: `**` is any number of folders, and at the end of a glob at least one
    part; each other part of a glob matches one part of a path."""
    if not parts or not path:
        return not parts and not path
    if parts[0] == "**":
        return as_written(parts[1:], path) or (
            as_written(parts, path[1:]) or as_written(parts[1:], path[1:])
        )
    return fnmatchcase(path[0], parts[0]) and as_written(parts[1:], path[1:])


GLOB_PARTS = st.lists(
    st.sampled_from(["**", "*", "a", "b", "a*", "?", "", "[ab]", "*.c", "***", "[!a]", "\n"]),
    min_size=1,
    max_size=6,
)
PATH_PARTS = st.lists(
    st.sampled_from(["a", "b", "ab", "", "a.c", "[", "c", "a\nb", "\n"]), min_size=1, max_size=6
)


@steady
@given(GLOB_PARTS, PATH_PARTS)
def test_a_glob_means_what_its_parts_mean(parts: list[str], path: list[str]) -> None:
    is_folder = parts[-1] == "" and len(parts) > 1  # `a/` is everything below
    whole = [*parts[:-1], "**"] if is_folder else parts
    assert matches("/".join(parts), "/".join(path)) is as_written(whole, path)
