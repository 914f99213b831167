"""A data gate on a small table, from the start of its attempt to its collected report: forked from
a warm process, and as a process of its own.

`python -m benchmarks.warm_gate [ROWS]` prints seconds and CPU seconds of both, each the median of
five, confined as this machine can; what judging alone takes; and the memory (PSS) of the warm
process at rest and of a fork that judges. The CPU is that of everything: this process in the place
of the controller, the supervised processes, and the fork.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import Row
from benchmarks.gate_tables import dataset, suite
from controller.executors.local import LocalExecutor
from controller.machine.runs.attempt import Attempt, AttemptState
from deployers.confinement import confinement
from deployers.memory import children
from deployers.processes import Processes
from deployers.warm_client import USAGE
from tests.controller.executors.site import FOLDER, LocalSite
from tests.controller.git.git_server import Person

ROWS = 10_000
ROUNDS = 5
AMPLE = 64 * 2**30
"""A limit of memory, as an attempt that has one does without the warm process."""
JUDGE = """
import importlib, os, sys, time
gate = importlib.import_module("validators.data.__main__")
for name in gate.NEEDED:
    importlib.import_module(name)
for _ in range(5):
    began = time.perf_counter(), time.process_time()
    if os.fork() == 0:
        code = gate.main(sys.argv[1:])
        print(time.perf_counter() - began[0], time.process_time(), flush=True)
        os._exit(code)
    assert os.wait()[1] == 0
"""


class Cost(NamedTuple):
    """Seconds, and seconds of CPU."""

    wall: float
    cpu: float


class Trial:
    """An executor and what it is to judge."""

    def __init__(self, site: LocalSite, executor: LocalExecutor, processes: Processes) -> None:
        self._site, self._executor, self._processes = site, executor, processes
        self.peak = 0
        """The most memory that a fork was seen to have."""

    async def judge(self, attempt: Attempt) -> Cost:
        """Judge it, to its collected report."""
        began, used = time.perf_counter(), time.process_time()
        await self._executor.start(attempt)
        while not (await self._executor.poll(attempt.id)).state.ended:
            await asyncio.sleep(0.005)
            self.peak = max(self.peak, *(pss(each) for each in forks()), 0)
        ended = self._processes.status(attempt.id).exit
        assert ended is not None
        usage = self._site.workspace.folder(attempt.id) / "scratch" / USAGE
        forked = json.loads(usage.read_text())["cpu_seconds"] if usage.exists() else 0.0
        assert (await self._executor.poll(attempt.id)).state is AttemptState.SUCCEEDED
        report = await self._site.stored((await self._executor.collect(attempt))["report"])
        wall, own = time.perf_counter() - began, time.process_time() - used
        assert {each["verdict"] for each in json.loads(report)["checks"]} == {"PASS"}, report
        return Cost(wall, own + ended.cpu_seconds + forked)


def warm() -> Iterator[int]:
    """The warm process: below this one, perhaps with bwrap in between."""
    for each in children(os.getpid()):
        if "warm_server" in Path(f"/proc/{each}/cmdline").read_text():
            inside = [one for one in children(each) if is_of_server(one)]
            yield inside[0] if "bwrap" in Path(f"/proc/{each}/comm").read_text() else each


def is_of_server(process: int) -> bool:
    """Whether it is a warm process or was forked from one."""
    with suppress(OSError):
        return "warm_server" in Path(f"/proc/{process}/cmdline").read_text()
    return False


def forks() -> Iterator[int]:
    """Those that judge now."""
    for each in warm():
        for waiting in children(each):
            yield from children(waiting)


def pss(process: int) -> int:
    """Its proportional share of memory in bytes; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


async def measure(root: Path, rows: int) -> tuple[list[Cost], list[Cost], int, int]:
    """Warm and cold costs; memory at rest and of a fork."""
    team, place = root / "team", root / "place"
    team.mkdir()
    place.mkdir()
    commit = Person(team / "ada").push({f"{FOLDER}/suite.json": json.dumps(suite())})
    site = LocalSite(place, team, commit, kind=confinement(()).kind)
    data = site.bucket("data.parquet")
    dataset(data, rows)
    os.utime(data, (1e9, 1e9))  # what was just written would still be waited for
    given = await site.given()
    costs: dict[int | None, list[Cost]] = {None: [], AMPLE: []}
    async with site.open() as executor:
        with Processes(site.workspace.home) as processes:
            trial = Trial(site, executor, processes)
            await trial.judge(site.data_gate(given, "first"))
            (one,) = warm()
            rest = pss(one)
            for round_ in range(ROUNDS):
                for limit, found in costs.items():
                    attempt = site.data_gate(given, f"gate{limit}-{round_}", memory=limit)
                    found.append(await trial.judge(attempt))
    return costs[None], costs[AMPLE], rest, trial.peak


def alone(root: Path, rows: int) -> Cost:
    """Judging in a fork of a process that has imported everything, and nothing else."""
    data, told = root / "data.parquet", root / "suite.json"
    dataset(data, rows)
    told.write_text(json.dumps(suite()))
    request = {
        "dataset": "bench",
        "version": "sha256:" + "0" * 64,
        "objects": [{"key": data.name, "path": str(data)}],
        "suite": {"path": str(told), "origin": told.name},
    }
    (root / "request.json").write_text(json.dumps(request))
    files = [str(root / name) for name in ("request.json", "report.json")]
    command = [sys.executable, "-W", "ignore", "-c", JUDGE, *files]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = [Cost(*map(float, line.split())) for line in done.stdout.splitlines()]
    return median(found)


def median(costs: list[Cost]) -> Cost:
    """Of each apart."""
    return Cost(*map(statistics.median, zip(*costs, strict=True)))


def main(rows: int = ROWS) -> list[Row]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)  # for the users of pipelines
        forked, fresh, rest, peak = asyncio.run(measure(root, rows))
        judging = alone(root, rows)
    one, other = median(forked), median(fresh)
    print(f"data gate, {rows:,} rows, to the collected report, confined: {confinement(()).kind}")
    for what, cost in (
        ("forked from a warm process", one),
        ("a process of its own", other),
        ("judging alone, in a fork", judging),
    ):
        print(f"  {what:27} {cost.wall:6.2f} s   {cost.cpu:6.2f} CPU s")
    print(f"  the warm process at rest    {rest / 2**20:6.0f} MiB (PSS)")
    print(f"  a fork that judges          {peak / 2**20:6.0f} MiB (PSS)")
    return [
        Row("small data gate", one.wall, "s", "without a warm process", other.wall, "0.5 s"),
        Row("its CPU", one.cpu, "s", "without a warm process", other.cpu),
    ]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
