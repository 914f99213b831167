"""Write the predictions for the held-out customers, beside whether they left."""

import argparse
import csv
from pathlib import Path

import customers

parser = argparse.ArgumentParser()
parser.add_argument("--model", type=Path, required=True)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

model = customers.load(given.model)
with given.out.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "left", "p_left"])
    for row in customers.read(given.data):
        if customers.is_held_out(row):
            writer.writerow([row["id"], row["left"], customers.p_left(model, row)])
