"""What training, evaluation and scoring have to agree on: the rows, the features, the model."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path

Model = list[float]  # a weight for each feature, the constant first


def read(folder: Path) -> Iterator[dict[str, str]]:
    """The customers of all files."""
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def features(row: dict[str, str]) -> list[float]:
    """All of about the same size."""
    return [
        1.0,
        int(row["months"]) / 24 - 1,
        float(row["monthly"]) / 40 - 1,
        float(row["support_calls"]) - 1,
    ]


def p_left(model: Model, row: dict[str, str]) -> float:
    """How likely the customer is to leave."""
    z = sum(weight * x for weight, x in zip(model, features(row), strict=True))
    return 1 / (1 + math.exp(-z))


def is_held_out(row: dict[str, str]) -> bool:
    """Every third customer is kept from training, whatever the model."""
    return int(row["id"]) % 3 == 0


def load(path: Path) -> Model:
    """The model that training wrote."""
    model: Model = json.loads(path.read_text())
    return model
