"""Train a model of a yes-or-no column: a tool that all teams use."""

import argparse
import csv
import json
from pathlib import Path

from telco.features import features
from telco.scoring import fit

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, required=True, help="a folder of CSV files")
parser.add_argument("--label", required=True, help="the column to learn")
parser.add_argument("--rounds", type=int, default=200)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

rows = []
for path in sorted(given.data.glob("*.csv")):
    with path.open(newline="") as file:
        # Every fourth customer is held out for the evaluation.
        train = (row for row in csv.DictReader(file) if int(row["customer"]) % 4)
        rows += [(features(row), int(row[given.label])) for row in train]
given.out.write_text(json.dumps({"weights": fit(rows, given.rounds)}))
print(f"trained on {len(rows)} customers")
