"""The artifact store, on a real disk; what holds for all of them, also with an S3 server behind."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controller.artifacts import Artifacts, NotStored
from controller.artifacts.opening import open_artifacts
from controller.blobs.objects import COPY_UP_TO
from specs.digests import digest
from specs.failures import NeedsHuman
from tests.servers.moto import Moto
from tests.servers.stores import settings_of

LARGE = bytes(range(256)) * (COPY_UP_TO // 256 + 1)


@pytest.fixture(params=["here", "elsewhere"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    if request.param == "here":
        return Artifacts(tmp_path / "store")
    moto: Moto = request.getfixturevalue("moto")
    request.getfixturevalue("aws")
    return open_artifacts(settings_of(moto, moto.bucket()), tmp_path / "home", "shop")


@pytest.fixture
def store(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "store")


def stored_file(tmp_path: Path, name: str) -> Path:
    hexes = name.removeprefix("sha256:")
    return tmp_path / "store" / "files" / hexes[:2] / hexes[2:]


@pytest.mark.parametrize("content", [b"", b"model", LARGE])
async def test_a_file_comes_back_as_it_was(
    any_store: Artifacts, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a").write_bytes(content)
    artifact = await any_store.put(tmp_path / "a")
    assert artifact.digest == digest(content)
    assert (artifact.size, artifact.kind) == (len(content), "file")
    assert artifact == await any_store.put_bytes(content)
    await any_store.link(artifact.digest, tmp_path / "deep" / "er" / "b")
    assert (tmp_path / "deep/er/b").read_bytes() == content
    assert (tmp_path / "deep/er/b").stat().st_mode & 0o777 == 0o444
    assert await any_store.read_bytes(artifact.digest) == content
    assert await any_store.has(artifact.digest)
    assert await any_store.verify(artifact.digest)


async def test_a_folder_comes_back_with_its_modes_and_empty_folders(
    any_store: Artifacts, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    (model / "empty" / "inner").mkdir(parents=True)
    (model / "data").mkdir()
    (model / "data" / "w.bin").write_bytes(LARGE)
    (model / "data" / "é").write_text("same")
    (model / "copy").write_text("same")
    (model / "run.sh").write_text("#!/bin/sh\n")
    (model / "run.sh").chmod(0o755)
    artifact = await any_store.put(model)
    assert artifact.kind == "folder"
    assert artifact.size == len(LARGE) + 4 + 4 + 10
    await any_store.link(artifact.digest, tmp_path / "out")
    await any_store.link(artifact.digest, tmp_path / "out")  # a step that starts again
    found = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")
    }
    assert found == {"empty", "empty/inner", "data", "data/w.bin", "data/é", "copy", "run.sh"}
    assert (tmp_path / "out/data/w.bin").read_bytes() == LARGE
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert (await any_store.put(tmp_path / "out")).digest == artifact.digest


async def test_the_digest_of_a_folder_sees_names_modes_and_content(
    any_store: Artifacts, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    seen = {(await any_store.put(model)).digest}
    (model / "a").write_text("1")
    seen.add((await any_store.put(model)).digest)
    (model / "a").chmod(0o755)
    seen.add((await any_store.put(model)).digest)
    (model / "a").rename(model / "b")
    seen.add((await any_store.put(model)).digest)
    (model / "b").write_text("2")
    seen.add((await any_store.put(model)).digest)
    assert len(seen) == 5


async def test_a_program_can_be_executed_where_it_is_put(
    any_store: Artifacts, tmp_path: Path
) -> None:
    built = tmp_path / "scorer"
    built.write_text("#!/bin/sh\necho scored\n")
    plain = await any_store.put(built)
    built.chmod(0o755)
    program = await any_store.put(built)
    assert (program.kind, program.size) == ("file", plain.size)
    assert program.digest != plain.digest  # what reads it may run it or not
    for artifact, executable in ((program, True), (plain, False), (program, True)):
        out = tmp_path / "inputs" / "scorer"
        await any_store.link(artifact.digest, out)
        assert os.access(out, os.X_OK) is executable
        assert await any_store.read_bytes(artifact.digest) == built.read_bytes()
        assert await any_store.has(artifact.digest)
        assert await any_store.verify(artifact.digest)
    assert (await any_store.put(tmp_path / "inputs" / "scorer")).digest == program.digest
    await any_store.sweep([program.digest], time.time() + 60)
    assert await any_store.read_bytes(program.digest) == built.read_bytes()


@pytest.mark.parametrize("target", ["/etc/passwd", "a", "missing", "sub"])
async def test_a_symbolic_link_is_refused_by_name(
    any_store: Artifacts, tmp_path: Path, target: str
) -> None:
    (tmp_path / "model" / "sub").mkdir(parents=True)
    (tmp_path / "model" / "a").write_text("1")
    (tmp_path / "model" / "link").symlink_to(target)
    with pytest.raises(NeedsHuman, match="model/link is a symbolic link"):
        await any_store.put(tmp_path / "model")
    with pytest.raises(NeedsHuman, match="model/link is a symbolic link"):
        await any_store.put(tmp_path / "model" / "link")


async def test_a_pipe_is_refused_and_not_waited_for(any_store: Artifacts, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NeedsHuman, match="pipe"):
        await any_store.put(tmp_path / "pipe")


@pytest.mark.parametrize("content", [b"small", LARGE])
async def test_a_step_that_overwrites_its_input_harms_no_other(
    store: Artifacts, tmp_path: Path, content: bytes
) -> None:
    name = (await store.put_bytes(content)).digest
    await store.link(name, tmp_path / "in")
    (tmp_path / "in").chmod(0o644)
    with (tmp_path / "in").open("r+b") as file:
        file.write(b"X")
    if await store.has(name):
        await store.link(name, tmp_path / "other")
        assert (tmp_path / "other").read_bytes() == content
    else:
        with pytest.raises(NotStored, match="retry"):
            await store.link(name, tmp_path / "other")
        assert (await store.put_bytes(content)).digest == name, "made again, it is whole again"
        assert await store.read_bytes(name) == content


@pytest.mark.parametrize("damage", [b"", b"MODEL", b"longer than before"])
async def test_damage_in_the_store_is_noticed_before_use(
    store: Artifacts, tmp_path: Path, damage: bytes
) -> None:
    name = (await store.put_bytes(b"model")).digest
    path = stored_file(tmp_path, name)
    path.chmod(0o644)
    path.write_bytes(damage)
    with pytest.raises(NotStored):
        await store.link(name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(NotStored):
        await store.read_bytes(name)
    assert not await store.has(name)


async def test_a_file_cut_short_by_a_power_cut_is_noticed(store: Artifacts, tmp_path: Path) -> None:
    name = (await store.put_bytes(b"model")).digest
    path = stored_file(tmp_path, name)
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not await store.has(name)


async def test_verify_sees_what_hid_its_traces(store: Artifacts, tmp_path: Path) -> None:
    name = (await store.put_bytes(b"model")).digest
    path = stored_file(tmp_path, name)
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"MODEL")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not await store.verify(name)
    assert not await store.has(name)


async def test_a_touched_but_unchanged_object_stays(store: Artifacts, tmp_path: Path) -> None:
    name = (await store.put_bytes(b"model")).digest
    stored_file(tmp_path, name).touch()
    assert await store.has(name)


async def test_a_folder_without_one_of_its_files_is_not_there(
    store: Artifacts, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_text("1")
    folder = await store.put(tmp_path / "m")
    stored_file(tmp_path, digest(b"1")).unlink()
    assert not await store.has(folder.digest)
    with pytest.raises(NotStored):
        await store.link(folder.digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


async def test_sweeping_keeps_what_is_named_and_what_is_young(
    any_store: Artifacts, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_text("in the folder")
    folder = await any_store.put(tmp_path / "m")
    kept = await any_store.put_bytes(b"kept")
    gone = await any_store.put_bytes(b"gone")
    before, after = time.time() - 60, time.time() + 60
    assert await any_store.sweep({folder.digest, kept.digest}, before) == 0, "all of it is young"
    assert await any_store.sweep({folder.digest, kept.digest}, after) in (4, 8), "here, and there"
    assert not await any_store.has(gone.digest)
    assert await any_store.has(folder.digest)
    assert await any_store.has(kept.digest)
    assert await any_store.sweep((), after) > 0
    assert not await any_store.has(folder.digest)
    assert not await any_store.has(kept.digest)


async def test_whoever_asks_whether_it_is_there_may_use_it_though_a_sweep_has_begun(
    store: Artifacts, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_text("in the folder")
    folder, file = await store.put(tmp_path / "m"), await store.put_bytes(b"file")
    began = later(stored_file(tmp_path, file.digest))
    assert await store.has(folder.digest)
    assert await store.has(file.digest)
    assert await store.sweep((), began) == 0
    await store.link(folder.digest, tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "in the folder"


def later(path: Path) -> float:
    """A moment, by the file system's clock, after the file was used last."""
    last = path.stat().st_ctime
    while True:
        time.sleep(0.002)
        (path.parent.parent / "moment").touch()
        now = (path.parent.parent / "moment").stat().st_ctime
        if now > last:
            return now


