"""Predictions for the gate's tests: seeded, with known relations between the models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from specs.gates import ModelGate
from validators.model.gate import judge
from validators.model.request import BaselinePredictions, ModelGateRequest, NoBaseline
from validators.report import Check, Report

CARRIERS = ("AA", "B6", "DL", "UA")


def flights(
    n: int = 4000, seed: int = 1, noise: float = 0.3, flip: str | None = None
) -> dict[str, Any]:
    """Labels follow a hidden risk, which the score sees with noise, and inverted for one carrier.

    The same seed gives the same rows and labels whatever the noise, so two models can be paired.
    """
    source = np.random.default_rng(seed)
    risk = source.normal(size=n)
    late = source.random(n) < 1 / (1 + np.exp(1.2 - 1.5 * risk))
    carrier = source.choice(CARRIERS, n, p=[0.4, 0.3, 0.2, 0.1])
    origin = source.choice(["EWR", "JFK"], n)
    seen = risk + np.random.default_rng(seed + 1000).normal(size=n) * noise
    if flip:
        seen = np.where(carrier == flip, -seen, seen)
    return {
        "id": np.arange(n),
        "late": late,
        "p": 1 / (1 + np.exp(1.2 - 1.5 * seen)),
        "carrier": carrier,
        "origin": origin,
    }


def write(path: Path, columns: Mapping[str, Any]) -> Path:
    """A Parquet file of the columns."""
    pq.write_table(pa.table(dict(columns)), path)
    return path


AUC_LIMIT = {"metric": "roc_auc", "at_least": 0.6}
AUC_PAIRED = {"metric": "roc_auc", "not_worse_than_baseline_by": 0.01}


@dataclass(frozen=True)
class Bench:
    """A folder with two files of predictions, and the request about them."""

    folder: Path
    checks: Sequence[Mapping[str, Any]] = (AUC_LIMIT, AUC_PAIRED)
    slices: Sequence[str] = ()
    gate: Mapping[str, Any] | None = None
    """More fields of the gate."""
    columns: Mapping[str, str] | None = None
    same_model: bool = False
    none_because: NoBaseline | None = None
    more: Mapping[str, Any] | None = None

    def request(
        self, candidate: Mapping[str, Any], baseline: Mapping[str, Any] | None
    ) -> ModelGateRequest:
        """The request over these predictions, written to the folder."""
        gate = {
            "predictions": "steps.evaluate.predictions",
            "columns": self.columns or {"key": "id", "label": "late", "score": "p"},
            "checks": [dict(check) for check in self.checks],
            "slices": list(self.slices),
            **(self.gate or {}),
        }
        return ModelGateRequest(
            subject="flight-delay 7",
            candidate=write(self.folder / "candidate", candidate),
            baseline=(
                self.none_because or NoBaseline(kind="first_model")
                if baseline is None
                else BaselinePredictions(
                    path=write(self.folder / "baseline", baseline), subject="flight-delay 6"
                )
            ),
            same_model=self.same_model,
            gate=ModelGate.model_validate(gate),
            resamples=400,
            **(self.more or {}),
        )

    def judge(
        self, candidate: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
    ) -> Report:
        """The gate's report on these predictions."""
        return judge(self.request(candidate, baseline))

    def asking(self, *checks: Mapping[str, Any]) -> "Bench":
        """The same with other checks."""
        return replace(self, checks=checks)


def one(report: Report, name: str, subject: str | None = None) -> Check:
    """The check with this name; there must be exactly one."""
    found = [c for c in report.checks if c.name == name and (not subject or c.subject == subject)]
    assert len(found) == 1, [check.name for check in report.checks]
    return found[0]
