"""What commits, data and rest cost with many pipelines: `python -m benchmarks.scale [N ...]`.

One repository has N pipelines of one short step. `--only` names the variants to measure: `plain`
is just that; with `datasets` each pipeline also has a dataset, a folder with a file, that triggers
it; with `environments` there is an environments branch, so that each has two environments, with
nothing released. The controller is `headgate up` with its own defaults, in a process of its own.
The measures, one after another:

- **first push**: all pipelines are new, and each has a run.
- **push that concerns one**: seconds from the end of `git push` until the step starts, and what is
  used until nothing is left to do; the mean of `TIMES`.
- **push that concerns all**: one commit that changes every pipeline. What a run costs above its
  step is without what a step costs the controller, as `step_cpu` measures it just before.
- **idle**: what is used while nothing happens, as a share of a core.
- **objects**: a new file in each of up to 100 datasets.
- **environments branch**: a commit there that changes the file of no environment, until all is
  quiet, which is what the poll takes and `QUIET` more.
- **restart**: from the start of the process until the step of a commit that was pushed meanwhile
  starts, and what is used until nothing is left to do.

With `--postgresql` the state is on a server, whose CPU counts as the controller's.
CPU is that of the controller and of git; steps run below a process of their own and are not in it.
What takes longer than its limit is `-`. The exponent is the slope of the figures against N, both as
logarithms: 1 is linear, 0 does not depend on N.
"""

import argparse
import asyncio
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import step_cpu
from benchmarks.common import Row, table
from benchmarks.controller_process import ControllerProcess, Usage
from benchmarks.postgresql import Cpu, server, server_cpu
from controller.store.addresses import PostgresAddress

SIZES = (10, 100)
"""How many pipelines `make bench` has; `python -m benchmarks.scale 10 100 300 1000` takes long."""
TIMES = 3
"""Pushes that concern one pipeline."""
IDLE = 60.0
"""Seconds without anything to do."""
QUIET = 10.0
"""Seconds to look on after a commit on the environments branch, of which no run tells the end."""
VARIANTS = ("plain", "datasets", "environments")
OBJECTS = 100
"""Files that come at a time, at most."""
POLL = 10.0
"""Seconds between two polls of a repository, by default."""

STEPS, ROUNDS = 50, 2
"""How long a run is whose steps are measured, and how often it is."""
ALL = "push that concerns all"
ABOVE = "a run above its step, CPU ms"
RUN_AIM = 30.0
"""CPU milliseconds that a run may cost above its step."""

Figures = dict[str, float | None]
"""Measured values by what they are, with their unit; None where the limit came first."""

_SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {{name: p{pipeline:04}}}
{data}steps:
  step: {{run: "sh -c 'echo {number} > $0' {{outputs.out}}"{inputs}, outputs: {{out: out}}}}
"""
_DATA = """\
triggers: {{data: {{datasets: [data], quiet: 0s}}}}
datasets: {{data: {{uri: "{uri}"}}}}
"""
_LEFT = """\
select (select count(*) from outbox)
     + (select count(*) from messages where consumed is null and set_aside is null)
     + (select count(*) from objects where kind = 'run' and live)
