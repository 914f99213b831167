"""The data gate on a million rows, against a bare script that uses Great Expectations.

`python -m benchmarks.data_gate [ROWS]` prints, in seconds: what the bare script needs for the
import and for the validation of a frame in memory, its whole process (start, import, reading the
Parquet file, validation), and the whole gate process (the same and the report). Each is the best
of three, taken in turns.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import Row

ROWS = 1_000_000
ROUNDS = 3
NUMBERS = [f"n{at}" for at in range(5)]
WORDS = [f"w{at}" for at in range(3)]
UNUSED = [f"u{at}" for at in range(10)]  # columns that the suite does not name

BARE = """
import json, os, sys, time
os.environ["GX_ANALYTICS_ENABLED"] = "false"
import pandas as pd
began = time.perf_counter()
import great_expectations as gx
imported = time.perf_counter() - began
from great_expectations.data_context.types.base import ProgressBarsConfig
frame = pd.read_parquet(sys.argv[1])
suite = gx.ExpectationSuite(**json.load(open(sys.argv[2])))
began = time.perf_counter()
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = ProgressBarsConfig(globally=False)
asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
batch = asset.add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
result = batch.validate(suite)
assert result.success
print(imported, time.perf_counter() - began)
"""


def suite() -> dict[str, object]:
    """A suite for the table of `dataset`, as Great Expectations writes it."""
    entries: list[tuple[str, dict[str, object]]] = []
    for name in NUMBERS:
        entries += [
            ("column_values_to_not_be_null", {"column": name}),
            ("column_values_to_be_between", {"column": name, "min_value": 0, "max_value": 1}),
        ]
    for name in WORDS:
        entries += [
            ("column_values_to_not_be_null", {"column": name}),
            ("column_values_to_be_in_set", {"column": name, "value_set": ["AA", "UA", "DL"]}),
        ]
    entries += [
        ("column_mean_to_be_between", {"column": "n0", "min_value": 0.4, "max_value": 0.6}),
        ("column_values_to_be_unique", {"column": "key"}),
        ("column_values_to_match_regex", {"column": "w0", "regex": "^[A-Z]{2}$"}),
        ("table_row_count_to_be_between", {"min_value": 1}),
    ]
    expectations = [{"type": f"expect_{kind}", "kwargs": kwargs} for kind, kwargs in entries]
    return {"name": "bench", "expectations": expectations}


def dataset(file: Path, rows: int) -> None:
    """Write a Parquet file with that many rows."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    columns: dict[str, object] = {"key": np.arange(rows)}
    columns |= {name: random.random(rows) for name in NUMBERS + UNUSED}
    columns |= {name: random.choice(["AA", "UA", "DL"], rows) for name in WORDS}
    pd.DataFrame(columns).to_parquet(file)


def _write(folder: Path, rows: int) -> None:
    dataset(folder / "data.parquet", rows)
    (folder / "suite.json").write_text(json.dumps(suite()))
    request = {
        "dataset": "bench",
        "version": "sha256:" + "0" * 64,
        "objects": [{"key": "data.parquet", "path": str(folder / "data.parquet")}],
        "suite": {"path": str(folder / "suite.json"), "origin": "suite.json"},
    }
    (folder / "request.json").write_text(json.dumps(request))


def _timed(command: list[str]) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, done.stdout


def _checked(folder: Path) -> int:
    """The number of checks, all of which must pass."""
    checks = json.loads((folder / "report.json").read_text())["checks"]
    assert all(check["verdict"] == "PASS" for check in checks)
    return len(checks)


def main(rows: int = ROWS) -> list[Row]:
    """Measure and print."""
    imports, alone, bares, gates = [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, rows)
        files = [str(folder / file) for file in ("data.parquet", "suite.json")]
        bare = [sys.executable, "-W", "ignore", "-c", BARE, *files]
        files = [str(folder / file) for file in ("request.json", "report.json")]
        gate = [sys.executable, "-m", "validators.data", *files]
        for _ in range(ROUNDS):
            seconds, said = _timed(bare)
            imported, validated = map(float, said.split())
            imports.append(imported)
            alone.append(validated)
            bares.append(seconds)
            gates.append(_timed(gate)[0])
        checks = _checked(folder)
    print(f"data gate, {rows:,} rows, {checks} checks, best of {ROUNDS}")
    print(f"  import of Great Expectations    {min(imports):6.2f} s")
    print(f"  its validation alone            {min(alone):6.2f} s")
    print(f"  bare process, all in            {min(bares):6.2f} s")
    print(f"  gate process, all in            {min(gates):6.2f} s")
    print(f"  gate / bare                     {min(gates) / min(bares):6.2f}")
    return [Row("data gate process", min(gates), "s", "a bare script", min(bares))]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
