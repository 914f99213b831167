"""A chain of 50 steps that do nothing, and its unchanged rerun: Headgate beside doit, Luigi,
snakemake and DVC, each as its manual says and each command on a line of its own.

What each does to know that nothing has changed, and what is set so that it is asked for no more:

- doit looks at times and sizes, and hashes what they do not settle. Its defaults.
- Luigi asks only whether outputs exist, and sees no change of a command or an input. With its
  local scheduler, as its central one is a server.
- snakemake compares times, and the commands, parameters and inputs that it recorded. Its defaults,
  for one core, as the steps are a chain.
- DVC hashes what times and sizes do not settle, and copies outputs into a cache. Without analytics
  and without looking for a newer version, which are no work of the rerun.
- Headgate asks git for the commit and whether the work tree is clean, and looks at the times of the
  results, which it keeps in a store. After an empty commit it reads the spec again and looks every
  step up in the cache. In the controller, an asked-for rerun is a run of its own, with its reports
  as git notes.

Every peer is installed in a venv of its own, outside Headgate's, with compiled modules; one that
cannot be installed is named and left out. Times are those of the whole command, and CPU times those
of the process with all processes that it waited for.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import Project, Row, until
from controller.machine.core import Envelope, Key
from controller.machine.messages import RunRequested
from controller.machine.runs.run import Run
from controller.store.protocol import Transaction

STEPS = 50
RERUNS = 5
INSTALLING = 300.0
"""Seconds after which a peer counts as one that cannot be installed."""
HERE = Path(sys.executable).parent


class Spent(NamedTuple):
    """What a command took, in seconds."""

    wall: float
    cpu: float


class Tool(NamedTuple):
    """A tool, and the chain as it wants to be told of it."""

    name: str
    requirement: str
    """What is installed; empty for Headgate itself."""
    files: Mapping[str, str]
    command: Sequence[str]
    before: Sequence[Sequence[str]] = ()
    """Commands that set up its folder."""


def headgate_spec() -> str:
    """The chain for Headgate."""
    lines = ["apiVersion: headgate.dev/v1", "kind: MLPipeline", "metadata: {name: chain}", "steps:"]
    for step in range(STEPS):
        lines += [
            f"  s{step:02}:",
            f"    run: sh -c 'echo {step} > $0' {{outputs.out}}",
            "    outputs: {out: out}",
            "    reads: []",
        ]
        if step:
            lines.append(f"    inputs: {{before: steps.s{step - 1:02}.out}}")
    return "\n".join(lines) + "\n"


DOIT = f"""\
def task_step():
    for step in range({STEPS}):
        yield {{
            "name": str(step),
            "file_dep": [f"{{step - 1}}.txt"] if step else ["in.txt"],
            "targets": [f"{{step}}.txt"],
            "actions": [f"echo {{step}} > {{step}}.txt"],
        }}
"""

LUIGI = f"""\
import subprocess

import luigi


class Step(luigi.Task):
    step = luigi.IntParameter(default={STEPS - 1})

    def requires(self):
        return Step(step=self.step - 1) if self.step else []

    def output(self):
        return luigi.LocalTarget(f"{{self.step}}.txt")

    def run(self):
        subprocess.run(f"echo {{self.step}} > {{self.step}}.txt", shell=True, check=True)
