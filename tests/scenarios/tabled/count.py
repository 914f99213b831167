"""Fails unless the files of the folder are those that its log names."""

import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
log = (folder / "_delta_log" / "00000000000000000000.json").read_text().splitlines()
named = {line["add"]["path"]: line["add"]["size"] for line in map(json.loads, log) if "add" in line}
there = {path.name: path.stat().st_size for path in folder.glob("*.parquet")}
assert named == there, (named, there)
Path(sys.argv[2]).write_text(f"{len(there)}\n")
