"""A process that is kept warm has imported all that a judgement needs, and its forks can judge.

Great Expectations comes later, and only where a suite asks for what is not answered without it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
JUDGE = """
import importlib, json, os, sys
gate = importlib.import_module(sys.argv[1])
for name in gate.NEEDED:
    importlib.import_module(name)
before = set(sys.modules)
for folder in sys.argv[2:]:
    if os.fork() == 0:
        code = gate.main([f"{folder}/request.json", f"{folder}/report.json"])
        print(json.dumps(sorted(set(sys.modules) - before)), flush=True)
        os._exit(code)
    assert os.wait()[1] == 0
"""
SUITE = {
    "name": "all",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "x", "max_value": 9}},
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "x", "max_value": 9}},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "x"}},
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "w", "regex": "a"}},
        {"type": "expect_column_median_to_be_between", "kwargs": {"column": "x", "max_value": 9}},
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
    ],
}
TABLE = {"x": [1, 2, 3, 4], "w": ["a", "ab", "a", "ac"]}


def imported(gate: str, requests: dict[Path, dict[str, Any]]) -> list[str]:
    """What judging in forks imports that was not imported before. The requests are by folder."""
    for folder, request in requests.items():
        (folder / "request.json").write_text(json.dumps(request))
    command = [sys.executable, "-W", "ignore", "-c", JUDGE, gate, *map(str, requests)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for folder in requests:
        report = (folder / "report.json").read_text()
        assert {each["verdict"] for each in json.loads(report)["checks"]} == {"PASS"}, report
    return sorted({name for line in done.stdout.splitlines() for name in json.loads(line)})


def test_judging_a_dataset_imports_nothing_more(tmp_path: Path) -> None:
    requests = {}
    for suffix in ("parquet", "csv", "jsonl"):
        folder = tmp_path / suffix
        folder.mkdir()
        requests[folder] = dataset_request(folder, suffix)
    assert imported("validators.data.__main__", requests) == []


def test_judging_a_model_imports_nothing_more(tmp_path: Path) -> None:
    requests = {}
    for suffix in ("parquet", "csv"):
        folder = tmp_path / suffix
        folder.mkdir()
        requests[folder] = model_request(folder, suffix)
    assert imported("validators.model.__main__", requests) == []


def dataset_request(folder: Path, suffix: str) -> dict[str, Any]:
    """A dataset in this format, and a suite that asks for much."""
    data, suite = folder / f"data.{suffix}", folder / "suite.json"
    rows = [dict(zip(TABLE, row, strict=True)) for row in zip(*TABLE.values(), strict=True)]
    match suffix:
        case "parquet":
            pq.write_table(pa.table(TABLE), data)
        case "csv":
            data.write_text("x,w\n" + "".join(f"{row['x']},{row['w']}\n" for row in rows))
        case _:
            data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    suite.write_text(json.dumps(SUITE))
    return {
        "dataset": "numbers",
        "version": "sha256:" + "0" * 64,
        "objects": [{"key": data.name, "path": str(data)}],
        "suite": {"path": str(suite), "origin": "suite.json"},
    }


def model_request(folder: Path, suffix: str) -> dict[str, Any]:
    """Predictions of two models in this format, and a gate that asks for much."""
    for name in ("candidate", "baseline"):
        table = {
            "id": list(range(400)),
            "late": [each % 2 for each in range(400)],
            "p": [0.2 + 0.6 * (each % 2) + (each % 7) / 100 for each in range(400)],
        }
        file = folder / f"{name}.{suffix}"
        if suffix == "parquet":
            pq.write_table(pa.table(table), file)
        else:
            lines = zip(*table.values(), strict=True)
            file.write_text("id,late,p\n" + "\n".join(",".join(map(str, x)) for x in lines))
    return {
        "subject": "model",
        "candidate": str(folder / f"candidate.{suffix}"),
        "baseline": {
            "kind": "predictions",
            "path": str(folder / f"baseline.{suffix}"),
            "subject": "v1",
        },
        "gate": {
            "predictions": "steps.evaluate.predictions",
            "columns": {"key": "id", "label": "late", "score": "p"},
            "checks": [
                {"metric": "roc_auc", "at_least": 0.6},
                {"metric": "average_precision", "at_least": 0.6},
                {"metric": "log_loss", "not_worse_than_baseline_by": 0.005},
            ],
        },
    }
