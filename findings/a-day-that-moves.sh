#!/usr/bin/env bash
# Arrow's strptime makes 1 March of 30 February, and the year 24 of a date with two digits for it.
#
# `pyarrow.compute.strptime` is the way to read days that are not written as ISO 8601, such as 30.02.2024.
# With pyarrow 26.0.1 a day that its month does not have becomes one of the next month, as the C library
# that it asks does not look, and `%Y` takes fewer than four digits. Both are silent: `error_is_null` gives
# no null either. The cast of the text 2024-02-30 to a date is an error, and so is Python's own strptime.
# The reader of CSV is affected where `timestamp_parsers` has such a format.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import io
from datetime import datetime

import pyarrow
import pyarrow.compute
import pyarrow.csv

FORM = "%d.%m.%Y"
KIND = pyarrow.timestamp("s")


def strptime(text):
    options = {"format": FORM, "unit": "s", "error_is_null": True}
    found = pyarrow.compute.strptime(pyarrow.array([text]), **options)
    return found[0].as_py()


def from_csv(text):
    options = pyarrow.csv.ConvertOptions(column_types={"x": KIND}, timestamp_parsers=[FORM])
    rows = io.BytesIO(f"x\n{text}\n".encode())
    return pyarrow.csv.read_csv(rows, convert_options=options)["x"][0].as_py()


def python(text):
    try:
        return datetime.strptime(text, FORM)
    except ValueError:
        return None


print("pyarrow", pyarrow.__version__)
for text in ("29.02.2024", "30.02.2024", "31.04.2024", "01.05.24"):
    print(f"{text}: strptime {strptime(text)}, CSV {from_csv(text)}, Python {python(text)}")
assert strptime("29.02.2024") == from_csv("29.02.2024") == python("29.02.2024")
assert strptime("30.02.2024") == from_csv("30.02.2024") == datetime(2024, 3, 1), "days are checked"
assert strptime("31.04.2024") == from_csv("31.04.2024") == datetime(2024, 5, 1)
assert strptime("01.05.24") == from_csv("01.05.24") == datetime(24, 5, 1), "years are checked"
assert python("30.02.2024") is None and python("01.05.24") is None
try:
    pyarrow.array(["2024-02-30"]).cast(pyarrow.date32())
except pyarrow.ArrowInvalid:
    print("the cast of 2024-02-30 is an error")
else:
    raise AssertionError("the cast takes it as well")
PYTHON