"""


class Scale:
    """A repository with that many pipelines, and its controller."""

    def __init__(
        self, root: Path, pipelines: int, variant: str, database: PostgresAddress | None = None
    ) -> None:
        self._root = root
        self._server: Cpu = (lambda: 0.0) if database is None else server_cpu(root)
        self._work = root / "work"
        self._pipelines = pipelines
        self._variant = variant
        self._datasets = variant == "datasets"
        self._number = 0
        self._limit = 120.0 + 1.0 * pipelines
        settings: dict[str, Any] = {
            "home": "home",
            "repositories": [{"name": "bench", "url": "remote.git"}],
            "data_roots": ["data"],
        }
        if database is not None:
            at = database.parameters
            settings["store"] = f"postgresql://{at['user']}@/{at['dbname']}?host={at['host']}"
        (root / "headgate.yaml").write_text(json.dumps(settings))
        for folder in (self._work, root / "data"):
            folder.mkdir()
        _git(root, "init", "-q", "--bare", "-b", "main", "remote.git")
        _git(self._work, "init", "-q", "-b", "main")
        _git(self._work, "remote", "add", "origin", str(root / "remote.git"))
        for pipeline in range(pipelines if self._datasets else 0):
            self._put(pipeline, "first.csv")
        if variant == "environments":
            self._commit_environments()
        self.controller = ControllerProcess(root, database and database.parameters)

    def figures(self) -> Iterator[Figures]:
        """All measures, each as soon as it is known."""
        self.controller.start()
        self.controller.until(self.controller.is_up, self._limit)
        try:
            yield self._all("first push")
            yield self._one()
            yield self._all(ALL)
            yield self._idle()
            if self._datasets:
                yield self._objects()
            if self._variant == "environments":
                yield self._environments()
            yield {"peak memory, MiB": self.controller.peak()}
            yield self._restart()
        finally:
            self.controller.stop()

    def _used(self) -> Usage:
        """What was used until now; a server's CPU counts as the controller's."""
        found = self.controller.usage()
        return found._replace(controller=found.controller + self._server() / 1e3)

    def _all(self, what: str) -> Figures:
        before = self._used()
        self._push(range(self._pipelines))
        took = self._settled(self._pipelines)
        used = self._used() - before
        found = _used(what, used, took)
        each = used.cpu / self._pipelines * 1e3 if took is not None else None
        return {f"{what}, s": took, **found, f"{what}, CPU ms a run": each}

    def _one(self) -> Figures:
        what, starts, took = "push that concerns one", list[float | None](), 0.0
        before = self._used()
        for turn in range(TIMES):
            start, settled = self._one_push(turn % self._pipelines)
            starts.append(start)
            took = math.inf if settled is None else took + settled
        used = self._used() - before
        known = [start for start in starts if start is not None]
        mean = sum(known) / len(known) if len(known) == TIMES else None
        each = Usage(*(value / TIMES for value in used))
        return {f"{what}, s until its step": mean, **_used(what, each, took < math.inf or None)}

    def _one_push(self, pipeline: int) -> tuple[float | None, float | None]:
        """The seconds until the step starts, and until nothing is left to do."""
        runs = self._runs()
        self._push([pipeline])
        pushed = time.time()
        settled = self._settled(1)
        return self._first_start(runs, pushed), settled

    def _idle(self) -> Figures:
        before, began = self._used(), time.monotonic()
        time.sleep(IDLE)
        used, took = self._used() - before, time.monotonic() - began
        return {
            "idle, % of a core": used.cpu / took * 100,
            "idle, processes of git a minute": used.processes / took * 60,
            "threads": float(self.controller.threads()),
            "memory, MiB": self.controller.memory(),
        }

    def _objects(self) -> Figures:
        many = min(OBJECTS, self._pipelines)
        before, self._runs_before = self._used(), self._runs()
        for pipeline in range(many):
            self._put(pipeline, "second.csv")
        took = self._settled(many)
        found = _used("objects", self._used() - before, took)
        return {"objects, s": took, **found}

    def _environments(self) -> Figures:
        before = self._used()
        self._commit_environments()
        time.sleep(POLL * 1.2 + QUIET)
        self._runs_before = self._runs()
        took = self._settled(0)
        return _used("environments branch", self._used() - before, took)

    def _restart(self) -> Figures:
        self.controller.stop()
        runs = self._runs()
        self._push([0])
        server = self._server() / 1e3
        self.controller.start()
        began = time.time()
        settled = self._settled(1)
        used = self._used()
        found = _used("restart", used._replace(controller=used.controller - server), settled)
        return {"restart, s until its step": self._first_start(runs, began), **found}

    def _commit_environments(self) -> None:
        """Push a commit to the environments branch that is of no environment."""
        self._number += 1
        branch = self._root / "environments"
        if not branch.exists():
            _git(self._root, "init", "-q", "-b", "main", str(branch))
        (branch / "README").write_text(f"{self._number}\n")
        _git(branch, "add", "-A")
        _git(branch, "commit", "-q", "-m", "measure")
        remote = str(self._root / "remote.git")
        _git(branch, "push", "-q", remote, "HEAD:refs/heads/headgate/environments")

    def _put(self, pipeline: int, name: str) -> None:
        folder = self._root / "data" / f"p{pipeline:04}"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("a\n1\n")

    def _push(self, pipelines: Sequence[int] | range) -> None:
        """Change these pipelines in one commit, and push it."""
        self._number += 1
        for pipeline in pipelines:
            folder = self._work / f"p{pipeline:04}"
            folder.mkdir(exist_ok=True)
            uri = (self._root / "data" / folder.name).as_uri()
            spec = _SPEC.format(
                pipeline=pipeline,
                number=self._number,
                data=_DATA.format(uri=uri) if self._datasets else "",
                inputs=", inputs: {data: datasets.data}" if self._datasets else "",
            )
            (folder / "ml-pipeline.yaml").write_text(spec)
        _git(self._work, "add", "-A")
        _git(self._work, "commit", "-q", "-m", "measure")
        self._runs_before = self._runs()
        _git(self._work, "push", "-q", "origin", "HEAD:main")

    def _settled(self, more: int) -> float | None:
        """Wait for that many more runs, and until nothing is left to do; the seconds it took."""
        expected = self._runs_before + more

        def is_settled() -> bool:
            return self._runs() >= expected and self.controller.ask(_LEFT) == [(0,)]

        return self.controller.until(is_settled, self._limit)

    def _runs(self) -> int:
        found = self.controller.ask("select count(*) from objects where kind = 'run'")
        return int(found[0][0]) if found else 0

    def _first_start(self, runs: int, since: float) -> float | None:
        """The seconds from `since` to the start of the first step of the latest run."""
        if self._runs() <= runs:
            return None
        query = "select body from objects where kind = 'run' order by updated desc limit 1"
        [(body,)] = self.controller.ask(query)
        attempts = json.loads(body)["nodes"].get("step", {}).get("attempts", ())
        status = attempts[0]["status"] if attempts else None
        return status["started"] - since if status else None


def _used(what: str, used: Usage, took: object) -> Figures:
    """The figures of a usage; none if it did not come to its end."""
    found = {
        f"{what}, CPU s of the controller": used.controller,
        f"{what}, CPU s of git": used.git,
        f"{what}, processes of git": used.processes,
        f"{what}, pushes": used.pushes,
    }
    return {name: value if took is not None else None for name, value in found.items()}


def step() -> float:
    """CPU milliseconds of the controller for a step of a long run."""
    with tempfile.TemporaryDirectory() as name:
        counts, _ = asyncio.run(step_cpu.measure(Path(name), STEPS, ROUNDS))
    print(f"a step costs the controller {counts.cpu * 1e3:.2f} ms of CPU", flush=True)
    return counts.cpu * 1e3


def measured(size: int, variant: str, step_ms: float, *, postgresql: bool) -> Figures:
    """Everything with that many pipelines, whose steps cost that; printed as it comes."""
    found: Figures = {}
    print(f"{size} pipelines, {variant}", flush=True)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(server(root)) if postgresql else None
        for figures in Scale(root, size, variant, database).figures():
            each = figures.get(f"{ALL}, CPU ms a run")
            if each is not None:
                figures[ABOVE] = each - step_ms
            found |= figures
            shown = ", ".join(f"{what}: {_shown(value)}" for what, value in figures.items())
            print(f"  {shown}", flush=True)
    return found


def exponent(figures: Mapping[int, float | None]) -> float | None:
    """The slope of the logarithms of figures by N, by least squares; None where it has none."""
    points = [(math.log(n), math.log(value)) for n, value in figures.items() if value]
    if len(points) < 2:
        return None
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    above = sum((x - middle_x) * (y - middle_y) for x, y in points)
    return above / sum((x - middle_x) ** 2 for x, _ in points)


def shown(found: Mapping[int, Figures]) -> str:
    """The figures by N as aligned text."""
    lines = [("", *(f"{size:,}" for size in found), "exponent")]
    for what in next(iter(found.values())):
        by_size = {size: figures.get(what) for size, figures in found.items()}
        lines.append((what, *map(_shown, by_size.values()), _shown(exponent(by_size))))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3g}" if value < 1e3 else f"{value:,.0f}"


def _rows(found: Mapping[int, Figures], beside: str) -> Iterator[Row]:
    """How the figures of the most pipelines compare with those of the fewest."""
    few, many = min(found), max(found)
    above = found[many].get(ABOVE)
    if above is not None:
        yield Row(
            f"a run above its step, {many:,}{beside}", above, "ms", "the aim", RUN_AIM, "below 1"
        )
    for what in found[many]:
        least, most = found[few].get(what), found[many][what]
        if ", CPU" in what and least and most and few != many:
            name, _, unit = what.rpartition(", ")
            aim = "1" if "a run" in what else f"{many / few:g} or less"
            yield Row(f"{name}, {many:,}{beside}", most, unit, f"{few} pipelines", least, aim)


def _git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")
    subprocess.run(["git", *person, *arguments], cwd=folder, check=True, capture_output=True)


def main(arguments: Sequence[str] = ()) -> list[Row]:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, metavar="N", help="how many pipelines")
    parser.add_argument("--only", choices=VARIANTS, action="append", help="what to measure")
    parser.add_argument("--postgresql", action="store_true", help="keep the state there")
    asked = parser.parse_args(arguments)
    rows: list[Row] = []
    step_ms = step()
    for variant in asked.only or VARIANTS:
        found = {
            size: measured(size, variant, step_ms, postgresql=asked.postgresql)
            for size in asked.sizes or SIZES
        }
        print(shown(found), flush=True)
        rows += _rows(found, f" ({variant})")
    return rows


if __name__ == "__main__":
    print(table(main(sys.argv[1:])))
