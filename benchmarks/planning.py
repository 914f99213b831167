"""The CPU time of `headgate plan` if all is cached: the process and every git that it starts."""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import Row
from tests.scenarios.world import World

ROUNDS = 15
PLAN = (str(Path(sys.executable).with_name("headgate")), "plan")
NOTHING = (sys.executable, "-c", "pass")
SETTINGS = "home: {home}\nrepositories: [{{name: team, url: {remote}}}]\ndata_roots: [{bucket}]\n"


def cpu(command: tuple[str, ...], folder: Path, environ: dict[str, str]) -> float:
    """Seconds of user and system time of a command and the processes it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environ, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def _released(root: Path) -> World:
    """A world whose pipeline is in production and idle."""
    world = await World.make(root)
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
    text = SETTINGS.format(home=root / "home", remote=world.remote, bucket=world.bucket)
    (world.work / "headgate.yaml").write_text(text)
    return world


def main() -> list[Row]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        world = asyncio.run(_released(root))
        # With compiled modules, as installed; the first round writes them.
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(root / "compiled")}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        said = subprocess.run(
            PLAN, cwd=world.work, env=environ, check=False, capture_output=True, text=True
        )
        assert "cached as in mean-1" in said.stdout, said.stdout + said.stderr
        pairs = [(cpu(PLAN, world.work, environ), cpu(NOTHING, world.work, environ))
                 for _ in range(ROUNDS)]  # fmt: skip
        asyncio.run(world.tear_down())
    ours, bare = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    print(f"headgate plan {ours:.2f} s of CPU, python -c pass {bare:.3f} s, medians of {ROUNDS}")
    return [
        Row("headgate plan, all cached", ours, "s CPU", "python -c pass", bare),
        Row("headgate plan, all cached", ours, "s CPU", "the aim", 0.5, "below 1"),
    ]


if __name__ == "__main__":
    main()
