"""Scores every row."""

import argparse
import csv
import json
import random
from pathlib import Path

arguments = argparse.ArgumentParser()
arguments.add_argument("--model", type=Path, required=True)
arguments.add_argument("--data", type=Path, required=True)
arguments.add_argument("--out", type=Path, required=True)
given = arguments.parse_args()

model = json.loads(given.model.read_text())
dice = random.Random(7)
with given.out.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "label", "score"])
    for source in sorted(given.data.glob("*.csv")):
        for row in csv.DictReader(source.open()):
            x = float(row["x"]) if model["sign"] > 0 else 1 - float(row["x"])
            score = (x + model["noise"] * dice.random()) / (1 + model["noise"])
            writer.writerow([row["id"], row["label"], score])
