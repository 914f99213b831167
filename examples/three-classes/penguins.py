"""Code shared by training, evaluation and the server: rows, features and the model."""

import csv
import json
import math
from pathlib import Path

SPECIES = ("Adelie", "Chinstrap", "Gentoo")
ISLANDS = ("Biscoe", "Dream", "Torgersen")
# Measures with their typical value and spread, to scale them to a similar size.
MEASURES = {"bill_length_mm": (44, 5.5), "flipper_length_mm": (201, 14)}

Weights = list[list[float]]  # for each species, in order


def read(folder: Path) -> list[dict[str, str]]:
    """The rows of all files, with a column for each folder, as in island=Biscoe/year=2007."""
    rows: list[dict[str, str]] = []
    for path in sorted(folder.rglob("*.csv")):
        parts = path.relative_to(folder).parent.parts
        of_folders = dict(part.split("=", 1) for part in parts if "=" in part)
        with path.open(newline="") as file:
            rows += [of_folders | row for row in csv.DictReader(file)]
    return rows


def is_held_out(row: dict[str, str]) -> bool:
    """Whether the penguin is held out: every second one, for any model."""
    return int(row["id"]) % 2 == 0


def features(row: dict[str, str]) -> list[float]:
    """A penguin as numbers. Raises KeyError or ValueError if a value is missing."""
    measures = [(float(row[name]) - usual) / spread for name, (usual, spread) in MEASURES.items()]
    return [1.0, *measures, *(float(row["island"] == island) for island in ISLANDS)]


def probabilities(weights: Weights, values: list[float]) -> dict[str, float]:
    """The probability of each species."""
    totals = [sum(w * v for w, v in zip(of, values, strict=True)) for of in weights]
    shares = [math.exp(total - max(totals)) for total in totals]
    return {name: share / sum(shares) for name, share in zip(SPECIES, shares, strict=True)}


def load(path: Path) -> Weights:
    """Load a model written by train.py."""
    weights: Weights = json.loads(path.read_text())["weights"]
    return weights
