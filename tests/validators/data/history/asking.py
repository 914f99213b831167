"""Asks the gate of `checks`, with files in a folder, version after version."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from specs.digests import digest
from validators.data.history.gate import judge_history
from validators.data.history.request import HistoryRequest
from validators.report import Check, Report

NOW = 1_796_000_000.0
DAY = 86_400.0


@dataclass
class Gatekeeper:
    """Judges versions by the same checks; each that is accepted counts for the next."""

    folder: Path
    checks: Sequence[Mapping[str, Any]]
    at: float = NOW
    past: Path | None = None
    others: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    asked: int = 0

    def judge(self, objects: Mapping[str, Mapping[str, Any]], *, accept: bool = True) -> Report:
        """The report on a version with these objects, by their keys."""
        own = self.folder / str(self.asked + 1)
        return self._judge(own, _written(own / "data", objects), accept=accept)

    def judge_file(self, path: Path) -> Report:
        """The report on a version that is this file."""
        own = self.folder / str(self.asked + 1)
        own.mkdir(parents=True)
        return self._judge(own, [{"key": path.name, "path": str(path), "digest": "x"}])

    def _judge(self, own: Path, files: list[dict[str, str]], *, accept: bool = True) -> Report:
        self.asked += 1
        found = own / "history.json"
        others = {
            name: {"objects": _written(own / name, tables)} for name, tables in self.others.items()
        }
        request = HistoryRequest.model_validate_json(
            _json(
                dataset="orders",
                version=digest([one["digest"] for one in files]),
                at=self.at,
                objects=files,
                others=others,
                checks=self.checks,
                file="ml-pipeline.yaml",
                history={"known": str(self.past) if self.past else None, "found": str(found)},
            )
        )
        report = judge_history(request)
        if accept:
            self.past = found
        self.at += DAY
        return report

    def check(self, objects: Mapping[str, Mapping[str, Any]], *, accept: bool = True) -> Check:
        """The first check on a version."""
        return self.judge(objects, accept=accept).checks[0]


def _written(folder: Path, objects: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    files = []
    for key, data in objects.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(dict(data)), path)
        files.append({"key": key, "path": str(path), "digest": digest(path.read_bytes().hex())})
    return files


def _json(**said: Any) -> str:
    return json.dumps(said)
