"""How long after a change in a local dataset its run exists, and what watching costs at rest.

For the first, only watching can notice the change: `bucket_poll` is an hour and `quiet` nothing.
A file counts as written when it was left alone for a second, so that is what a change of files is
held against; a commit of a table is whole at once. For the second, `bucket_poll` is its default,
each folder has one file, and nothing changes.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from benchmarks.common import Project, Row, until
from controller.buckets.local_listing import SETTLED_AFTER

AIM = 2.0
"""Seconds within which new data should be noticed."""
TIMES = 5
"""Changes of each kind."""
_SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {{name: {name}}}
triggers: {{data: {{datasets: [data]{quiet}}}}}
datasets: {{data: {{uri: "{uri}"}}}}
steps:
  step: {{run: "sh -c 'ls {{inputs.data}} > $0' {{outputs.out}}", inputs: {{data: datasets.data}},
         outputs: {{out: out}}}}
"""


def _new(folder: Path, number: int) -> None:
    (folder / f"new-{number}.csv").write_text("a\n1\n")


def _replaced(folder: Path, number: int) -> None:
    scratch = folder.with_name("scratch")
    scratch.write_text(f"a\n{number}\n")
    scratch.replace(folder / "first.csv")


def _moved(folder: Path, number: int) -> None:
    """As `mv` and `rsync -t` do: with the time at which it was written."""
    scratch = folder.with_name("scratch")
    scratch.write_text(f"a\n{number}\n")
    os.utime(scratch, (1.7e9 + number, 1.7e9 + number))
    scratch.replace(folder / "first.csv")


def _below(folder: Path, number: int) -> None:
    below = folder / f"day={number}" / "hour=1"
    below.mkdir(parents=True)
    (below / "part.csv").write_text("a\n1\n")


def _commit(folder: Path, number: int) -> None:
    write_deltalake(folder, pa.table({"a": [number]}), mode="append")


FOLDERS = (10, 100, 300, 1000)
"""How many folders are watched at rest."""
REST = 30.0
"""Seconds of rest, from when every folder was looked at once."""
MOST = 5.0
"""What 1,000 datasets may cost at rest, as a percentage of a core."""
POOL = min(32, (os.cpu_count() or 1) + 4)
"""Threads that asyncio keeps for blocking work, at most."""
_AT_REST = """
import asyncio, os, sys, threading, time
sys.path.insert(0, os.getcwd())
from pathlib import Path
from controller.buckets.catalog import Catalog
from controller.observers.datasets import DatasetObserver
from controller.queries.polling import QueryVersions
from controller.sources.bucket import DatasetSource, WatchedDataset

def instances():
    handles = [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return sum(os.readlink(each) == "anon_inode:inotify" for each in handles)

async def main(top, count, rest):
    catalog = Catalog(top / "home")
    source = DatasetSource(DatasetObserver(catalog, QueryVersions(str)).look, 60.0)
    for number in range(count):
        folder = top / str(number)
        folder.mkdir()
        (folder / "data.csv").write_text("a,b")
        os.utime(folder / "data.csv", (1.7e9, 1.7e9))
        source.follow(f"p{number}", [WatchedDataset(str(folder), folder=folder)])
    await asyncio.sleep(1.5)  # so that nothing counts as just written
    keys = source.keys()
    for _ in range(count):
        await anext(keys)
    began, cpu = time.monotonic(), time.process_time()
    waiting = asyncio.ensure_future(anext(keys))
    await asyncio.wait([waiting], timeout=rest)
    assert not waiting.done(), "nothing changed"
    share = 100 * (time.process_time() - cpu) / (time.monotonic() - began)
    print(share, threading.active_count() - 1, instances())
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
"""

KINDS: dict[str, tuple[Callable[[Path, int], None], float]] = {
    "a new file": (_new, SETTLED_AFTER),
    "a file replaced by rename": (_replaced, SETTLED_AFTER),
    "a file moved there that is old": (_moved, AIM),
    "a file in new folders": (_below, SETTLED_AFTER),
    "a commit of a Delta table": (_commit, AIM),
}
"""The changes, and the seconds within which they should be noticed."""


async def delays(root: Path, change: Callable[[Path, int], None]) -> list[float]:
    """Seconds from the end of each change until its run exists."""
    data = root / "data"
    if change is _commit:
        change(data, 0)
    else:
        data.mkdir()
        (data / "first.csv").write_text("a\n0\n")
    quiet = "" if change is _commit else ", quiet: 0s"
    settings: dict[str, Any] = {"bucket_poll": "1h", "data_roots": [str(root)]}
    found = []
    async with Project.running(root, poll=0.5, settings=settings) as project:
        project.commit(_SPEC.format(name="noticed", uri=data.as_uri(), quiet=quiet))
        await project.push()
        for number in range(TIMES + 1):

            async def ended(name: str = f"noticed-{number + 1}") -> float | None:
                run = await project.run(name)
                return run.created if run is not None and run.finished is not None else None

            if number:
                await asyncio.to_thread(change, data, number)
            changed = time.time()
            made = await until(ended)
            found.append(made - changed)
    return found[1:]


def at_rest(count: int) -> list[Row]:
    """The cost of so many watched folders, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-c", _AT_REST, name, str(count), str(REST)]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
    share, threads, instances = map(float, out.stdout.split())
    print(f"{count} folders: {threads:g} threads, {instances:g} inotify instances")
    return [
        Row(f"{count} watched folders at rest", share, "% of a core", "the aim", MOST),
        Row(f"  threads with {count}", threads, "threads", "one and the pool's", 1 + POOL),
        Row(f"  inotify instances with {count}", instances, "", "one for all", 1),
    ]


def main() -> list[Row]:
    """Measure and print."""
    rows = [row for count in FOLDERS for row in at_rest(count)]
    for what, (change, against) in KINDS.items():
        with tempfile.TemporaryDirectory() as name:
            found = asyncio.run(delays(Path(name), change))
        middle, most = statistics.median(found), max(found)
        print(f"{what} to its run, {TIMES} times: median {middle:.2f} s, at most {most:.2f} s")
        known = "the aim" if against == AIM else "the second that a file has to be left alone"
        rows.append(Row(f"{what} to its run, at most", most, "s", known, against, f"{AIM:g} s"))
    return rows


if __name__ == "__main__":
    main()
