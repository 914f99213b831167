#!/usr/bin/env bash
# A data contract whose service level names a column, as the standard writes it, is refused.
#
# The Open Data Contract Standard says of `slaProperties`: "Use the Object.Element", and shows
# `element: tab1.txn_ref_dt`. With pyodcs 0.9.0, which calls itself the reference implementation, such
# an element is an error, odcs:unresolved-reference, even if the object has that column; the object
# alone is accepted. It also refuses contracts of any version but v3.1.0, such as v3.0.2, and of a
# contract with one unknown key it reports nothing but that key. So a contract that is in use may well
# fail there: validate with it what you write anew, not what you are given.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyodcs==0.9.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import json

import pyodcs


def found(**changes):
    contract = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "payments",
        "version": "1.0.0",
        "status": "active",
        "schema": [
            {"name": "tab1", "properties": [{"name": "txn_ref_dt", "logicalType": "date"}]}
        ],
        **changes,
    }
    result = pyodcs.validate_result(pyodcs.parse(json.dumps(contract), "json"))
    return [one["id"] for one in result["diagnostics"]]


def latency(element):
    return [{"property": "latency", "value": 4, "unit": "d", "element": element}]


seen = {
    "no service level": found(),
    "of the object": found(slaProperties=latency("tab1")),
    "of its column": found(slaProperties=latency("tab1.txn_ref_dt")),
    "version 3.0.2": found(apiVersion="v3.0.2"),
    "an unknown key": found(nonsense=1, apiVersion="v3.0.2"),
}
for what, ids in seen.items():
    print(f"{what:17} {', '.join(ids) or 'valid'}")
assert seen == {
    "no service level": [],
    "of the object": [],
    "of its column": ["odcs:unresolved-reference"],
    "version 3.0.2": ["odcs:unsupported-version"],
    "an unknown key": ["odcs:unknown-field"],
}, "pyodcs reads contracts differently now"
PYTHON
