"""What training, evaluation and server have to agree on: the rows, the features, the model."""

import csv
import json
import math
from pathlib import Path

SPECIES = ("Adelie", "Chinstrap", "Gentoo")
ISLANDS = ("Biscoe", "Dream", "Torgersen")
# A measure with its usual value and spread, so that all of them have about the same size.
MEASURES = {"bill_length_mm": (44, 5.5), "flipper_length_mm": (201, 14)}

Weights = list[list[float]]  # of each species, in their order


def read(folder: Path) -> list[dict[str, str]]:
    """The rows of all files, with the columns that the folders are: island=Biscoe/year=2007."""
    rows: list[dict[str, str]] = []
    for path in sorted(folder.rglob("*.csv")):
        parts = path.relative_to(folder).parent.parts
        of_folders = dict(part.split("=", 1) for part in parts if "=" in part)
        with path.open(newline="") as file:
            rows += [of_folders | row for row in csv.DictReader(file)]
    return rows


def is_held_out(row: dict[str, str]) -> bool:
    """Every second penguin is kept from training, whatever the model."""
    return int(row["id"]) % 2 == 0


def features(row: dict[str, str]) -> list[float]:
    """A penguin as numbers. Raises KeyError or ValueError where something is missing."""
    measures = [(float(row[name]) - usual) / spread for name, (usual, spread) in MEASURES.items()]
    return [1.0, *measures, *(float(row["island"] == island) for island in ISLANDS)]


def probabilities(weights: Weights, values: list[float]) -> dict[str, float]:
    """How likely the penguin is of each species; their sum is 1."""
    totals = [sum(w * v for w, v in zip(of, values, strict=True)) for of in weights]
    shares = [math.exp(total - max(totals)) for total in totals]
    return {name: share / sum(shares) for name, share in zip(SPECIES, shares, strict=True)}


def load(path: Path) -> Weights:
    """A model that train.py wrote."""
    weights: Weights = json.loads(path.read_text())["weights"]
    return weights
