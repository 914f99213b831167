"""Write the probability of each species for the held-out penguins, beside their species."""

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
    writer.writerow(["id", "island", "species", *(f"p_{name}" for name in penguins.SPECIES)])
    for row in penguins.read(given.data):
        if penguins.is_held_out(row):
            said = penguins.probabilities(weights, penguins.features(row))
            writer.writerow([row["id"], row["island"], row["species"], *said.values()])
