"""What the checks of a version against earlier ones and other datasets cost.

`python -m benchmarks.dataset_checks [ROWS]` prints the CPU seconds of a gate's process for each
kind of check, cold: of the first version (100 objects), and of the next, which has one object more.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common import Row

ROWS = 1_000_000
OBJECTS = 100
KINDS: Mapping[str, Mapping[str, Any]] = {
    "schema": {},
    "freshness": {"column": "at", "within": "3650d"},
    "volume": {"within": "40%"},
    "drift": {"columns": ["amount", "kind"], "at_most": 0.2},
    "seen_before": {"key": ["id"], "at_most": "1%"},
    "refers_to": {"columns": ["id"], "dataset": "others"},
    "apart_from": {"dataset": "others", "columns": ["id"], "at_most": "100%"},
}


def write(folder: Path, rows: int) -> list[dict[str, str]]:
    """The objects of a dataset, each with its share of the rows, and one more."""
    random = np.random.default_rng(0)
    each, found = rows // OBJECTS, []
    for at in range(OBJECTS + 1):
        table = pa.table({
            "id": np.arange(at * each, (at + 1) * each),
            "amount": random.gamma(2.0, size=each),
            "kind": random.choice(["AA", "UA", "DL"], each),
            "at": pa.array(np.arange(each) + 1_796_000_000_000_000, pa.timestamp("us")),
        })  # fmt: skip
        path = folder / f"{at:03}.parquet"
        pq.write_table(table, path)
        found.append({"key": path.name, "path": str(path), "digest": str(at)})
    return found


def gate(folder: Path, check: Mapping[str, Any], objects: Sequence[Any], others: Any) -> float:
    """The CPU seconds of judging a version after the ones that were judged in the same folder."""
    known, found = folder / "known.json", folder / "found.json"
    if found.exists():
        found.replace(known)
    history = {"found": str(found), "known": str(known) if known.exists() else None}
    request = {"dataset": "d", "version": str(len(objects)), "at": 1_796_000_000.0}
    request |= {"objects": list(objects), "others": {"others": {"objects": others}}}
    request |= {"checks": [check], "history": history}
    (folder / "request.json").write_text(json.dumps(request))
    report = folder / "report.json"
    command = (sys.executable, "-P", "-m", "validators.data.history")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run((*command, str(folder / "request.json"), str(report)), check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    verdicts = {check["verdict"] for check in json.loads(report.read_text())["checks"]}
    assert verdicts <= {"PASS", "WARN"}, report.read_text()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rows: int = ROWS) -> list[Row]:
    """The cost of the next version, against that of the first."""
    found = []
    with tempfile.TemporaryDirectory() as made:
        data = Path(made) / "data"
        data.mkdir()
        objects = write(data, rows)
        for kind, rule in KINDS.items():
            own = Path(made) / kind
            own.mkdir()
            first, then = (
                gate(own, {kind: rule}, some, objects) for some in (objects[:-1], objects)
            )
            found.append(Row(f"{kind}: 1 % new rows", then, "CPU s", "first version", first))
            print(f"{kind}: first {first:.2f} CPU s, with 1 % new rows {then:.2f}")
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
