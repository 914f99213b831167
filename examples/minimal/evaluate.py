"""Write the predictions for the held-out penguins, beside the true values."""

import argparse
import csv
from pathlib import Path

import penguins

parser = argparse.ArgumentParser()
parser.add_argument("--model", type=Path, required=True)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

weights = penguins.load(given.model)
with given.out.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "female", "p_female"])
    for row in penguins.read(given.data):
        if penguins.is_held_out(row):
            writer.writerow([row["id"], row["female"], penguins.probability(weights, row)])
