#!/usr/bin/env bash
# Arrow's cast of text to decimal turns some numbers that are too long into other numbers.
#
# Identifiers, hashes and balances of more than 38 digits do not fit into decimal128. With pyarrow
# 26.0.1, the readers of CSV and JSON reject all of them, but the cast of strings only checks the number
# after it has wrapped around at 128 bits, and accepts it if the result happens to be short enough:
#   39 nines  -> -20847100762815390390123822295304634369, a negative number
#   40 ones   ->  90264010348295720720987288815806476743
#   39 ones, 40 nines -> rejected, as they should be
# `validate(full=True)` reports nothing. Compare the length of the text with the precision before the
# cast.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import io
from decimal import Decimal

import pyarrow
import pyarrow.csv
import pyarrow.json

KIND = pyarrow.decimal128(38, 0)


def cast(text):
    found = pyarrow.array([text]).cast(KIND)
    found.validate(full=True)
    return found[0].as_py()


def from_csv(text):
    options = pyarrow.csv.ConvertOptions(column_types={"x": KIND})
    rows = io.BytesIO(f"x\n{text}\n".encode())
    return pyarrow.csv.read_csv(rows, convert_options=options)["x"][0].as_py()


def from_json(text):
    options = pyarrow.json.ParseOptions(explicit_schema=pyarrow.schema([("x", KIND)]))
    rows = io.BytesIO(f'{{"x": {text}}}\n'.encode())
    return pyarrow.json.read_json(rows, parse_options=options)["x"][0].as_py()


def found(read, text):
    try:
        return read(text)
    except pyarrow.ArrowInvalid:
        return None


print("pyarrow", pyarrow.__version__)
wrapped = []
for digit, length in (("9", 38), ("9", 39), ("1", 39), ("9", 40), ("1", 40), ("9", 45)):
    text = digit * length
    answers = [found(read, text) for read in (cast, from_csv, from_json)]
    print(f"{length} times {digit}:", *("rejected" if each is None else each for each in answers))
    if answers[0] not in (None, Decimal(text)):
        wrapped.append((digit, length))
    assert answers[1] == answers[2] == (Decimal(text) if length <= 38 else None)
assert wrapped == [("9", 39), ("1", 40), ("9", 45)], "the cast has changed"
PYTHON
