"""Write the predictions for the held-out orders."""

import argparse
import csv
from pathlib import Path

import orders

parser = argparse.ArgumentParser()
parser.add_argument("--model", type=Path, required=True)
parser.add_argument("--data", type=Path, required=True, help="the dataset's folder")
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

weights = orders.load(given.model)
with given.out.open("w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "returned", "p_returned"])
    for row in orders.read(given.data):
        if orders.is_held_out(row):
            out.writerow([row["id"], int(row["returned"]), orders.probability(weights, row)])
