"""`python -m validators.data.history REQUEST.json REPORT.json`: judge one dataset version by the
`checks` of its spec.

Exits with 0 if a report was written, whatever its verdict; if not, prints why in one line.
"""

import sys

from validators.data.history.gate import judge_history
from validators.data.history.request import HistoryRequest
from validators.data.program import GateProgram, run
from validators.data.validation_result import findings_of

NEEDED = (
    "encodings.utf_8_sig",
    "pandas",
    "polars",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.json",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "pyarrow.vendored.version",
)
"""Modules that a judgement imports when it comes to need them, for a process that is kept warm."""
LATER: tuple[str, ...] = ()
"""Those that only some judgements need, and that take seconds."""


def main(arguments: list[str]) -> int:
    """Read the request, write the report."""
    return run(arguments, _PROGRAM)


_PROGRAM = GateProgram(
    "validators.data.history",
    HistoryRequest,
    lambda request: findings_of(judge_history(request)),
    lambda request: request.dataset,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
