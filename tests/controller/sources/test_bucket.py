"""What only the watched datasets have: one watch for all, and no failure of it loses a change."""

import asyncio
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from controller.machine.core import Key
from controller.sources import bucket
from controller.sources.bucket import DatasetSource, WatchedDataset
from tests.contracts.source import hint
from tests.controller.sources.looking import lake, looks, watching

ROOT = Path(__file__).parents[3]


async def quiet(waiting: "asyncio.Future[Key]") -> None:
    """Nothing is hinted at for a while."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.3)


def pending(keys: AsyncIterator[Key]) -> "asyncio.Task[Key]":
    """The next hint, which the source is asked for now."""
    return asyncio.ensure_future(hint(keys))


async def test_reading_the_data_hints_at_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    folder.mkdir()
    (folder / "a.parquet").write_text("x")
    keys = watching(folder, tmp_path / "home").keys()
    await hint(keys)
    waiting = pending(keys)
    await asyncio.sleep(0.05)  # lets the source wait; the order of events decides, not this time
    for _ in range(20):
        assert (folder / "a.parquet").read_text() == "x"
    await quiet(waiting)
    (folder / "b.parquet").write_text("y")
    assert str(await waiting) == "pipeline/fares"


async def test_what_is_no_data_hints_at_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    folder.mkdir()
    keys = watching(folder, tmp_path / "home").keys()
    await hint(keys)
    waiting = pending(keys)
    (folder / "a.csv.tmp").write_text("x")
    await quiet(waiting)
    (folder / "a.csv.tmp").rename(folder / "a.csv")
    await waiting


async def test_what_the_pipeline_listed_meanwhile_is_no_news(tmp_path: Path) -> None:
    folder, look = tmp_path / "lake", looks(tmp_path / "home")
    folder.mkdir()
    source = DatasetSource(look, 3600.0, debounce=0.05)
    source.follow("fares", [lake(folder)])
    source.listed("fares", lake(folder), await look(lake(folder)))
    keys = source.keys()
    waiting = pending(keys)
    await quiet(waiting)
    (folder / "a.csv").write_text("x")
    await waiting


@pytest.mark.parametrize("shared", [False, True])
async def test_what_a_pipeline_lists_is_a_look_at_data_that_it_alone_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    now = 0.0
    monkeypatch.setattr(bucket, "monotonic", lambda: now)
    looked: Counter[str] = Counter()

    async def look(dataset: WatchedDataset) -> object:
        looked[dataset.uri] += 1
        return "what it holds"

    # With one thread, what is due first is looked at first.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    source = DatasetSource(look, 3600.0)
    keys = source.keys()
    (tmp_path / "its").mkdir()
    its = lake(tmp_path / "its")
    source.follow("fares", [its])
    if shared:
        source.follow("tips", [its])

    async def wake() -> None:
        """Have it look at what is due, of which the data of a new pipeline is the last."""
        nonlocal now
        name = f"at {now}"
        (tmp_path / name).mkdir()
        source.follow(name, [lake(tmp_path / name)])
        now += 1.0
        while (await hint(keys)).name != name:
            pass

    await wake()
    assert looked[its.uri] == 1
    now += 3000.0
    source.listed("fares", its, "what it holds")
    now += 3590.0  # the look before was 6,590 s ago, and the listing 3,590 s
    await wake()
    assert looked[its.uri] == (2 if shared else 1)
    now += 20.0
    await wake()
    assert looked[its.uri] == 2
    await keys.aclose()  # type: ignore[attr-defined]


async def test_a_pipeline_may_have_two_names_for_a_dataset_and_drop_both(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    source = DatasetSource(looks(tmp_path / "home"), 3600.0, debounce=0.01)
    source.follow("fares", [lake(tmp_path / "lake"), lake(tmp_path / "lake")])
    source.follow("fares", [])
    source.follow("fares", [lake(tmp_path / "lake")])
    keys = source.keys()
    await hint(keys)
    waiting = pending(keys)
    (tmp_path / "lake" / "a.csv").write_text("x")
    await waiting


async def test_a_look_finds_what_no_event_told(tmp_path: Path) -> None:
    folder, outside = tmp_path / "lake", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    source = DatasetSource(looks(tmp_path / "home"), 0.2, debounce=0.01)
    source.follow("fares", [WatchedDataset(str(folder), folder=outside)])  # watches elsewhere
    keys = source.keys()
    await hint(keys)
    (folder / "a.csv").write_text("x")
    await hint(keys)
    await keys.aclose()  # type: ignore[attr-defined]


async def test_a_look_that_raises_is_logged_once_and_made_again_and_harms_no_other() -> None:
    bad, good = WatchedDataset("s3://bad/*"), WatchedDataset("s3://good/*")
    looked: Counter[str] = Counter()
    told: list[tuple[str, str | None]] = []
    three, repaired = asyncio.Event(), asyncio.Event()

    async def look(dataset: WatchedDataset) -> object:
        looked[dataset.uri] += 1
        if looked[bad.uri] > 2:
            three.set()
        if dataset == bad and not repaired.is_set():
            raise OSError("the disk is at fault")
        return looked[good.uri] if dataset == good else "what it holds"

    source = DatasetSource(look, 0.01, lambda *said: told.append(said), debounce=0.0)
    source.follow("fares", [bad])
    source.follow("trips", [good])
    why = "s3://bad/*: internal error (OSError); see Headgate's log"
    keys = source.keys()
    with capture_logs() as logged:
        async with asyncio.timeout(30):
            while not three.is_set() or looked[good.uri] < 3:
                assert await hint(keys) == Key("pipeline", "trips")
            repaired.set()
            while await hint(keys) != Key("pipeline", "fares"):
                pass
    await keys.aclose()  # type: ignore[attr-defined]
    assert [line["dataset"] for line in logged] == [bad.uri]
    assert ("trips", None) in told
    of_fares = [said for pipeline, said in told if pipeline == "fares"]
    assert of_fares[:3] == [why] * 3
    assert of_fares[-1] is None


async def test_a_folder_that_is_made_after_the_start_waits_for_no_poll(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    source = watching(folder, tmp_path / "home", fallback_interval=3600.0)
    keys = source.keys()
    await hint(keys)
    assert "cannot be watched" in (source.problem or "")
    waiting = pending(keys)
    (folder / "day=1").mkdir(parents=True)
    await waiting
    assert source.problem is None
    waiting = pending(keys)
    (folder / "day=1" / "a.csv").write_text("x")
    await waiting


def deleted_and_made_again(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def replaced(folder: Path) -> None:
    folder.rename(folder.with_name("old"))
    (folder.with_name("new") / "sub").mkdir(parents=True)
    folder.with_name("new").rename(folder)


def nothing(folder: Path) -> None:
    assert folder.is_dir()


def filled(folder: Path) -> None:
    (folder / "day=1" / "hour=1").mkdir(parents=True)


def moved_within(folder: Path) -> None:
    (folder / "old").mkdir()
    (folder / "old").rename(folder / "day=1")


@pytest.mark.parametrize(
    "happens", [nothing, deleted_and_made_again, replaced, filled, moved_within]
)
async def test_it_goes_on_watching_whatever_becomes_of_the_folder(
    tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    folder = tmp_path / "lake"
    folder.mkdir()
    source = watching(folder, tmp_path / "home")
    keys = source.keys()
    await hint(keys)
    waiting = pending(keys)
    happens(folder)
    (folder / "a.csv").write_text("x")
    await waiting
    for below in [folder, *(each for each in sorted(folder.rglob("*")) if each.is_dir())]:
        waiting = pending(keys)
        await quiet(waiting)
        (below / "b.csv").write_text("y")
        await waiting
    await keys.aclose()  # type: ignore[attr-defined]


async def test_a_folder_that_left_is_not_watched_any_more(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    (folder / "day=1").mkdir(parents=True)
    (folder / "day=1" / "a.csv").write_text("x")
    keys = watching(folder, tmp_path / "home").keys()
    await hint(keys)
    waiting = pending(keys)
    (folder / "day=1").rename(tmp_path / "elsewhere")
    await waiting
    assert watches() == 1
    await keys.aclose()  # type: ignore[attr-defined]


def inotify_instances() -> list[str]:
    """What the kernel says about this process's instances: a line for each watch."""
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if str(handle.readlink()) == "anon_inode:inotify":
                found.append(Path(f"/proc/self/fdinfo/{handle.name}").read_text())
    return found


