"""`python -m controller.queries REQUEST.json ROWS.parquet VERSION.json`: take a query's rows.

The address of the database is in the environment, and nowhere else. Exits with 0 once all is
written, with MOVED if the rows changed meanwhile; else says why in a line.
"""

import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path

from controller.queries import ADDRESS, MOVED
from controller.queries.taking import RowsChanged, take
from specs.failures import Failure, TryAgain
from specs.figures import duration

PATIENCE = 120.0
"""Seconds for which a database that is away is waited for."""
PAUSE = 5.0


def main(arguments: list[str]) -> int:
    """Read the request, take the rows."""
    if len(arguments) != 3:
        sys.stderr.write("usage: python -m controller.queries REQUEST ROWS VERSION\n")
        return 2
    # What libraries log and warn about may quote the address and the rows.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    asked, rows, version = (Path(argument) for argument in arguments)
    request = json.loads(asked.read_text())
    who = f"datasets.{request['dataset']}"
    try:
        count, found = _take(request, rows)
        if found is not None:
            version.write_bytes(found)
    except RowsChanged as moved:
        sys.stderr.write(f"{who}: {moved}\n")
        return MOVED
    except Failure as failure:
        sys.stderr.write(f"{who}: {failure}\n")
        return 1
    except Exception as fault:  # neither message nor traceback: both may quote rows
        sys.stderr.write(f"{who}: a fault of Headgate's own ({type(fault).__name__})\n")
        return 1
    sys.stdout.write(f"{who}: {count:,} rows taken\n")
    return 0


def _take(request: dict[str, str | None], rows: Path) -> tuple[int, bytes | None]:
    """With patience for a database that is away."""
    statement = request["sql"]
    assert statement is not None, "every query has one"
    until = time.monotonic() + PATIENCE
    while True:
        try:
            address = os.environ[ADDRESS]
            return take(address, statement, request["version"], rows, Path(os.environ["TMPDIR"]))
        except RowsChanged:
            raise
        except TryAgain as failure:
            if time.monotonic() + PAUSE > until:
                raise
            sys.stdout.write(f"{failure}; tried again in {duration(PAUSE)}\n")
            sys.stdout.flush()
            time.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
