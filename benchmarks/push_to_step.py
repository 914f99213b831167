"""How long after `git push` the first step begins, against how often the remote is polled.

Pushes come at random moments. Had everything but the polling no cost, the median would be half an
interval and the 95th percentile nearly a whole one; what is above that is Headgate's own: reading
the commit, planning, checking out, and starting the process.
"""

import asyncio
import random
import statistics
import tempfile
from pathlib import Path

from benchmarks.common import SPEC, Project, Row, until

PUSHES = {0.5: 20, 1.0: 20, 2.0: 15}
"""Pushes by the polling interval in seconds."""
FIRST = 3
"""Warm-up pushes: the first builds an environment."""


async def delays(root: Path, interval: float, pushes: int) -> list[float]:
    """Seconds from the end of each push until its step starts."""
    moments = random.Random(int(interval * 1000))
    found = []
    async with Project.running(root, poll=interval) as project:
        for number in range(1, FIRST + pushes + 1):
            project.commit(SPEC.format(number=number))
            await asyncio.sleep(moments.uniform(0, interval))
            pushed = await project.push()

            async def begun(name: str = f"push-{number}") -> float | None:
                run = await project.run(name)
                if run is None or run.finished is None:
                    return None
                assert run.outcome == "passed", run
                status = run.nodes["step"].attempts[0].status
                return status.started if status else None

            found.append(await until(begun, pause=0.05) - pushed)
    return found[FIRST:]


def main() -> list[Row]:
    """Measure and print."""
    rows = []
    for interval, pushes in PUSHES.items():
        with tempfile.TemporaryDirectory() as name:
            found = asyncio.run(delays(Path(name), interval, pushes))
        cuts = {"median": statistics.median(found)}
        cuts["p95"] = statistics.quantiles(found, n=20, method="inclusive")[-1]
        shown = ", ".join(f"{which} {value * 1e3:.0f} ms" for which, value in cuts.items())
        print(f"push to first step, polled every {interval:g} s, {pushes} pushes: {shown}")
        rows += [
            Row(f"push to first step, {which}", value, "s", "the polling interval", interval)
            for which, value in cuts.items()
        ]
    return rows


if __name__ == "__main__":
    main()
