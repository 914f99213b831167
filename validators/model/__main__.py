"""`python -m validators.model REQUEST.json REPORT.json`: judge one candidate.

Exits with 0 whenever a report was written, whatever its verdict; otherwise says why in a line.
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
from validators.model.request import Request
from validators.report import Check, Report
from validators.verdict import Verdict


def main(arguments: list[str]) -> int:
    """Read the request, write the report."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m validators.model REQUEST.json REPORT.json\n")
        return 2
    source, target = (Path(argument) for argument in arguments)
    # What libraries warn about may quote the predictions; the report says what there is to say.
    warnings.simplefilter("ignore")
    try:
        _write(target, _report(source))
    except OSError as error:
        sys.stderr.write(f"no report could be written to {target}: {error.strerror}\n")
        return 1
    return 0


def _report(source: Path) -> Report:
    try:
        request = Request.model_validate_json(source.read_bytes())
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
    except Exception as error:  # an ERROR in a report is better than no report
        # The place, not the message: that may quote a row.
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
        return _error(request.subject, f"the gate itself failed ({where}); nothing was judged")


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
    """Write whole or not at all."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
