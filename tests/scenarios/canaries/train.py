"""Fits the mean of a column: small, but a real model that depends on its data."""

import argparse
import csv
import json
import time
from pathlib import Path

arguments = argparse.ArgumentParser()
arguments.add_argument("--data", type=Path, required=True)
arguments.add_argument("--shift", type=float, required=True)
arguments.add_argument("--out", type=Path, required=True)
arguments.add_argument("--wait", type=float, default=0.0)
given = arguments.parse_args()

values = [
    float(row["value"])
    for file in sorted(given.data.glob("*.csv"))
    for row in csv.DictReader(file.open())
]
time.sleep(given.wait)
given.out.write_text(json.dumps({"mean": sum(values) / len(values) + given.shift}))
print(f"trained on {len(values)} values")
