"""The gate as a process of its own, asked about one table."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from validators.data.reading.objects import ObjectFile
from validators.data.request import DataGateRequest, SuiteFile
from validators.report import Report

ROOT = Path(__file__).parents[3]


def ask(
    folder: Path, table: Mapping[str, Any], suite: str, file: str = "suite.yaml", **rest: Any
) -> Report:
    """The report on a table by a suite that is in a file; `rest` is more about the request."""
    patience = rest.pop("patience", 110)
    data, place = folder / "data.parquet", folder / file
    pq.write_table(pa.table(dict(table)), data)
    place.write_text(suite)
    request = DataGateRequest(
        dataset="flights",
        version="v1",
        objects=(ObjectFile(key="data.parquet", path=str(data)),),
        suite=SuiteFile(
            path=str(place), origin=file, at=rest.pop("at", ()), params=rest.pop("params", {})
        ),
        **rest,
    )
    asked, report = folder / "request.json", folder / "report.json"
    asked.write_text(request.model_dump_json())
    command = (sys.executable, "-P", "-m", "validators.data", str(asked), str(report))
    subprocess.run(command, check=True, cwd=ROOT, timeout=patience)
    return Report.model_validate_json(report.read_bytes())