"""


def snakefile() -> str:
    """The chain for snakemake."""
    rules = [f'rule all:\n    input: "{STEPS - 1}.txt"\n']
    rules += [
        f'rule s{step}:\n    input: "{step - 1 if step else "in"}.txt"\n'
        f'    output: "{step}.txt"\n    shell: "echo {step} > {{output}}"\n'
        for step in range(STEPS)
    ]
    return "\n".join(rules)


def dvc_stages() -> str:
    """The chain for DVC."""
    lines = ["stages:"]
    for step in range(STEPS):
        lines += [
            f"  s{step}:",
            f"    cmd: echo {step} > {step}.txt",
            f"    deps: [{step - 1 if step else 'in'}.txt]",
            f"    outs: [{step}.txt]",
        ]
    return "\n".join(lines) + "\n"


GIT = ("git", "-c", "user.name=Bench", "-c", "user.email=bench@example.org")
INIT = ((*GIT, "init", "-q", "-b", "main"), (*GIT, "add", "-A"), (*GIT, "commit", "-qm", "measure"))
INPUT = {"in.txt": "in\n"}

HEADGATE = Tool(
    "headgate run", "", {"ml-pipeline.yaml": headgate_spec()}, (str(HERE / "headgate"), "run"), INIT
)
PEERS = (
    Tool("doit", "doit==0.37.0", {"dodo.py": DOIT, **INPUT}, ("doit",)),
    Tool(
        "luigi",
        "luigi==3.8.1",
        {"steps.py": LUIGI},
        ("luigi", "--module", "steps", "Step", "--local-scheduler", "--log-level", "ERROR"),
    ),
    Tool(
        "snakemake",
        "snakemake==9.27.1",
        {"Snakefile": snakefile(), **INPUT},
        ("snakemake", "--cores", "1", "--quiet", "all"),
    ),
    Tool(
        "dvc",
        "dvc==3.67.1",
        {"dvc.yaml": dvc_stages(), **INPUT},
        ("dvc", "repro", "--quiet"),
        (
            *INIT,
            ("dvc", "init", "--quiet"),
            ("dvc", "config", "core.analytics", "false"),
            ("dvc", "config", "core.check_update", "false"),
        ),
    ),
)


def install(tool: Tool, folder: Path) -> Path:
    """A venv with the tool; its folder of commands. Raises `subprocess.SubprocessError`."""
    uv = str(HERE / "uv")
    python = folder / "bin" / "python"
    for command in (
        (uv, "venv", "-q", "--python", sys.executable, str(folder)),
        (uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(python),
         tool.requirement),
    ):  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALLING)
    return python.parent


class Chain:
    """The chain in a folder of its own, with the commands of one tool."""

    def __init__(self, tool: Tool, root: Path, commands: Path) -> None:
        self._tool = tool
        self._folder = root / "chain"
        self._folder.mkdir(parents=True)
        self._environ = {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self._folder) if tool.requirement else "",
            # With compiled modules, as installed.
            "PYTHONPYCACHEPREFIX": "" if tool.requirement else str(root / "compiled"),
        }
        self._environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for name, text in tool.files.items():
            (self._folder / name).write_text(text)
        for command in tool.before:
            self.spend(command)

    def first(self) -> Spent:
        """What the first run takes."""
        return self.spend(self._tool.command)

    def again(self) -> Spent:
        """What the unchanged rerun takes, as a median."""
        return _median([self.first() for _ in range(RERUNS)])

    def after_a_commit(self) -> Spent:
        """What a run takes after an empty commit, as a median."""
        found = []
        for _ in range(RERUNS):
            self.spend((*GIT, "commit", "-q", "--allow-empty", "-m", "nothing"))
            found.append(self.first())
        return _median(found)

    def spend(self, command: Sequence[str]) -> Spent:
        """Run a command and say what it took."""
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            command, cwd=self._folder, env=self._environ, capture_output=True, check=False
        )
        took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Spent(took, cpu)


def _median(found: Sequence[Spent]) -> Spent:
    return Spent(*(statistics.median(each) for each in zip(*found, strict=True)))


async def in_the_controller(root: Path) -> float:
    """CPU seconds of the controller and its git processes, from the message that asks for the
    rerun until all that follows from it is done; the median, less what it takes at rest."""

    def cpu() -> float:
        used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(each.ru_utime + each.ru_stime for each in used)

    found: list[float] = []
    async with Project.running(root, poll=3600.0) as project:
        project.commit(headgate_spec())
        await project.push()
        for number in range(1, RERUNS + 2):

            async def ended(name: str = f"chain-{number}") -> Run | None:
                run = await project.run(name)
                return run if run and run.finished is not None else None

            await until(ended, pause=0.25)
            await asyncio.sleep(1.5)
            before = cpu()
            await asyncio.sleep(2.0)
            rest, before = cpu() - before, cpu()
            asked = RunRequested(
                kind="manual", why="measure", by="bench", branch="main", force=True
            )
            letter = Envelope(to=Key("pipeline", "chain"), id=f"bench/{number}", message=asked)
            await project.store.commit(Transaction(send=(letter,)), time.time())
            await asyncio.sleep(2.0)
            found.append(cpu() - before - rest)
        run = await project.run(f"chain-{RERUNS + 1}")
    assert run is not None
    assert [node.phase for node in run.nodes.values()] == ["cached"] * STEPS
    return statistics.median(found)


def main() -> list[Row]:
    """Measure and print."""
    rows: list[Row] = []
    skipped: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        chain = Chain(HEADGATE, root / "headgate", HERE)
        chain.spend((*HEADGATE.command, "--forget"))  # compiles the modules
        ours = (chain.first(), chain.again())
        committed = chain.after_a_commit()
        _print(HEADGATE.name, *ours)
        _print("after a commit", None, committed)
        for peer in PEERS:
            try:
                commands = install(peer, root / peer.name / "venv")
            except (subprocess.SubprocessError, OSError) as error:
                skipped.append(f"{peer.requirement} ({_why(error)})")
                continue
            chain = Chain(peer, root / peer.name, commands)
            theirs = (chain.first(), chain.again())
            _print(peer.requirement, *theirs)
            rows += _beside(peer.name, ours, theirs)
        (root / "controller").mkdir()
        inside = asyncio.run(in_the_controller(root / "controller"))
    print(f"  {'in the controller':20}{'':31} rerun           {inside:6.3f} s CPU")
    print(f"{len(skipped)} peers could not be installed: {', '.join(skipped) or 'none'}")
    rerun = f"rerun of {STEPS} steps"
    return [
        *rows,
        Row(f"headgate run, {rerun}", ours[1].wall, "s", "the aim", 0.5, "below 1"),
        Row("the same, after a commit", committed.cpu, "s CPU", "without it", ours[1].cpu),
        Row(f"controller, {rerun}", inside, "s CPU", "the aim", 0.2, "below 1"),
    ]


def _beside(peer: str, ours: tuple[Spent, Spent], theirs: tuple[Spent, Spent]) -> list[Row]:
    rows = []
    for what, mine, its in zip(("first run", "rerun"), ours, theirs, strict=True):
        title = f"headgate run, {what} of {STEPS} steps"
        rows.append(Row(title, mine.wall, "s", peer, its.wall))
        rows.append(Row(title, mine.cpu, "s CPU", peer, its.cpu))
    return rows


def _print(name: str, first: Spent | None, again: Spent) -> None:
    begun = f"first {first.wall:6.2f} s, {first.cpu:6.2f} s CPU" if first else ""
    print(
        f"  {name:20} {begun:30} rerun {again.wall:6.3f} s, {again.cpu:6.3f} s CPU",
        flush=True,
    )


def _why(error: Exception) -> str:
    said = ""
    with suppress(AttributeError):
        said = error.stderr.decode().strip().splitlines()[-1]  # type: ignore[attr-defined]
    return said or type(error).__name__


if __name__ == "__main__":
    main()
