"""What training, evaluation and server have to agree on: the searches, the features, the model."""

import csv
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

FEATURES = ("match", "popular", "fresh")

Row = Mapping[str, str]


def read(folder: Path) -> dict[int, list[Row]]:
    """What was shown, by search."""
    searches: dict[int, list[Row]] = defaultdict(list)
    for path in sorted(folder.rglob("*.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                searches[int(row["search"])].append(row)
    return dict(searches)


def is_held_out(search: int) -> bool:
    """Every second search is kept from training, whatever the model."""
    return search % 2 == 0


def score(weights: list[float], row: Row) -> float:
    """How far up the item belongs. Raises KeyError or ValueError where a feature is missing."""
    return sum(w * float(row[name]) for w, name in zip(weights, FEATURES, strict=True))


def load(path: Path) -> list[float]:
    """A model that train.py wrote."""
    weights: list[float] = json.loads(path.read_text())["weights"]
    return weights
