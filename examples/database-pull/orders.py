"""Orders and the model, shared by training, evaluation and serving."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read(folder: Path) -> list[dict[str, Any]]:
    """The rows of the dataset: one Parquet file in its folder."""
    import pyarrow.parquet as pq

    return [
        row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]


def is_held_out(row: Mapping[str, Any]) -> bool:
    """Whether the order is held out for the evaluation."""
    return row["id"] % 4 == 0


def features(order: Mapping[str, Any]) -> list[float]:
    """The features of an order, known when it is placed."""
    return [1.0, math.log1p(float(order["price"])) - 4.0, float(order["items"]) / 5.0]


def probability(weights: list[float], order: Mapping[str, Any]) -> float:
    """The probability that the order is sent back."""
    total = sum(w * x for w, x in zip(weights, features(order), strict=True))
    return 1 / (1 + math.exp(-total))


def load(path: Path) -> list[float]:
    """Load the weights of a model."""
    return [float(weight) for weight in json.loads(path.read_text())["weights"]]
