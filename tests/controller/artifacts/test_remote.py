"""Artifacts in an object store, on moto's S3 server: what only they must hold."""

import asyncio
import logging
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.artifacts import Artifacts, NotStored
from controller.artifacts.opening import open_artifacts, open_remote
from controller.artifacts.remote import OWNER, Damaged, StoreUnavailable
from controller.config.settings import Settings
from specs.digests import digest
from tests.servers.moto import Moto, date_object
from tests.servers.stores import settings_of

pytestmark = pytest.mark.usefixtures("aws")

OURS = "ours"
"""The identity of the controller's installation."""
LARGE = bytes(range(256)) * (12 * 2**20 // 256)
"""Larger than a part of a multi-part upload."""


class There:
    """What a bucket of its own holds."""

    def __init__(self, moto: Moto) -> None:
        self.moto, self.bucket = moto, moto.bucket()
        self.settings = settings_of(moto, self.bucket)
        self._s3: Any = moto.client("s3")

    def key(self, name: str, kind: str = "files") -> str:
        """Where an artifact is."""
        hexes = name.removeprefix("sha256:")
        return f"artifacts/{kind}/{hexes[:2]}/{hexes[2:]}"

    def names(self) -> set[str]:
        """The digests of all files and folders there."""
        found = self._s3.list_objects_v2(Bucket=self.bucket).get("Contents", ())
        keys = (each["Key"].split("/") for each in found)
        return {f"sha256:{key[2]}{key[3]}" for key in keys if len(key) == 4}

    def read(self, name: str) -> tuple[bytes, str]:
        """A file's content and its etag."""
        found = self._s3.get_object(Bucket=self.bucket, Key=self.key(name))
        return found["Body"].read(), found["ETag"]

    def replace(self, name: str, content: bytes, kind: str = "files") -> None:
        """Somebody else writes there."""
        self._s3.put_object(Bucket=self.bucket, Key=self.key(name, kind), Body=content)

    def delete(self, key: str) -> None:
        """Somebody deletes an object."""
        self._s3.delete_object(Bucket=self.bucket, Key=key)


@pytest.fixture
def there(moto: Moto) -> There:
    return There(moto)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def reopened(there: There, home: Path) -> Artifacts:
    """The store of the same home, whose cache was lost."""
    shutil.rmtree(home / "artifacts", ignore_errors=True)
    return open_artifacts(there.settings, home, OURS)


async def a_model(store: Artifacts, folder: Path) -> str:
    """A folder with two files, stored; its digest."""
    (folder / "model" / "inner").mkdir(parents=True)
    (folder / "model" / "inner" / "weights").write_bytes(b"weights")
    (folder / "model" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "model" / "run.sh").chmod(0o755)
    return (await store.put(folder / "model")).digest


async def test_a_second_machine_with_an_empty_cache_reads_what_the_first_one_stored(
    there: There, home: Path, tmp_path: Path
) -> None:
    first = open_artifacts(there.settings, home, OURS)
    model = await a_model(first, tmp_path)
    report = (await first.put_bytes(b"report")).digest
    second = open_artifacts(there.settings, tmp_path / "second")
    assert await second.has(model)
    await second.link(model, tmp_path / "out")
    assert (tmp_path / "out/inner/weights").read_bytes() == b"weights"
    assert (tmp_path / "out/run.sh").stat().st_mode & 0o100
    assert await second.read_bytes(report) == b"report"
    third = open_artifacts(there.settings, tmp_path / "third")
    await third.link(report, tmp_path / "report")
    assert (tmp_path / "report").read_bytes() == b"report"
    assert await third.verify(model)


async def test_a_large_file_goes_and_comes_in_parts(
    there: There, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    name = (await open_artifacts(there.settings, home, OURS).put(tmp_path / "large")).digest
    content, etag = there.read(name)
    assert content == LARGE
    assert "-" in etag, "the etag of a multi-part upload"
    await reopened(there, home).link(name, tmp_path / "out")
    assert digest((tmp_path / "out").read_bytes()) == name


async def test_what_is_there_already_is_not_sent_again(there: There, home: Path) -> None:
    store = open_artifacts(there.settings, home, OURS)
    name = (await store.put_bytes(b"model")).digest
    there.replace(name, b"MODEL")  # of the same size, so that nobody sees the difference
    await store.put_bytes(b"model")
    assert there.read(name)[0] == b"MODEL"


@pytest.mark.parametrize("damage", [b"", b"MODEL", b"longer than before"])
async def test_a_damaged_object_is_named_never_handed_out_and_replaced_by_the_next_run(
    there: There, home: Path, tmp_path: Path, damage: bytes
) -> None:
    name = (await open_artifacts(there.settings, home, OURS).put_bytes(b"model")).digest
    there.replace(name, damage)
    store = reopened(there, home)
    with pytest.raises(Damaged, match=r"is damaged: the content of s3://.* `retry`"):
        await store.link(name, tmp_path / "out")
    with pytest.raises(NotStored):
        await store.read_bytes(name)
    assert not await store.has(name), "so the step runs again"
    assert not (tmp_path / "out").exists()
    assert not [path for path in (home / "artifacts").rglob("*") if path.is_file()]
    assert (await store.put_bytes(b"model")).digest == name
    assert there.read(name)[0] == b"model"


async def test_a_folder_that_lacks_a_file_there_is_not_there(
    there: There, home: Path, tmp_path: Path
) -> None:
    model = await a_model(open_artifacts(there.settings, home, OURS), tmp_path)
    there.delete(there.key(digest(b"weights")))
    store = reopened(there, home)
    assert not await store.has(model)
    with pytest.raises(NotStored):
        await store.link(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


async def test_what_was_damaged_in_the_cache_comes_from_there_again(
    there: There, home: Path, tmp_path: Path
) -> None:
    store = open_artifacts(there.settings, home, OURS)
    name = (await store.put_bytes(b"model")).digest
    [cached] = (home / "artifacts/files").glob("??/*")
    cached.chmod(0o644)
    cached.write_bytes(b"MODEL!")
    await store.link(name, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"model"


async def test_a_store_that_is_away_loses_nothing_and_counts_for_nothing(
    own_moto: Moto, home: Path, tmp_path: Path
) -> None:
    there = There(own_moto)
    store = open_artifacts(there.settings, home, OURS)
    kept = (await store.put_bytes(b"kept")).digest
    own_moto.stop()
    with pytest.raises(
        StoreUnavailable, match=r"the store of `artifacts` is unreachable: .* cannot be reached"
    ):
        await store.put_bytes(b"made meanwhile")
    with pytest.raises(StoreUnavailable):
        await store.has(digest(b"never asked for"))
    with pytest.raises(StoreUnavailable):
        await store.sweep((), time.time() + 60)
    assert await store.read_bytes(kept) == b"kept", "what is in the cache is at hand"
    own_moto.start()
    made = (await store.put_bytes(b"made meanwhile")).digest
    assert there.names() == {kept, made}


async def test_a_bucket_that_is_gone_is_away_and_not_empty(there: There, home: Path) -> None:
    settings = settings_of(there.moto, "no-such-bucket")
    store = open_artifacts(settings, home, OURS)
    with pytest.raises(StoreUnavailable, match="no such bucket"):
        await store.has(digest(b"x"))
    with pytest.raises(StoreUnavailable, match="no such bucket"):
        await store.put_bytes(b"x")
    with pytest.raises(StoreUnavailable, match="no such bucket"):
        await store.sweep((), time.time() + 60)


async def test_another_controller_at_the_same_prefix_reads_but_neither_writes_nor_sweeps(
    there: There, home: Path, tmp_path: Path
) -> None:
    ours = open_artifacts(there.settings, home, OURS)
    name = (await ours.put_bytes(b"ours")).digest
    theirs = open_artifacts(there.settings, tmp_path / "theirs", "theirs")
    assert await theirs.read_bytes(name) == b"ours"
    for refused in (theirs.put_bytes(b"theirs"), theirs.sweep((), time.time() + 60)):
        with pytest.raises(StoreUnavailable, match="belongs to another controller"):
            await refused
    assert there.names() == {name}
    there.delete(f"artifacts/{OWNER}")  # as the message says to do, to take over
    kept = (await theirs.put_bytes(b"theirs")).digest
    assert there.names() == {name, kept}
    with pytest.raises(StoreUnavailable, match="belongs to another controller"):
        await ours.sweep((), time.time() + 60)
    assert there.names() == {name, kept}


async def test_of_those_who_begin_at_once_one_owns_the_prefix(there: There, tmp_path: Path) -> None:
    homes = [tmp_path / f"home-{n}" for n in range(6)]
    stores = [open_artifacts(there.settings, each, each.name) for each in homes]
    ends = await asyncio.gather(
        *(each.put_bytes(b"%d" % n) for n, each in enumerate(stores)), return_exceptions=True
    )
    wrote = [end for end in ends if not isinstance(end, BaseException)]
    assert len(wrote) == 1
    assert all(isinstance(end, StoreUnavailable) for end in ends if isinstance(end, BaseException))
    assert there.names() == {wrote[0].digest}


async def test_many_writers_of_one_home_agree(there: There, home: Path) -> None:
    stores = [open_artifacts(there.settings, home, OURS) for _ in range(3)]
    puts = [store.put_bytes(bytes([n % 5]) * 2000) for n in range(15) for store in stores]
    names = {artifact.digest for artifact in await asyncio.gather(*puts)}
    assert there.names() == names
    for name in names:
        assert digest(there.read(name)[0]) == name


async def test_sweeping_there_keeps_what_a_kept_folder_holds_though_the_cache_is_empty(
    there: There, home: Path, tmp_path: Path
) -> None:
    store = open_artifacts(there.settings, home, OURS)
    model = await a_model(store, tmp_path)
    gone = (await store.put_bytes(b"gone")).digest
    young, old = time.time() - 60, time.time() + 60
    files = {digest(b"weights"), digest(b"#!/bin/sh\n")}
    store = reopened(there, home)
    assert await store.sweep({model}, young) == 0
    assert there.names() == {model, gone, *files}, "it is young"
    store = reopened(there, home)
    assert await store.sweep({model}, old) == len(b"gone")
    assert there.names() == {model, *files}
    await reopened(there, home).sweep((), old)
    assert there.names() == set()


async def test_what_was_stored_before_there_was_a_store_is_brought_there_by_the_next_sweep(
    there: There, home: Path, tmp_path: Path
) -> None:
    before = Artifacts(home / "artifacts")
    model = await a_model(before, tmp_path)
    report = (await before.put_bytes(b"report")).digest
    store = open_artifacts(there.settings, home, OURS)
    assert await store.has(model)
    await store.sweep({model}, time.time() - 60)
    assert there.names() == {model, report, digest(b"weights"), digest(b"#!/bin/sh\n")}
    there.delete(there.key(report))
    await store.sweep({model}, time.time() - 60)
    assert await reopened(there, home).read_bytes(report) == b"report"


async def test_after_a_change_of_address_what_is_here_is_read_and_brought_to_the_new_one(
    there: There, home: Path, tmp_path: Path
) -> None:
    model = await a_model(open_artifacts(there.settings, home, OURS), tmp_path)
    moved = there.settings.model_copy(update={"artifacts": f"{there.settings.artifacts}-moved"})
    store = open_artifacts(moved, home, OURS)
    assert await store.has(model)
    new = (await store.put_bytes(b"report")).digest
    await store.sweep({model, new}, time.time() - 60)
    shutil.rmtree(home / "artifacts")
    assert await open_artifacts(moved, home, OURS).has(model)
    old = open_artifacts(there.settings, tmp_path / "reader")
    assert await old.has(model), "at the old address nothing is taken away"
    assert not await old.has(new), "nor added"


async def test_what_is_asked_for_while_a_sweep_goes_on_stays_there(
    there: There, home: Path
) -> None:
    wanted = digest(b"wanted")
    await open_artifacts(there.settings, home, OURS).put_bytes(b"wanted")
    await open_artifacts(there.settings, home, OURS).put_bytes(b"not wanted")
    remote = open_remote(there.settings, OURS)
    assert remote is not None
    with remote.sweeping() as found:
        assert found["files"].keys() == {wanted, digest(b"not wanted")}
        remote.ask([wanted])
        assert remote.discard("files", sorted(found["files"]), spare=lambda _: False) == {
            digest(b"not wanted")
        }
    assert there.names() == {wanted}


async def test_what_another_controller_of_the_installation_is_about_to_use_is_not_swept(
    there: There, home: Path, tmp_path: Path
) -> None:
    """Who sweeps sees how old things are there, and not that another uses them."""
    settings = there.settings.model_copy(update={"controllers": "several"})
    user, leader = (open_artifacts(settings, tmp_path / each, OURS) for each in ("user", "leader"))
    model = await a_model(user, tmp_path)
    again, unused = [(await user.put_bytes(each)).digest for each in (b"again", b"unused")]
    shutil.rmtree(tmp_path / "leader", ignore_errors=True)
    user = open_artifacts(settings, tmp_path / "user", OURS)  # it remembers nothing of their ages
    keep = settings.keep.total_seconds()
    for name in there.names():
        kind = "folders" if name == model else "files"
        written = datetime.now(UTC) - timedelta(seconds=keep + 60)
        date_object(there.bucket, there.key(name, kind), written.replace(tzinfo=None))
    assert await user.has(model)
    assert (await user.put_bytes(b"again")).digest == again
    assert await user.sweep((), time.time() + 60, only_here=True) > 0, "its own cache"
    await leader.sweep((), time.time() - keep)
    assert there.names() == {model, again, digest(b"weights"), digest(b"#!/bin/sh\n")}
    assert unused not in there.names()


async def test_what_strangers_keep_at_the_prefix_is_left_alone(there: There, home: Path) -> None:
    store = open_artifacts(there.settings, home, OURS)
    await store.put_bytes(b"x")
    there.moto.client("s3").put_object(Bucket=there.bucket, Key="artifacts/files/README", Body=b"?")
    await store.sweep((), time.time() + 60)
    found = there.moto.client("s3").list_objects_v2(Bucket=there.bucket)["Contents"]
    assert {each["Key"] for each in found} == {"artifacts/files/README", f"artifacts/{OWNER}"}


async def test_refused_credentials_are_tried_again_and_no_answer_is_repeated(
    there: There, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_artifacts(there.settings, home, OURS)
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-this")
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreUnavailable, match="nobody-has-this"):
        await store.put_bytes(b"x")
    monkeypatch.delenv("AWS_PROFILE")
    assert (await store.put_bytes(b"x")).digest in there.names()


async def test_an_upload_that_outlasts_the_patience_of_who_began_it_goes_on(
    there: There, home: Path, tmp_path: Path
) -> None:
    store = open_artifacts(there.settings, home, OURS)
    (tmp_path / "large").write_bytes(LARGE)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await store.put(tmp_path / "large")
    stored = await store.put(tmp_path / "large")
    assert there.read(stored.digest)[0] == LARGE


def test_an_address_that_is_in_no_object_store_is_refused_with_the_settings() -> None:
    repositories = [{"name": "team", "url": "remote.git"}]
    with pytest.raises(ValueError, match="expected an address that begins with s3://"):
        Settings.model_validate({"repositories": repositories, "artifacts": "file:///data"})
