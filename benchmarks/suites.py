"""What the forms of a suite cost a data gate: parameters, expressions, custom expectations.

`python -m benchmarks.suites [ROWS]` prints the CPU seconds of a gate's process and of all that it
starts, each the median of three, cold: a suite of plain values, the same with a parameter, with an
expression of one, and a single custom expectation.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import Row
from benchmarks.gate_tables import dataset

ROWS = 10_000
ROUNDS = 3
MODULE = """
import great_expectations.expectations as gxe


class ExpectShare(gxe.ExpectColumnValuesToBeBetween):
    column: str = "n0"
    min_value: float = 0
    max_value: float = 1
"""
SHARE = "expect_column_values_to_be_between"


def suite(kind: str, **kwargs: object) -> str:
    """A suite with one expectation."""
    return json.dumps({"name": "s", "expectations": [{"type": kind, "kwargs": kwargs}]})


def gate(folder: Path, text: str, **more: Any) -> float:
    """The CPU seconds of judging by a suite."""
    place, report = folder / "suite.json", folder / "report.json"
    place.write_text(text)
    file = {"path": str(place), "origin": "suite.json", "params": {"most": 1}}
    data = {"key": "data.parquet", "path": str(folder / "data.parquet")}
    request = {"dataset": "d", "version": "v", "objects": [data], "suite": file, **more}
    (folder / "request.json").write_text(json.dumps(request))
    command = (sys.executable, "-P", "-m", "validators.data", str(folder / "request.json"))

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run((*command, str(report)), check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        verdicts = {check["verdict"] for check in json.loads(report.read_text())["checks"]}
        assert verdicts == {"PASS"}, report.read_text()
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return statistics.median(once() for _ in range(ROUNDS))


def main(rows: int = ROWS) -> list[Row]:
    """The costs, against that of a suite of plain values."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        dataset(folder / "data.parquet", rows)
        (folder / "custom.py").write_text(MODULE)
        custom = {"path": str(folder / "custom.py"), "origin": "custom.py"}

        def most(value: Mapping[str, str] | int) -> str:
            return suite(SHARE, column="n0", max_value=value)

        plain = gate(folder, most(1))
        named = gate(folder, most({"$PARAMETER": "most"}))
        computed = gate(folder, most({"$PARAMETER": "most * 1"}))
        own = gate(folder, suite("expect_share"), custom=custom)
    against = "plain values"
    found = [
        Row("a gate by a suite with a parameter", named, "CPU s", against, plain),
        Row("with an expression of a parameter", computed, "CPU s", against, plain),
        Row("by a custom expectation", own, "CPU s", against, plain),
    ]
    for row in found:
        print(f"{row.what}: {row.measured:.2f} CPU s, plain values {row.reference:.2f}")
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
