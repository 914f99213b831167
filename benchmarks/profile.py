"""Proposing a suite for a million rows, against judging the same rows by that suite.

`python -m benchmarks.profile [ROWS]` prints the CPU seconds and the peak memory of both processes,
from their start, each the least of three.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common import Row
from benchmarks.gate_tables import dataset

ROWS = 1_000_000
ROUNDS = 3


class Cost(NamedTuple):
    """CPU seconds, and the most memory at once in MiB."""

    cpu: float
    memory: float


def cost_of(module: str, *files: Path) -> Cost:
    """What a process of a module costs."""
    process = subprocess.Popen([sys.executable, "-m", module, *map(str, files)])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def least(costs: list[Cost]) -> Cost:
    """The least of each."""
    return Cost(*map(min, zip(*costs, strict=True)))


def main(rows: int = ROWS) -> list[Row]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset(folder / "data.parquet", rows)
        objects = [{"key": "data.parquet", "path": str(folder / "data.parquet")}]
        asked, proposal = folder / "profile.json", folder / "proposal.json"
        asked.write_text(json.dumps({"dataset": "bench", "objects": objects}))
        proposing = [cost_of("validators.data.profile", asked, proposal) for _ in range(ROUNDS)]
        made: dict[str, Any] = json.loads(proposal.read_text())
        (folder / "suite.yaml").write_text(made["text"])
        suite = {"path": str(folder / "suite.yaml"), "origin": "suite.yaml"}
        request = {"dataset": "bench", "version": "v", "objects": objects, "suite": suite}
        (folder / "request.json").write_text(json.dumps(request))
        files = folder / "request.json", folder / "report.json"
        judging = [cost_of("validators.data", *files) for _ in range(ROUNDS)]
        checks = json.loads(files[1].read_text())["checks"]
        assert all(check["verdict"] == "PASS" for check in checks)
    proposed, judged = least(proposing), least(judging)
    print(f"profile, {rows:,} rows, {made['expectations']} expectations, least of {ROUNDS}")
    print(f"  proposing a suite   {proposed.cpu:6.2f} CPU s  {proposed.memory:6.0f} MiB")
    print(f"  judging by it       {judged.cpu:6.2f} CPU s  {judged.memory:6.0f} MiB")
    return [Row("proposing a suite", proposed.cpu, "CPU s", "judging by it", judged.cpu)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
