"""Score today's customers with the released model."""

import argparse
import csv
from pathlib import Path

import customers

parser = argparse.ArgumentParser()
parser.add_argument("--model", type=Path, required=True)
parser.add_argument("--customers", type=Path, required=True)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

model = customers.load(given.model)
scored = [(customers.p_left(model, row), row["id"]) for row in customers.read(given.customers)]
assert scored, "there is nobody to score"
with given.out.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "p_left"])
    writer.writerows((id_, f"{p:.4f}") for p, id_ in sorted(scored, reverse=True))
print(f"scored {len(scored)} customers")
