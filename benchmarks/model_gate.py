"""The cost of the model gate: paired intervals on a year of flights, against a scikit-learn loop.

336,776 rows, 1,000 resamples, two models, ROC AUC, and 19 slices of two columns. The loop is what
one would write first: draw rows, call `roc_auc_score` for both models. It is timed on a few
replicates of the whole alone and extrapolated; both should see about the same standard error.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.common import Row
from specs.gates import ModelGate
from specs.metrics import Task
from validators.model.gate import judge
from validators.model.measure import EvaluatedRows
from validators.model.request import BaselinePredictions, ModelGateRequest
from validators.model.study import Measurement, Subset, study

ROWS = 336_776
RESAMPLES = 1000
NAIVE = 40
Floats = NDArray[np.float64]


def main() -> list[Row]:
    """Print seconds and ratios."""
    source = np.random.default_rng(13)
    risk = source.normal(size=ROWS)
    late = (source.random(ROWS) < 1 / (1 + np.exp(1.3 - risk))).astype(np.float64)
    scores = [1 / (1 + np.exp(1.3 - risk - source.normal(size=ROWS) * 0.3)) for _ in range(2)]

    started = time.perf_counter()
    deviation = _fast(late, scores)
    fast = time.perf_counter() - started
    started = time.perf_counter()
    drawn = _naive(late, scores, np.random.default_rng(99))
    naive = (time.perf_counter() - started) * RESAMPLES / NAIVE
    print(f"model gate, {ROWS:,} rows, {RESAMPLES:,} resamples, ROC AUC of two models")
    print(f"  the whole, paired interval           {fast:8.1f} s")
    print(
        f"  scikit-learn in a loop, extrapolated {naive:8.1f} s   {naive / fast:.0f} times as long"
    )
    unsure = drawn / (2 * NAIVE) ** 0.5
    print(f"  standard error {deviation:.6f}, the loop's {drawn:.6f} (give or take {unsure:.6f})")
    with tempfile.TemporaryDirectory() as folder:
        request = _request(Path(folder), late, scores, source)
        started = time.perf_counter()
        report = judge(request)
        whole = time.perf_counter() - started
    print(f"  the gate from files to report, 19 slices {whole:4.1f} s   verdict {report.verdict}")
    return [Row("model gate, paired intervals", fast, "s", "scikit-learn in a loop", naive)]


def _fast(late: Floats, scores: list[Floats]) -> float:
    one, other = (EvaluatedRows(Task.BINARY, late, score) for score in scores)
    found = study(one, other, [(Subset(), ["roc_auc"])], RESAMPLES, seed=0)[None, "roc_auc"]
    assert isinstance(found, Measurement)
    return found.gain(0.95).deviation


def _naive(late: Floats, scores: list[Floats], source: np.random.Generator) -> float:
    differences = []
    for _ in range(NAIVE):
        rows = source.integers(0, ROWS, ROWS)
        one, other = (roc_auc_score(late[rows], score[rows]) for score in scores)
        differences.append(one - other)
    return float(np.std(differences))


def _request(
    folder: Path, late: Floats, scores: list[Floats], source: np.random.Generator
) -> ModelGateRequest:
    shared = {
        "id": np.arange(ROWS),
        "late": late,
        "carrier": [f"C{number}" for number in source.integers(0, 16, ROWS)],
        "origin": source.choice(["EWR", "JFK", "LGA"], ROWS),
    }
    for name, score in zip(("candidate", "baseline"), scores, strict=True):
        pq.write_table(pa.table({**shared, "p": score}), folder / name)
    gate = {
        "predictions": "steps.evaluate.predictions",
        "columns": {"key": "id", "label": "late", "score": "p"},
        "slices": ["carrier", "origin"],
        "checks": [
            {"metric": "roc_auc", "at_least": 0.6},
            {"metric": "roc_auc", "not_worse_than_baseline_by": 0.005},
        ],
    }
    return ModelGateRequest(
        subject="candidate",
        candidate=folder / "candidate",
        baseline=BaselinePredictions(path=folder / "baseline", subject="baseline"),
        gate=ModelGate.model_validate(gate),
        resamples=RESAMPLES,
    )


if __name__ == "__main__":
    main()
