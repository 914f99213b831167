"""An installation keeps its identity with its state, wherever that goes and whoever asks."""

import asyncio
from pathlib import Path

from controller.store.addresses import Address
from controller.store.backup import back_up, restore
from controller.store.copying import copy
from controller.store.identity import COPY, ensure_identity, read_identity
from controller.store.opening import open_reader, open_store
from tests.controller.store.test_transfer import Make, make

__all__ = ["make"]


async def identity(address: Address, home: Path) -> str:
    """What a controller gets that begins."""
    store = await open_store(address)
    try:
        return await ensure_identity(store, home, 1.0)
    finally:
        await store.close()


async def stored(address: Address) -> str | None:
    """What a command sees."""
    reader = open_reader(address)
    try:
        return await read_identity(reader)
    finally:
        await reader.close()


def test_it_is_made_once_and_is_the_same_for_who_comes_later(make: Make, tmp_path: Path) -> None:
    state = make("state")
    first = asyncio.run(identity(state, tmp_path / "first"))
    assert len(first) == 16
    assert asyncio.run(identity(state, tmp_path / "without-a-disk")) == first
    assert asyncio.run(stored(state)) == first
    assert asyncio.run(identity(make("other"), tmp_path / "other")) != first


def test_controllers_that_begin_at_once_agree(make: Make, tmp_path: Path) -> None:
    state = make("state")
    homes = [tmp_path / f"home-{n}" for n in range(6)]
    for n, home in enumerate(homes[:3]):
        home.mkdir()
        (home / COPY).write_text(f"file-{n}")

    async def begin() -> list[str]:
        stores = [await open_store(state) for _ in homes]
        try:
            pairs = zip(stores, homes, strict=True)
            return await asyncio.gather(*(ensure_identity(*pair, 1.0) for pair in pairs))
        finally:
            for store in stores:
                await store.close()

    found = set(asyncio.run(begin()))
    assert len(found) == 1
    assert {(home / COPY).read_text() for home in homes} == found, "files follow the state"


def test_that_of_a_home_folder_of_an_older_version_is_taken_over(
    make: Make, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / COPY).write_text("0123456789abcdef")
    assert asyncio.run(identity(make("state"), home)) == "0123456789abcdef"
    assert asyncio.run(identity(make("lost and made anew"), home)) == "0123456789abcdef"


def test_it_goes_where_the_state_goes(make: Make, tmp_path: Path) -> None:
    state, moved, anew, file = make("state"), make("moved"), make("anew"), tmp_path / "saved.db"
    first = asyncio.run(identity(state, tmp_path / "first"))
    copy(state, moved)
    back_up(moved, file)
    restore(file, anew, replace=False)
    for each in (moved, anew):
        assert asyncio.run(identity(each, tmp_path / "elsewhere")) == first


def test_a_restored_state_replaces_the_identity_of_the_one_that_was_there(
    make: Make, tmp_path: Path
) -> None:
    ours, theirs, file = make("ours"), make("theirs"), tmp_path / "saved.db"
    first = asyncio.run(identity(ours, tmp_path / "ours"))
    assert asyncio.run(identity(theirs, tmp_path / "theirs")) != first
    back_up(ours, file)
    restore(file, theirs, replace=True)
    assert asyncio.run(identity(theirs, tmp_path / "theirs")) == first