def watches() -> int:
    return sum(text.count("inotify wd:") for text in inotify_instances())


async def test_300_folders_have_one_watch_each_and_one_thread_in_all(tmp_path: Path) -> None:
    source = DatasetSource(looks(tmp_path / "home"), 3600.0, debounce=0.01)
    before = set(threading.enumerate())
    for number in range(300):
        folder = tmp_path / "lake" / str(number)
        folder.mkdir(parents=True)
        # Two pipelines with the same folder, by one glob and by two.
        source.follow(f"first-{number}", [lake(folder)])
        source.follow(f"second-{number}", [lake(folder)])
        source.follow(f"third-{number}", [WatchedDataset(f"{folder}/*.csv", folder=folder)])
    keys = source.keys()
    hinted = {(await hint(keys)).name for _ in range(900)}
    assert len(hinted) == 900
    assert len(inotify_instances()) == 1
    assert watches() == 300
    own = [t for t in set(threading.enumerate()) - before if not t.name.startswith("asyncio_")]
    assert len(own) == 1
    waiting = pending(keys)
    (tmp_path / "lake" / "7" / "a.csv").write_text("x")
    hinted = {(await waiting).name, (await hint(keys)).name, (await hint(keys)).name}
    assert hinted == {"first-7", "second-7", "third-7"}
    for number in range(300):
        for which in ("first", "second", "third"):
            source.follow(f"{which}-{number}", [])
    source.follow("last", [lake(tmp_path / "lake" / "8")])
    await hint(keys)
    async with asyncio.timeout(30):
        while watches() > 1:  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.01)
    await keys.aclose()  # type: ignore[attr-defined]
    assert not inotify_instances()


