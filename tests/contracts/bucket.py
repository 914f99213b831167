"""What every bucket promises: subclassed with a fixture `scene` for each kind."""

from typing import ClassVar, Protocol

import pytest

from controller.buckets.protocol import Bucket, Listing, ObjectChanged
from specs.failures import NeedsHuman


class Scene(Protocol):
    """A bucket, and what people do to it."""

    bucket: Bucket

    def uri(self, path: str = "") -> str:
        """The address of the dataset, or of what is below it."""
        ...

    def put(self, key: str, text: str) -> None:
        """Write an object, a while ago."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object."""
        ...


class DatedScene(Scene, Protocol):
    """One where the time can be chosen at which an object was written."""

    def put_at(self, second: int, key: str) -> None:
        """Write an object at that second of a time that is past."""
        ...


def keys(listing: Listing) -> list[str]:
    return [entry.key for entry in listing.manifest]


class BucketContract:
    """The contract."""

    odd: ClassVar[tuple[str, ...]] = ("a b", "a%20b", "a+b", "back\\s", "h#", "q?", "ü/日本😀")
    """Names that it must know as they are."""

    async def test_it_lists_what_the_glob_admits_in_the_order_of_the_keys(
        self, scene: Scene
    ) -> None:
        for key in ("deep/er/b.csv", "a.csv", "deep-c.csv", "about.txt"):
            scene.put(key, key)
        everything = ["a.csv", "about.txt", "deep-c.csv", "deep/er/b.csv"]
        assert keys(await scene.bucket.list(scene.uri())) == everything
        assert keys(await scene.bucket.list(scene.uri("*.csv"))) == ["a.csv", "deep-c.csv"]
        listing = await scene.bucket.list(scene.uri("**/*.csv"))
        assert keys(listing) == ["a.csv", "deep-c.csv", "deep/er/b.csv"]
        assert listing.manifest.size == sum(map(len, keys(listing)))
        assert (listing.unsettled, listing.marked) == ((), None)

    async def test_a_version_is_the_same_until_something_is_written_or_deleted(
        self, scene: Scene
    ) -> None:
        scene.put("a.csv", "1")
        scene.put("b.csv", "2")

        async def version() -> str:
            return (await scene.bucket.list(scene.uri())).manifest.digest

        first = await version()
        assert await version() == first
        scene.put("b.csv", "3")
        second = await version()
        scene.delete("b.csv")
        assert len({first, second, await version()}) == 3

    async def test_the_marker_and_what_is_hidden_or_being_written_is_no_data(
        self, scene: Scene
    ) -> None:
        scene.put("a.csv", "1")
        before = await scene.bucket.list(scene.uri(), marker="_SUCCESS")
        names = (".hidden", ".x/y.csv", "b.csv.part", "c.csv~", "d.TMP", "~$book.xlsx")
        spark = ("_temporary/0/part-1.csv", "dt=1/_temporary/0/part-1.csv", "_SUCCESS")
        for key in (*names, *spark):
            scene.put(key, "x")
        after = await scene.bucket.list(scene.uri(), marker="_SUCCESS")
        assert keys(after) == keys(before) == ["a.csv"]
        assert (before.marked, after.marked) == (False, True)

    async def test_odd_names_are_listed_and_pinned(self, scene: Scene) -> None:
        odd = [f"{name}.csv" for name in self.odd]
        for key in odd:
            scene.put(key, key)
        listing = await scene.bucket.list(scene.uri())
        assert keys(listing) == odd
        pinned = await scene.bucket.pin(scene.uri(), listing.manifest)
        assert [(pinned / key).read_text() for key in odd] == odd

    async def test_what_was_pinned_stays_whatever_comes_later(self, scene: Scene) -> None:
        scene.put("a.csv", "1")
        scene.put("below/b.csv", "22")
        first = (await scene.bucket.list(scene.uri())).manifest
        pinned = await scene.bucket.pin(scene.uri(), first)
        scene.put("a.csv", "other")
        scene.delete("below/b.csv")
        assert await scene.bucket.pin(scene.uri(), first) == pinned
        files = {p.relative_to(pinned).as_posix() for p in pinned.rglob("*") if p.is_file()}
        assert files == {"a.csv", "below/b.csv"}
        assert (pinned / "a.csv").read_text() == "1"
        assert (pinned / "a.csv").stat().st_mode & 0o222 == 0

    @pytest.mark.parametrize("change", ["replaced", "deleted"])
    async def test_an_object_that_changed_after_it_was_listed_is_named(
        self, scene: Scene, change: str
    ) -> None:
        scene.put("a.csv", "1")
        scene.put("b.csv", "2")
        listed = (await scene.bucket.list(scene.uri())).manifest
        if change == "replaced":
            scene.put("b.csv", "3")
        else:
            scene.delete("b.csv")
        with pytest.raises(ObjectChanged, match=r"b\.csv"):
            await scene.bucket.pin(scene.uri(), listed)
        again = (await scene.bucket.list(scene.uri())).manifest
        assert (await scene.bucket.pin(scene.uri(), again) / "a.csv").read_text() == "1"

    async def test_a_pin_that_somebody_changed_is_made_anew(self, scene: Scene) -> None:
        scene.put("a.csv", "1")
        listed = (await scene.bucket.list(scene.uri())).manifest
        pinned = await scene.bucket.pin(scene.uri(), listed)
        pinned.chmod(0o755)
        (pinned / "a.csv").unlink()
        (pinned / "extra.csv").write_text("x")
        assert await scene.bucket.pin(scene.uri(), listed) == pinned
        assert [path.name for path in pinned.iterdir()] == ["a.csv"]

    async def test_an_empty_dataset_has_no_objects(self, scene: Scene) -> None:
        scene.put("a.csv", "1")
        assert len((await scene.bucket.list(scene.uri("*.parquet"))).manifest) == 0

    async def test_an_object_has_an_address(self, scene: Scene) -> None:
        address = scene.bucket.address(scene.uri("*.csv"), "a.csv")
        assert address == scene.uri("a.csv")

    async def test_an_address_that_leads_upwards_is_refused(self, scene: Scene) -> None:
        with pytest.raises(NeedsHuman, match=r"\.\."):
            await scene.bucket.list(scene.uri("../elsewhere"))

    async def test_copies_that_nobody_used_are_swept_but_for_versions_in_use(
        self, scene: Scene
    ) -> None:
        scene.put("a.csv", "1")
        first = (await scene.bucket.list(scene.uri())).manifest
        one = await scene.bucket.pin(scene.uri(), first)
        scene.put("a.csv", "2")
        second = (await scene.bucket.list(scene.uri())).manifest
        other = await scene.bucket.pin(scene.uri(), second)
        later = other.stat().st_ctime + 60
        assert scene.bucket.sweep({second.digest.partition(":")[2]}, later) == 1
        assert (one.exists(), other.exists()) == (False, True)


class MarkerContract:
    """What a marker means; of the buckets whose times a test can choose."""

    async def test_a_marker_counts_only_if_no_object_of_the_dataset_is_newer(
        self, scene: DatedScene
    ) -> None:
        async def marked(glob: str = "*.csv") -> bool | str:
            listing = await scene.bucket.list(scene.uri(glob), marker="_SUCCESS")
            assert listing.marked is not None
            return listing.unmarked or listing.marked

        scene.put_at(1, "a.csv")
        assert await marked() == "its marker _SUCCESS is missing"
        scene.put_at(2, "_SUCCESS")
        assert await marked() is True
        scene.put_at(3, "notes.txt")
        assert await marked() is True, "no object of the dataset"
        scene.put_at(4, "b.csv")
        stale = "its marker _SUCCESS is older than b.csv"
        assert await marked() == stale, "it is left from the delivery before"
        assert await marked("a*.csv") is True
        scene.put_at(4, "_SUCCESS")
        assert await marked() is True, "as new as the newest object is new enough"
        scene.put_at(5, "b.csv")
        assert await marked() == stale
