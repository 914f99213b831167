"""Write the predictions for the held-out customers, beside the true values."""

import argparse
import csv
import json
from pathlib import Path

from telco.features import features
from telco.scoring import probability

parser = argparse.ArgumentParser()
parser.add_argument("--model", type=Path, required=True)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()

weights = json.loads(given.model.read_text())["weights"]
with given.out.open("w", newline="") as out:
    writer = csv.writer(out)
    writer.writerow(["customer", "churned", "p_churn"])
    for path in sorted(given.data.glob("*.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if int(row["customer"]) % 4 == 0:
                    score = probability(weights, features(row))
                    writer.writerow([row["customer"], row["churned"], score])
