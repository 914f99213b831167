#!/usr/bin/env bash
# httpx2 drops the query of an address when it is given no parameters: `params={}` is not `params=None`.
#
# With httpx2 2.16.2, as with httpx 0.28, `params` replaces the query that an address has, and an empty mapping
# replaces it by nothing, in silence. A helper that passes on `params=dict(given or {})` so turned the
# `?dryRun=All` of an API server's address into a call that was carried out: Headgate's doctor created what
# it wanted to try. Pass None where there are none, or keep the query out of addresses.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q httpx2==2.16.2 httpx==0.28.1
"$folder/venv/bin/python" - <<'PYTHON'
import httpx
import httpx2

ADDRESS = "http://api.example/apis/x?dryRun=All"
for library in (httpx, httpx2):
    client = library.Client()
    found = {
        str(given): str(client.build_request("POST", ADDRESS, params=given).url.query, "ascii")
        for given in (None, {}, {"limit": "1"})
    }
    print(library.__name__, library.__version__, found)
    assert found == {"None": "dryRun=All", "{}": "", "{'limit': '1'}": "limit=1"}
PYTHON
