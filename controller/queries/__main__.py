"""`python -m controller.queries REQUEST.json ROWS.parquet VERSION.json`: fetch a query's rows.

The address of the database is only in the environment. Exits with 0 once everything is written,
with ROWS_CHANGED if the rows changed in the meantime, otherwise with 1 and a line that says why.
"""

import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path

from controller.queries import ADDRESS, ROWS_CHANGED
from controller.queries.fetching import RowsChanged, fetch
from specs.failures import Failure, TryAgain
from specs.figures import duration

PATIENCE = 120.0
"""Seconds for which to wait for an unreachable database."""
PAUSE = 5.0
"""Seconds between tries."""


def main(arguments: list[str]) -> int:
    """Read the request and fetch the rows."""
    if len(arguments) != 3:
        sys.stderr.write("usage: python -m controller.queries REQUEST ROWS VERSION\n")
        return 2
    # Logs and warnings of libraries may quote the address or rows.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    asked, rows, version = (Path(argument) for argument in arguments)
    request = json.loads(asked.read_text())
    who = f"datasets.{request['dataset']}"
    try:
        count, found = _fetch(request, rows)
        if found is not None:
            version.write_bytes(found)
    except RowsChanged as moved:
        sys.stderr.write(f"{who}: {moved}\n")
        return ROWS_CHANGED
    except Failure as failure:
        sys.stderr.write(f"{who}: {failure}\n")
        return 1
    except Exception as error:  # neither its message nor a traceback, as both may quote rows
        sys.stderr.write(f"{who}: internal error ({type(error).__name__})\n")
        return 1
    sys.stdout.write(f"{who}: {count:,} rows fetched\n")
    return 0


def _fetch(request: dict[str, str | None], rows: Path) -> tuple[int, bytes | None]:
    """Fetch the rows, waiting for an unreachable database."""
    statement = request["sql"]
    assert statement is not None, "every query has a statement"
    until = time.monotonic() + PATIENCE
    while True:
        try:
            address = os.environ[ADDRESS]
            return fetch(address, statement, request["version"], rows, Path(os.environ["TMPDIR"]))
        except RowsChanged:
            raise
        except TryAgain as failure:
            if time.monotonic() + PAUSE > until:
                raise
            sys.stdout.write(f"{failure}; trying again in {duration(PAUSE)}\n")
            sys.stdout.flush()
            time.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
