"""Learns which way x points at the label: +1 or -1. `noise` makes the model worse."""

import argparse
import csv
import json
from pathlib import Path

arguments = argparse.ArgumentParser()
arguments.add_argument("--data", type=Path, required=True)
arguments.add_argument("--noise", type=float, required=True)
arguments.add_argument("--out", type=Path, required=True)
given = arguments.parse_args()

rows = [row for file in sorted(given.data.glob("*.csv")) for row in csv.DictReader(file.open())]
signs = [(float(row["x"]) - 0.5) * (float(row["label"]) - 0.5) for row in rows]
given.out.write_text(json.dumps({"sign": 1 if sum(signs) > 0 else -1, "noise": given.noise}))
