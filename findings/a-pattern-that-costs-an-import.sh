#!/usr/bin/env bash
# A pattern of one class and one bound costs a process a tenth of a second, before its first use.
#
# pydantic 2.14.4 compiles the patterns of a model's fields when the class is made, which is when its
# module is imported. Its engine unrolls a bounded repetition: `^[\w .]{1,200}$` becomes 200 copies of
# a class of all letters, which takes 0.07 CPU s and more: a hundred times as long as the same bound said
# as a length, `pattern=r"^[\w .]+$", max_length=200`, and which Python's own `re` compiles in no time.
# In a short process, such as one that judges a small table, that was the most costly of our modules.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pydantic==2.14.4
"$folder/venv/bin/python" - <<'PYTHON'
import re
import time
from typing import Annotated

from pydantic import Field, TypeAdapter


def cpu(make) -> float:
    began = time.process_time()
    make()
    return time.process_time() - began


TypeAdapter(Annotated[str, Field(pattern="^a$")])  # whatever is imported at first
bounded = cpu(lambda: TypeAdapter(Annotated[str, Field(pattern=r"^[\w .]{1,200}$")]))
length = cpu(lambda: TypeAdapter(Annotated[str, Field(pattern=r"^[\w .]+$", max_length=200)]))
python = cpu(lambda: re.compile(r"^[\w .]{1,200}$"))
print(f"pydantic, {{1,200}}: {bounded:.3f} CPU s; with max_length: {length:.3f}; re: {python:.3f}")
assert bounded > 20 * max(length, python), "a bounded class is no longer slow to compile"
PYTHON
