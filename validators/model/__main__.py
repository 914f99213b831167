"""`python -m validators.model REQUEST.json REPORT.json`: exit 0 whenever a report was written.

The verdict is in the report, not in the exit code, so that a gate that says no is told apart from
a gate that broke (exit 2: no request that could be read, or nowhere to write).
"""

import os
import sys
import traceback
from pathlib import Path

from pydantic import ValidationError

from validators.model.gate import judge
from validators.model.request import Request
from validators.report import Check, Report
from validators.verdict import Verdict


def main(arguments: list[str]) -> int:
    """Judge the request and write the report in one move. Returns the exit code."""
    if len(arguments) != 2:
        print("usage: python -m validators.model REQUEST.json REPORT.json", file=sys.stderr)
        return 2
    source, target = map(Path, arguments)
    try:
        request = Request.model_validate_json(source.read_bytes())
    except (OSError, ValidationError) as error:
        print(f"headgate model gate: the request {source} is no use: {error}", file=sys.stderr)
        return 2
    report = _judge(request)
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        partial.write_text(report.model_dump_json(), encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        print(f"headgate model gate: cannot write {target}: {error}", file=sys.stderr)
        return 2
    return 0


def _judge(request: Request) -> Report:
    """The report; an ERROR if the gate itself broke, which the log then explains."""
    try:
        return judge(request)
    except Exception as error:
        # Whatever broke, the controller waits for a report.
        traceback.print_exc()
        return Report(
            gate="model",
            subject=request.subject,
            checks=(
                Check(
                    name="model gate",
                    verdict=Verdict.ERROR,
                    message=f"The gate broke before it could judge: {type(error).__name__}.",
                    next_step="Look at the log of this gate, and report the fault in Headgate.",
                ),
            ),
            provenance=request.provenance,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
