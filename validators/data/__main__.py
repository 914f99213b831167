"""`python -m validators.data REQUEST.json REPORT.json [RESULT.json [PORTRAIT.json]]`: judge one
dataset version.

RESULT is for tools of Great Expectations: see `validation_result`; PORTRAIT for the pictures of
later versions: see `portrait`. Exits with 0 if a report was
written, whatever its verdict; if not, prints why in one line.
"""

import sys

from validators.data.custom_gate import judge_custom
from validators.data.gate import judgement
from validators.data.program import GateProgram, run
from validators.data.request import DataGateRequest
from validators.data.validation_result import Findings

NEEDED = (
    "encodings.utf_8_sig",
    "multiprocessing.synchronize",
    "pandas",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.json",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "pyarrow.vendored.version",
)
"""Modules that a judgement imports when it comes to need them, for a process that is kept warm."""
LATER = ("great_expectations",)
"""Those that only some suites need, and that take seconds: imported once the first needed them."""


def main(arguments: list[str]) -> int:
    """Read the request, write the report."""
    return run(arguments, _PROGRAM)


def _judged(request: DataGateRequest) -> Findings:
    if request.custom:
        return judge_custom(request, request.custom)
    findings = judgement(request)
    if findings.cost:
        sys.stdout.write(f"{findings.cost}\n")
    return findings


_PROGRAM = GateProgram("validators.data", DataGateRequest, _judged, lambda request: request.dataset)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
