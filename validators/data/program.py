"""The data gates as programs: a request is read, judged, and its report written."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from validators.report import Check, GateValue, Report
from validators.verdict import Verdict

R = TypeVar("R", bound=GateValue)


class GateProgram(NamedTuple, Generic[R]):
    """A program of the data gate."""

    module: str
    """Its name for `python -m`."""
    request: type[R]
    judge: Callable[[R], Report]
    subject: Callable[[R], str]


def run(arguments: Sequence[str], program: GateProgram[Any]) -> int:
    """Read the request, write the report."""
    if len(arguments) != 2:
        sys.stderr.write(f"usage: python -m {program.module} REQUEST.json REPORT.json\n")
        return 2
    source, target = (Path(argument) for argument in arguments)
    # Logs and warnings of libraries may quote the data; the report has everything that matters.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    try:
        _write(target, _report(source, program))
    except OSError as error:
        sys.stderr.write(f"the report cannot be written to {target}: {error.strerror}\n")
        return 1
    return 0


def _report(source: Path, program: GateProgram[Any]) -> Report:
    try:
        request = program.request.model_validate_json(source.read_bytes())
    except OSError as error:
        return _error("request", f"the request cannot be read: {error.strerror}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return _error("request", f"the request is not valid: {place}: {first['msg']}")
    subject = program.subject(request)
    try:
        return program.judge(request)
    except MemoryError:
        return _error(
            subject,
            "the dataset needs more memory than this process may have",
            next_step="Raise the gate's memory limit, or validate fewer objects at once.",
        )
    except Exception as error:  # a report with an ERROR is better than no report
        # Neither message nor traceback: both may quote the data.
        kind = type(error).__name__
        return _error(subject, f"internal error of the data gate ({kind}); nothing was judged")


def _error(subject: str, message: str, next_step: str | None = None) -> Report:
    check = Check(name="gate", verdict=Verdict.ERROR, message=message, next_step=next_step)
    return Report(gate="data", subject=subject, checks=(check,))


def _write(target: Path, report: Report) -> None:
    """Write all of it or nothing."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
