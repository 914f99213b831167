"""Train a logistic regression by gradient descent."""

import argparse
import json
from pathlib import Path

import orders

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, required=True, help="the dataset's folder")
parser.add_argument("--rounds", type=int, default=200)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

rows = [row for row in orders.read(given.data) if not orders.is_held_out(row)]
weights = [0.0, 0.0, 0.0]
for _ in range(given.rounds):
    slopes = [0.0, 0.0, 0.0]
    for row in rows:
        off = orders.probability(weights, row) - bool(row["returned"])
        slopes = [s + off * x for s, x in zip(slopes, orders.features(row), strict=True)]
    weights = [w - 2.0 * s / len(rows) for w, s in zip(weights, slopes, strict=True)]
given.out.write_text(json.dumps({"weights": weights}))
print(f"trained on {len(rows)} orders")
