"""`python -m validators.data REQUEST.json REPORT.json [RESULT.json]`: judge one dataset version.

RESULT is for tools of Great Expectations: see `validation_result`. Exits with 0 if a report was
written, whatever its verdict; if not, prints why in one line.
"""

import json
import logging
import os
import sys
import warnings
from pathlib import Path

from pydantic import ValidationError

from validators.data.custom_gate import judge_custom
from validators.data.gate import judgement
from validators.data.request import DataGateRequest
from validators.data.validation_result import Findings, findings_of
from validators.report import Check, Report
from validators.verdict import Verdict

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
    if len(arguments) not in (2, 3):
        usage = "python -m validators.data REQUEST.json REPORT.json [RESULT.json]"
        sys.stderr.write(f"usage: {usage}\n")
        return 2
    source, target, *beside = (Path(argument) for argument in arguments)
    # Logs and warnings of libraries may quote the data; the report has everything that matters.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    try:
        findings = _findings(source)
        for path in beside:
            _write(path, json.dumps(findings.validation, indent=2, allow_nan=False))
        _write(target, findings.report.model_dump_json(indent=2))
    except OSError as error:
        sys.stderr.write(f"the report cannot be written to {target}: {error.strerror}\n")
        return 1
    return 0


def _findings(source: Path) -> Findings:
    try:
        request = DataGateRequest.model_validate_json(source.read_bytes())
    except OSError as error:
        return _error("request", f"the request cannot be read: {error.strerror}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return _error("request", f"the request is not valid: {place}: {first['msg']}")
    try:
        if request.custom:
            return judge_custom(request, request.custom)
        findings = judgement(request)
        if findings.cost:
            sys.stdout.write(f"{findings.cost}\n")
        return findings
    except MemoryError:
        return _error(
            request.dataset,
            "the dataset needs more memory than this process may have",
            next_step="Raise the gate's memory limit, or validate fewer objects at once.",
        )
    except Exception as error:  # a report with an ERROR is better than no report
        # Neither message nor traceback: both may quote the data.
        kind = type(error).__name__
        return _error(
            request.dataset, f"internal error of the data gate ({kind}); nothing was judged"
        )


def _error(subject: str, message: str, next_step: str | None = None) -> Findings:
    check = Check(name="gate", verdict=Verdict.ERROR, message=message, next_step=next_step)
    return findings_of(Report(gate="data", subject=subject, checks=(check,)))


def _write(target: Path, text: str) -> None:
    """Write all of it or nothing."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
