"""The cost of a step beyond its process: a chain of 100 no-ops, against a bare shell loop; the
controller's CPU time for one, beside the least that it can be; and what it costs to be confined.

Each step is a small shell that writes its number to its output, and reads what the step before
it wrote, so that one ends before the next begins and nothing comes from the cache. The loop runs
the same commands with the same files. A run is timed from its creation until it has ended, in
a controller that has run the pipeline before.
"""

import asyncio
import shlex
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import step_cpu
from benchmarks.common import Project, Row, until
from controller.machine.runs.run import Run
from deployers.confinement import View, confinement

STEPS = 100
ROUNDS = 5
CPU_STEPS = 50
COMMAND = """sh -c 'echo "$1" > "$2"' sh"""


def spec(round_: int) -> str:
    """The pipeline; every round has other commands."""
    lines = [
        "apiVersion: headgate.dev/v1",
        "kind: MLPipeline",
        "metadata: {name: chain}",
        f"params: {{round: {round_}}}",
        "steps:",
    ]
    for step in range(STEPS):
        lines += [
            f"  step{step:03}:",
            f"    run: {COMMAND} {{params.round}}.{step} {{outputs.out}}",
            "    outputs: {out: out}",
            "    reads: []",
        ]
        if step:
            lines.append(f"    inputs: {{before: steps.step{step - 1:03}.out}}")
    return "\n".join(lines) + "\n"


def loop(folder: Path) -> float:
    """Seconds that a shell takes for the same commands."""
    script = "\n".join(
        f"{COMMAND} 0.{step} {shlex.quote(str(folder / f'out{step}'))}" for step in range(STEPS)
    )
    began = time.perf_counter()
    subprocess.run(["sh", "-e", "-c", script], check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began


async def chain(root: Path) -> list[float]:
    """Seconds that each run took, without the first."""
    found = []
    async with Project.running(root, poll=2.0) as project:
        for round_ in range(ROUNDS + 1):
            project.commit(spec(round_))
            await project.push()

            async def ended(name: str = f"chain-{round_ + 1}") -> Run | None:
                run = await project.run(name)
                return run if run and run.finished is not None else None

            run = await until(ended, pause=0.25)  # polling costs the controller time, too
            assert run.finished is not None
            assert run.outcome == "passed", run
            assert all(node.phase == "succeeded" for node in run.nodes.values())
            if round_:
                found.append(run.finished - run.created)
    return found


def confining(folder: Path) -> float | None:
    """By which factor confinement slows down the same commands, one by one."""
    found = confinement(())
    if not found.works:
        return None
    within = found.within(View(folder, writes=(folder,)), found.user("bench"))
    if found.kind == "users":
        folder.chmod(0o777)
    plain = ["sh", "-c", 'echo "$1" > "$2"', "sh", "0"]
    times: dict[tuple[str, ...], list[float]] = {(): [], within: []}
    for step in range(STEPS):
        for before, each in times.items():
            began = time.perf_counter()
            subprocess.run(
                [*before, *plain, f"{folder}/{len(before)}.{step}"],
                check=True,
                cwd=folder,
                stdin=subprocess.DEVNULL,
            )
            each.append(time.perf_counter() - began)
    bare, confined = map(statistics.median, times.values())
    print(f"  confined   {confined * 1e3:6.2f} ms a process, {bare * 1e3:.2f} ms without")
    return confined / bare


def main() -> list[Row]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = statistics.median(loop(folder) for _ in range(ROUNDS)) / STEPS * 1e3
        (folder / "project").mkdir()
        runs = asyncio.run(chain(folder / "project"))
        (folder / "cpu").mkdir()
        counts, least = asyncio.run(step_cpu.measure(folder / "cpu", CPU_STEPS, ROUNDS))
        (folder / "confined").mkdir()
        times = confining(folder / "confined")
    step = statistics.median(runs) / STEPS * 1e3
    spread = [run / STEPS * 1e3 for run in (min(runs), max(runs))]
    print(f"a chain of {STEPS} steps, {len(runs)} runs")
    print(f"  one step   {step:6.2f} ms   ({spread[0]:.2f} to {spread[1]:.2f})")
    print(f"  bare shell {bare:6.2f} ms")
    print(f"  overhead   {step - bare:6.2f} ms")
    print(
        f"  controller {counts.cpu * 1e3:6.2f} ms of CPU a step, {least * 1e3:.2f} ms at least; "
        f"{counts.reconciled:.2f} reconciles, {counts.store_calls:.2f} store calls"
    )
    rows = [Row("a step of a chain", step, "ms", "a bare shell loop", bare)]
    rows += [Row("overhead per step", step - bare, "ms", "the aim", 10.0, "below 1")]
    rows += [Row("controller CPU a step", counts.cpu * 1e3, "ms", "the aim", 5.0, "below 1")]
    rows += [
        Row("controller CPU a step", counts.cpu * 1e3, "ms", "commit, hop, process", least * 1e3)
    ]
    if times is not None:
        rows += [Row("a confined process", times, "times", "the same without", 1.0)]
    return rows


if __name__ == "__main__":
    main()
