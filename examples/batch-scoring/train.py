"""Train a logistic regression on past customers."""

import argparse
import json
from pathlib import Path

import customers

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--rounds", type=int, default=300)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

rows = [row for row in customers.read(given.data) if not customers.is_held_out(row)]
pairs = [(customers.features(row), int(row["left"])) for row in rows]
weights = [0.0] * len(pairs[0][0])
for _ in range(given.rounds):
    errors = [(x, y - customers.p_left(weights, row))
              for (x, y), row in zip(pairs, rows, strict=True)]  # fmt: skip
    for place in range(len(weights)):
        slope = sum(error * x[place] for x, error in errors) / len(errors)
        weights[place] += 0.5 * slope
given.out.write_text(json.dumps(weights))
