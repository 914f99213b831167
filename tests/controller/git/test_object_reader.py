"""The process that reads objects stays, and nothing that happens to it is seen by readers."""

import asyncio
import gc
import os
import signal
import weakref
from pathlib import Path

import pytest

from controller.git import Mirror
from controller.git.command import Corrupt, Remote
from controller.git.object_reader import ObjectReader
from specs.failures import NeedsHuman, TryAgain
from tests.controller.git.counting import git_processes, readers_of
from tests.controller.git.git_server import Person, run_git


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    return Person(tmp_path / "ada")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mirror.git"


@pytest.fixture
def mirror(ada: Person, folder: Path) -> Mirror:
    return Mirror(str(ada.remote), folder)


def of(ada: Person) -> ObjectReader:
    """A reader of the remote itself."""
    return ObjectReader(Remote(str(ada.remote)), ada.remote)


async def test_one_process_reads_all_commits_also_those_that_are_fetched_later(
    ada: Person, mirror: Mirror, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ada.push({"a": "1", "sub/b": "b"})
    await mirror.fetch()
    with git_processes(monkeypatch) as started:
        for _ in range(3):
            assert await mirror.read(first, "a") == b"1"
            assert await mirror.read(first, "sub/b") == b"b"
            assert await mirror.files(first)
    assert started == {"cat-file": 1, "ls-tree": 1}
    with git_processes(monkeypatch) as started:
        for number in range(3):
            sha = ada.push({"a": str(number)})
            await mirror.fetch()
            run_git(folder, "gc", "-q", "--prune=now")  # packs that it has open go
            assert await mirror.has(sha)
            assert await mirror.read(sha, "a") == str(number).encode()
            assert b"Change" in await mirror.commit_object(sha)
            assert await mirror.tree(sha) == run_git(ada.clone, "rev-parse", "HEAD^{tree}")
    assert started == {"fetch": 3}
    assert len(readers_of(folder)) == 1
    await mirror.close()
    assert readers_of(folder) == []


async def test_a_commit_that_several_ask_for_at_once_is_listed_once(
    ada: Person, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = ada.push({"a": "1"})
    await mirror.fetch()
    with git_processes(monkeypatch) as started:
        lists = await asyncio.gather(*(mirror.files(sha) for _ in range(8)))
    assert started["ls-tree"] == 1
    assert all(one is lists[0] for one in lists)


async def test_a_process_that_is_killed_is_started_again(
    ada: Person, mirror: Mirror, folder: Path
) -> None:
    sha = ada.push({"a": "1"})
    assert await mirror.read(sha, "a") == b"1"
    (reader,) = readers_of(folder)
    os.kill(reader, signal.SIGKILL)
    assert await mirror.read(sha, "a") == b"1"
    assert reader not in readers_of(folder)
    assert len(readers_of(folder)) == 1


async def test_a_reader_that_is_cancelled_leaves_no_half_answer_for_the_next(ada: Person) -> None:
    texts = {f"f{number}": f"{number} " * 20_000 for number in range(8)}
    sha = ada.push({**texts, "small": "s"})
    objects = of(ada)
    names = [f"{sha}:{name}" for name in texts]
    for wait in range(20):
        reading = asyncio.ensure_future(objects.ask(names * 10, 1 << 20))
        for _ in range(wait):
            await asyncio.sleep(0)
        reading.cancel()
        (found,) = await objects.ask((f"{sha}:small",), 10)
        assert found is not None
        assert found.content == b"s"
        assert (await asyncio.gather(reading, return_exceptions=True))[0] is not None
    assert len(readers_of(ada.remote)) == 1
    await objects.close()


async def test_a_process_that_hangs_is_ended_with_its_reader_told(
    ada: Person, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = ada.push({"a": "1"})
    objects = of(ada)
    assert await objects.ask((sha,))
    (reader,) = readers_of(ada.remote)
    os.kill(reader, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr("controller.git.object_reader.TIMEOUT", 0.2)
        with pytest.raises(TryAgain, match="did not finish within"):
            await objects.ask((sha,))
    assert (await objects.ask((sha,)))[0] is not None
    (other,) = readers_of(ada.remote)
    assert other != reader
    os.kill(other, signal.SIGSTOP)
    waiting = asyncio.ensure_future(objects.ask((sha,)))
    await asyncio.sleep(0)
    waiting.cancel()
    await objects.close()
    assert readers_of(ada.remote) == []


async def test_what_is_too_large_or_no_file_has_no_content(ada: Person) -> None:
    (ada.clone / "link").symlink_to("sub/b")
    (ada.clone / "out").symlink_to("/etc/passwd")
    (ada.clone / "lost").symlink_to("no where")
    sha = ada.push({"sub/b": "12345", "odd missing": "1"})
    objects = of(ada)
    names = ("sub/b", "link", "out", "lost", "odd missing", "none missing", "sub", "sub/b/c")
    found = await objects.ask([f"{sha}:{name}" for name in names], 4)
    assert [one and (one.kind, one.content) for one in found] == [
        ("blob", None),
        ("blob", None),
        None,
        None,
        ("blob", b"1"),
        None,
        ("tree", None),
        None,
    ]
    await objects.close()


async def test_a_damaged_mirror_is_told_of_and_its_reader_ends(ada: Person) -> None:
    sha = ada.push({"a": "1"})
    run_git(ada.remote, "gc", "-q")
    objects = of(ada)
    assert (await objects.ask((f"{sha}:a",)))[0] is not None
    (pack,) = ada.remote.glob("objects/pack/*.pack")
    pack.chmod(0o644)
    os.truncate(pack, 40)
    with pytest.raises(Corrupt):
        await objects.ask((f"{sha}:a",), 10)
    assert readers_of(ada.remote) == []


async def test_a_mirror_that_is_cloned_again_is_read_by_another_process(
    ada: Person, mirror: Mirror, folder: Path
) -> None:
    sha = ada.push({"a": "1"})
    assert await mirror.read(sha, "a") == b"1"
    (before,) = readers_of(folder)
    (folder / "HEAD").write_text("rubbish")
    await mirror.ensure()
    assert readers_of(folder) == []
    assert await mirror.read(sha, "a") == b"1"
    assert before not in readers_of(folder)


async def test_a_reader_that_nobody_closes_ends_with_its_last_reference(
    ada: Person,
) -> None:
    objects = of(ada)
    assert await objects.ask(("HEAD",)) == [None]
    assert len(readers_of(ada.remote)) == 1
    gone = weakref.ref(objects)
    del objects
    gc.collect()
    assert gone() is None
    assert readers_of(ada.remote) == []


async def test_without_git_the_fix_is_named(
    ada: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NeedsHuman, match="install git 2"):
        await of(ada).ask(("HEAD",))
