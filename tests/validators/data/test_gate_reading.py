"""The whole gate, with the real engine, on files that were once read wrongly."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from validators.report import Report
from validators.verdict import Verdict

# One process for all: the import costs seconds.
MANY = """
import sys
from validators.data.__main__ import main
sys.exit(max(main([name + "/request.json", name + "/report.json"]) for name in sys.argv[1:]))
"""
Entry = tuple[str, dict[str, Any]]

ZIP: list[Entry] = [
    ("column_values_to_match_regex", {"column": "zip", "regex": "^[0-9]{5}$"}),
    ("column_values_to_not_be_in_set", {"column": "zip", "value_set": ["10001"]}),
    ("column_values_to_not_be_null", {"column": "country"}),
]
ANY: list[Entry] = [("column_values_to_not_be_null", {"column": "x"})]
BIG = 2**53 + 1


def _folder(
    folder: Path, files: Mapping[str, Any], suite: list[Entry], reading: Mapping[str, Any]
) -> Path:
    objects = []
    folder.mkdir()
    for number, (key, content) in enumerate(files.items()):
        path = folder / str(number)
        if isinstance(content, str):
            path.write_text(content)
        else:
            pq.write_table(pa.table(content), path)
        objects.append({"key": key, "path": str(path)})
    entries = [{"type": f"expect_{kind}", "kwargs": kwargs} for kind, kwargs in suite]
    (folder / "suite.json").write_text(json.dumps({"name": "s", "expectations": entries}))
    request = {
        "dataset": "d",
        "version": "sha256:" + "0f" * 32,
        "objects": objects,
        "suite": {"path": str(folder / "suite.json"), "origin": "suite.json"},
        "reading": reading,
    }
    (folder / "request.json").write_text(json.dumps(request))
    return folder


def test_the_gate_judges_what_the_files_say(tmp_path: Path) -> None:
    zips = "zip,country\n02134,NA\n90210,n/a\n"
    cases: dict[str, tuple[Mapping[str, Any], list[Entry], Mapping[str, Any]]] = {
        "zips": ({"a.csv": zips}, ZIP, {}),
        "denied": ({"a.csv": zips + "10001,DE\n"}, ZIP, {}),
        "missing": ({"a.csv": zips}, ZIP, {"nulls": ["", "NA"]}),
        "canada": ({"a.csv": "x\n02134\n", "b.csv": "x\nK1A 0B1\n"}, ANY, {}),
        "hive": ({"x=2024-05-01/part-0.parquet": {"n": [1]}}, ANY, {}),
        "twice": ({"a.csv": "id,x,x\n1,2,3\n"}, ANY, {}),
        "digits": ({"a.parquet": {"x": [BIG]}, "b.parquet": {"x": [0.5]}}, ANY, {}),
        "whole": ({"a.parquet": {"x": [BIG]}, "b.parquet": {"x": [5.0]}}, ANY, {}),
        "settled": (
            {"a.parquet": {"x": [1]}, "b.csv": "x\nNA\n"},
            ANY,
            {"types": {"x": "double"}, "nulls": ["NA"]},
        ),
    }
    folders = [str(_folder(tmp_path / name, *case)) for name, case in cases.items()]
    command = [sys.executable, "-c", MANY, *folders]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    reports = {
        name: Report.model_validate_json((tmp_path / name / "report.json").read_bytes())
        for name in cases
    }
    found = {
        name: [(str(one.verdict), one.message) for one in report.checks if not one.verdict.passes]
        for name, report in reports.items()
    }
    for name in ("zips", "canada", "hive", "whole"):
        assert found[name] == [], name
        assert reports[name].verdict is Verdict.PASS
    assert [verdict for verdict, _ in found["denied"]] == ["FAIL"]
    assert found["denied"][0][1].startswith("`zip`: 1 of 3 values ")
    assert found["missing"] == [("FAIL", "`country`: 1 of 2 values are null (50 %), none allowed")]
    assert found["twice"] == [("FAIL", "`a.csv` has more than one column `x`")]
    (clash, left) = found["digits"]
    assert (clash[0], left[0]) == ("FAIL", "ERROR")
    assert clash[1].startswith("column `x` is int64 in `a.parquet`; double in `b.parquet`")
    assert "no rows" not in " ".join(message for _, message in found["digits"])
    assert found["settled"] == [("FAIL", "`x`: 1 of 2 values are null (50 %), none allowed")]
