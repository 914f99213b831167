"""Train a softmax regression by gradient descent."""

import argparse
import json
from pathlib import Path

import penguins

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, required=True, help="a folder of CSV files")
parser.add_argument("--rounds", type=int, default=50)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

rows = [row for row in penguins.read(given.data) if not penguins.is_held_out(row)]
examples = [(penguins.features(row), row["species"]) for row in rows]
weights = [[0.0] * len(examples[0][0]) for _ in penguins.SPECIES]
for _ in range(given.rounds):
    slopes = [[0.0] * len(of) for of in weights]
    for values, species in examples:
        said = penguins.probabilities(weights, values)
        for at, name in enumerate(penguins.SPECIES):
            off = said[name] - (name == species)
            for place, value in enumerate(values):
                slopes[at][place] += off * value
    weights = [
        [weight - slope / len(examples) for weight, slope in zip(of, down, strict=True)]
        for of, down in zip(weights, slopes, strict=True)
    ]
given.out.write_text(json.dumps({"weights": weights}))
print(f"trained on {len(examples)} penguins")
