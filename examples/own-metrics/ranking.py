"""Code shared by training, evaluation and the server: searches, features and the model."""

import csv
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

FEATURES = ("match", "popular", "fresh")

Row = Mapping[str, str]


def read(folder: Path) -> dict[int, list[Row]]:
    """The items that were shown, by search."""
    searches: dict[int, list[Row]] = defaultdict(list)
    for path in sorted(folder.rglob("*.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                searches[int(row["search"])].append(row)
    return dict(searches)


def is_held_out(search: int) -> bool:
    """Whether the search is held out: every second one, for any model."""
    return search % 2 == 0


def score(weights: list[float], row: Row) -> float:
    """The score to rank the item by. Raises KeyError or ValueError if a feature is missing."""
    return sum(w * float(row[name]) for w, name in zip(weights, FEATURES, strict=True))


def load(path: Path) -> list[float]:
    """Load a model written by train.py."""
    weights: list[float] = json.loads(path.read_text())["weights"]
    return weights
