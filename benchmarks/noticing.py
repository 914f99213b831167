"""How long after a change in a local dataset its run exists, if only watching can notice it.

`bucket_poll` is an hour and `quiet` nothing. A file counts as written when it was left alone for a
second, so that is what a change of files is held against; a commit of a table is whole at once.
"""

import asyncio
import os
import statistics
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


def main() -> list[Row]:
    """Measure and print."""
    rows = []
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
