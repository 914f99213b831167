"""Code shared by training, evaluation and scoring: rows, features and the model."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path

Model = list[float]  # the constant, then a weight for each feature


def read(folder: Path) -> Iterator[dict[str, str]]:
    """The customers of all files."""
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def features(row: dict[str, str]) -> list[float]:
    """The features of a customer, scaled to a similar size."""
    return [
        1.0,
        int(row["months"]) / 24 - 1,
        float(row["monthly"]) / 40 - 1,
        float(row["support_calls"]) - 1,
    ]


def p_left(model: Model, row: dict[str, str]) -> float:
    """The probability that the customer leaves."""
    z = sum(weight * x for weight, x in zip(model, features(row), strict=True))
    return 1 / (1 + math.exp(-z))


def is_held_out(row: dict[str, str]) -> bool:
    """Whether the customer is held out: every third one, for any model."""
    return int(row["id"]) % 3 == 0


def load(path: Path) -> Model:
    """Load a model written by train.py."""
    model: Model = json.loads(path.read_text())
    return model
