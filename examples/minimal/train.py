"""Train a logistic regression by gradient descent."""

import argparse
import json
from pathlib import Path

import penguins

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, required=True, help="a folder of CSV files")
parser.add_argument("--rounds", type=int, default=300)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

rows = [row for row in penguins.read(given.data) if not penguins.is_held_out(row)]
examples = [(penguins.features(row), int(row["female"]), row) for row in rows]
weights = [0.0] * len(examples[0][0])
for _ in range(given.rounds):
    slopes = [0.0] * len(weights)
    for values, female, row in examples:
        off = penguins.probability(weights, row) - female
        for place, value in enumerate(values):
            slopes[place] += off * value
    weights = [
        weight - slope / len(examples) for weight, slope in zip(weights, slopes, strict=True)
    ]
given.out.write_text(json.dumps({"weights": weights}))
print(f"trained on {len(examples)} penguins")
