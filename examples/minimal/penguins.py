"""Code shared by training, evaluation and the server: rows, features and the model."""

import csv
import json
import math
from pathlib import Path

SPECIES = ("Adelie", "Chinstrap", "Gentoo")
# Measures with their typical value and spread, to scale them to a similar size.
MEASURES = {
    "bill_length_mm": (44, 5.5),
    "bill_depth_mm": (17, 2),
    "flipper_length_mm": (201, 14),
    "body_mass_g": (4200, 800),
}


def read(folder: Path) -> list[dict[str, str]]:
    """The rows of all files."""
    rows: list[dict[str, str]] = []
    for path in sorted(folder.rglob("*.csv")):
        with path.open(newline="") as file:
            rows += csv.DictReader(file)
    return rows


def is_held_out(row: dict[str, str]) -> bool:
    """Whether the penguin is held out: every fourth one, for any model."""
    return int(row["id"]) % 4 == 0


def features(row: dict[str, str]) -> list[float]:
    """A penguin as numbers. Raises KeyError or ValueError if a measure is missing."""
    measures = [(float(row[name]) - usual) / spread for name, (usual, spread) in MEASURES.items()]
    return [1.0, *measures, *(float(row["species"] == species) for species in SPECIES)]


def probability(weights: list[float], row: dict[str, str]) -> float:
    """The probability that the penguin is female."""
    total = sum(weight * value for weight, value in zip(weights, features(row), strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def load(path: Path) -> list[float]:
    """Load a model written by train.py."""
    weights: list[float] = json.loads(path.read_text())["weights"]
    return weights
