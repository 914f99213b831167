"""`python -m validators.model REQUEST.json REPORT.json`: judge one candidate.

Exits with 0 if a report was written, whatever its verdict; if not, prints why in one line.
"""

import difflib
import os
import sys
import traceback
import warnings
from pathlib import Path

from pydantic import ValidationError

from specs.metrics import ALIASES, METRICS
from validators.model.gate import judge
from validators.model.request import ModelGateRequest
from validators.report import Check, Report
from validators.verdict import Verdict

NEEDED = (
    "encodings.utf_8_sig",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "pyarrow.vendored.version",
    "sklearn.metrics",
)
"""Modules that a judgement imports when it comes to need them, for a process that is kept warm."""
LATER = ()
"""Those that only some judgements need: none."""


def main(arguments: list[str]) -> int:
    """Read the request, write the report."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m validators.model REQUEST.json REPORT.json\n")
        return 2
    source, target = (Path(argument) for argument in arguments)
    # Warnings of libraries may quote the predictions; the report has everything that matters.
    warnings.simplefilter("ignore")
    try:
        _write(target, _report(source))
    except OSError as error:
        sys.stderr.write(f"the report cannot be written to {target}: {error.strerror}\n")
        return 1
    return 0


def _report(source: Path) -> Report:
    try:
        request = ModelGateRequest.model_validate_json(source.read_bytes())
    except OSError as error:
        return _error("request", f"the request cannot be read: {error.strerror}")
    except ValidationError as error:
        return _error("request", f"the request is not valid: {_first_of(error)}")
    try:
        return judge(request)
    except MemoryError:
        return _error(
            request.subject,
            "the predictions need more memory than this process may have",
            next_step="Raise the gate's memory limit, or evaluate on fewer rows.",
        )
    except Exception as error:  # a report with an ERROR is better than no report
        # The place only: the message may quote a row.
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
        message = f"internal error of the model gate ({where}); nothing was judged"
        return _error(request.subject, message)


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if not place.endswith(".metric"):
        return ": ".join(part for part in (place, first["msg"]) if part)
    name = str(first["input"])[:40]
    near = [ALIASES[name]] if name in ALIASES else difflib.get_close_matches(name, METRICS, n=1)
    return f"{place}: there is no metric {name}" + (f", did you mean {near[0]}" if near else "")


def _error(subject: str, message: str, next_step: str | None = None) -> Report:
    check = Check(name="gate", verdict=Verdict.ERROR, message=message, next_step=next_step)
    return Report(gate="model", subject=subject, checks=(check,))


def _write(target: Path, report: Report) -> None:
    """Write all of it or nothing."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