async def test_many_at_once_agree(tmp_path: Path) -> None:
    stores = [Artifacts(tmp_path / "store") for _ in range(3)]
    puts = [store.put_bytes(bytes([n % 5]) * 2000) for n in range(30) for store in stores]
    names = {artifact.digest for artifact in await asyncio.gather(*puts)}
    assert len(names) == 5
    links = [
        store.link(name, tmp_path / "same" / name[-4:]) for name in names for store in stores * 5
    ]
    await asyncio.gather(*links)
    assert len(list((tmp_path / "same").iterdir())) == 5, "and nothing temporary is left"


async def test_what_is_not_there_and_what_is_no_digest(
    any_store: Artifacts, tmp_path: Path
) -> None:
    assert not await any_store.has(digest(b"never"))
    with pytest.raises(NotStored):
        await any_store.read_bytes(digest(b"never"))
    with pytest.raises(NeedsHuman, match=r"nothing-here: No such file"):
        await any_store.put(tmp_path / "nothing-here")
    for name in ("sha256:../../etc/passwd", "", "md5:" + "0" * 64, "sha256:" + "A" * 64):
        with pytest.raises(ValueError, match="expected a digest"):
            await any_store.link(name, tmp_path / "x")


_FILLS_THE_DISK = """
import asyncio, resource, sys
from pathlib import Path
from controller.artifacts import Artifacts
from specs.failures import NeedsHuman
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
store = Artifacts(Path(sys.argv[1]))
try:
    asyncio.run(store.put_bytes(b"x" * 5000))
except NeedsHuman as error:
    print(error)
print([path for path in Path(sys.argv[1]).rglob("*") if path.is_file()])
"""


def test_a_full_disk_says_what_to_do_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FILLS_THE_DISK, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("no space left below ")
    assert "free some" in done.stdout
    assert done.stdout.endswith("[]\n")
