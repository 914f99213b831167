"""What reading a commit costs, by how many pipelines the repository has.

Against the same commit of a repository of ten pipelines: what a commit costs should follow from
what it changes. A first look has to read all specs, and so grows as they do.
"""

import asyncio
import os
import resource
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from benchmarks.common import Row
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.touched import touched

T = TypeVar("T")

PIPELINES = (10, 100, 300, 1000)
SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {{name: p{number}}}
triggers: {{data: {{datasets: [rows]}}}}
datasets: {{rows: {{uri: "s3://lake/p{number}/*.parquet", expectations: rows.yaml}}}}
params: {{depth: {depth}}}
environment: {{requirements: requirements.txt}}
steps:
  train:
    run: python train.py --data {{inputs.rows}} --depth {{params.depth}} --out {{outputs.model}}
    inputs: {{rows: datasets.rows}}
    outputs: {{model: model.joblib}}
    timeout: 30m
  evaluate:
    run: python evaluate.py --model {{inputs.model}} --data {{inputs.rows}} --out {{outputs.scores}}
    inputs: {{model: steps.train.model, rows: datasets.rows}}
    outputs: {{scores: scores.parquet}}
model: steps.train.model
gates:
  model:
    predictions: steps.evaluate.scores
    columns: {{key: id, label: y, score: p}}
    checks: [{{metric: roc_auc, at_least: 0.6}}]
"""
BESIDE = ("train.py", "evaluate.py", "requirements.txt", "rows.yaml")


class Cost(NamedTuple):
    """What something cost."""

    processes: int
    ours: float
    """CPU seconds of this process."""
    git: float
    """CPU seconds of git's processes."""
    memory: int
    """Resident bytes of this process afterwards."""

    def __str__(self) -> str:
        return (
            f"{self.processes} git processes, {self.ours:.3f} + {self.git:.3f} CPU s, "
            f"{self.memory / 2**20:.0f} MiB"
        )


class Team:
    """A repository with pipelines in folders of their own."""

    def __init__(self, root: Path, pipelines: int) -> None:
        self.remote, self._clone, self._pipelines = root / "remote.git", root / "clone", pipelines
        _git(root, "init", "-q", "--bare", "-b", "main", str(self.remote))
        _git(root, "init", "-q", "-b", "main", str(self._clone))

    def push(self, depth: int, pipelines: int | None = None) -> str:
        """Commit the first so many pipelines (all by default) with that depth; the commit."""
        for number in range(pipelines or self._pipelines):
            folder = self._clone / f"teams/p{number}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "ml-pipeline.yaml").write_text(SPEC.format(number=number, depth=depth))
            for name in BESIDE:
                (folder / name).write_text(f"# {number}\n")
        _git(self._clone, "add", "-A")
        _git(self._clone, "commit", "-q", "-m", f"Depth {depth}")
        _git(self._clone, "push", "-q", str(self.remote), "HEAD:main")
        return _git(self._clone, "rev-parse", "HEAD")


async def measure(root: Path, pipelines: int) -> dict[str, Cost]:
    """What the commits of a repository cost."""
    team = Team(root, pipelines)
    mirror = Mirror(str(team.remote), root / "mirror.git")
    repositories = Repositories({"team": mirror}, root / "checkouts")
    found = {}
    before: Mapping[str, Code] = {}
    for what, depth, some in (("first look", 1, None), ("one", 2, 1), ("all", 3, None)):
        commit = team.push(depth, some)
        await mirror.fetch()
        found[what], (now, changed) = await cost(partial(_look, repositories, commit, before))
        assert all(code.spec is not None for code in now.values())
        assert (len(now), len(changed)) == (pipelines, some or pipelines)
        before = now
    await mirror.close()
    return found


async def _look(
    repositories: Repositories, commit: str, before: Mapping[str, Code]
) -> tuple[Mapping[str, Code], tuple[str, ...]]:
    """The specs of a commit, and those of them that it touches."""
    now = await repositories.specs("team", commit)
    return now, touched(before, now)


async def cost(look: Callable[[], Awaitable[T]]) -> tuple[Cost, T]:
    """What `look` costs, and its result."""
    with _counted() as processes:
        ours, git = _own_cpu(), _git_cpu()
        result = await look()
        used = _own_cpu() - ours, _git_cpu() - git
        return Cost(len(processes), *used, _resident()), result


@contextmanager
def _counted() -> Iterator[list[Any]]:
    """The commands of the processes that are started meanwhile."""
    found: list[Any] = []
    start = subprocess.Popen.__init__

    def counted(self: Any, args: Any, *rest: Any, **options: Any) -> None:
        found.append(args)
        start(self, args, *rest, **options)

    subprocess.Popen.__init__ = counted  # type: ignore[method-assign]
    try:
        yield found
    finally:
        subprocess.Popen.__init__ = start  # type: ignore[method-assign]


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _git_cpu() -> float:
    """CPU seconds of the processes that have ended, and of those that stay."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _git(folder: Path, *arguments: str) -> str:
    person = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")
    done = subprocess.run(
        ["git", *person, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def main() -> list[Row]:
    """Measure and print."""
    found = {}
    for pipelines in PIPELINES:
        with tempfile.TemporaryDirectory() as name:
            found[pipelines] = asyncio.run(measure(Path(name), pipelines))
        for what, its in found[pipelines].items():
            print(f"{pipelines} pipelines, {what}: {its}", flush=True)
    few, many = min(PIPELINES), max(PIPELINES)
    rows = []
    for what in found[few]:
        little, much = found[few][what], found[many][what]
        against = f"with {few}"
        name = f"reading a commit, {many} pipelines, {what}"
        processes = (float(much.processes), float(little.processes))
        rows.append(Row(f"{name}: processes", processes[0], "", against, processes[1], "1"))
        cpu = (much.ours + much.git, little.ours + little.git)
        rows.append(Row(f"{name}: CPU", cpu[0], "s", against, cpu[1]))
    return rows


if __name__ == "__main__":
    main()