_WITHOUT_FILE_HANDLES = """
import asyncio, os, resource, sys
from pathlib import Path
import structlog
from controller.sources import bucket
from controller.sources.bucket import DatasetSource, WatchedDataset

async def main():
    looks = 0

    async def look(dataset):
        nonlocal looks
        looks += 1
        return looks

    source = DatasetSource(look, 3600.0, fallback_interval=0.05)
    source.follow("fares", [WatchedDataset(folder=Path(sys.argv[1]))])
    keys = source.keys()
    await asyncio.to_thread(structlog.get_logger().info, "all that is imported late is here now")
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest + 10))
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    print([str(await anext(keys)) for _ in range(3)])
    print(source.problem)
    await keys.aclose()

asyncio.run(main())
"""


def test_without_watches_it_polls_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_FILE_HANDLES, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert "['pipeline/fares', 'pipeline/fares', 'pipeline/fares']" in done.stdout, done.stderr
    assert "raise `ulimit -n`" in done.stdout
    assert "polling instead of watching" in done.stdout + done.stderr


_WITH_FEW_WATCHES = """
import asyncio, sys
from pathlib import Path
from controller.sources import bucket
from controller.sources.bucket import DatasetSource
from tests.controller.sources.looking import lake, looks

async def main(top):
    source = DatasetSource(looks(top / "home"), 3600.0, debounce=0.01, fallback_interval=0.05)
    keys = source.keys()
    for name in ("small", "large", "other"):
        source.follow(name, [lake(top / name)])
    print(sorted([(await anext(keys)).name for _ in range(3)]), source.problem)
    for name in ("small", "large", "other"):
        waiting = asyncio.ensure_future(anext(keys))
        (top / name / "a.csv").write_text("x")
        print("hinted at", (await waiting).name)
    await keys.aclose()

asyncio.run(main(Path(sys.argv[1])))
"""


def test_only_the_folder_for_which_the_systems_watches_do_not_suffice_is_polled(
    tmp_path: Path,
) -> None:
    for name in ("small", "other", *(f"large/{number}" for number in range(20))):
        (tmp_path / name).mkdir(parents=True)
    # The limit is per user namespace, so this one is of this process alone.
    limited = 'echo 10 > /proc/sys/user/max_inotify_watches && exec "$@"'
    command = [sys.executable, "-c", _WITH_FEW_WATCHES, str(tmp_path)]
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", limited, "sh", *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    if "unshare" in done.stderr:
        pytest.skip("no user namespaces here")
    assert "['large', 'other', 'small']" in done.stdout, done.stderr
    assert f"{tmp_path}/large cannot be watched: the system's inotify watches" in done.stdout
    hinted = [line.split()[-1] for line in done.stdout.split("\n") if "hinted at" in line]
    assert hinted == ["small", "large", "other"]
