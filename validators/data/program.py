"""The data gates as programs: a request is read, judged, and its report written."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from validators.data.validation_result import Findings, findings_of
from validators.report import Check, GateValue, Report
from validators.verdict import Verdict

R = TypeVar("R", bound=GateValue)


class GateProgram(NamedTuple, Generic[R]):
    """A program of the data gate."""

    module: str
    """Its name for `python -m`."""
    request: type[R]
    judge: Callable[[R], Findings]
    subject: Callable[[R], str]


def run(arguments: Sequence[str], program: GateProgram[Any]) -> int:
    """Read the request, write the report."""
    if len(arguments) not in (2, 3, 4):
        usage = f"python -m {program.module} REQUEST.json REPORT.json [RESULT.json [PORTRAIT.json]]"
        sys.stderr.write(f"usage: {usage}\n")
        return 2
    source, target, *beside = (Path(argument) for argument in arguments)
    # Logs and warnings of libraries may quote the data; the report has everything that matters.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    try:
        findings = _findings(source, program)
        said = json.dumps(findings.validation, indent=2, allow_nan=False)
        for path, text in zip(beside, (said, findings.portrait.model_dump_json()), strict=False):
            _write(path, text)
        _write(target, findings.report.model_dump_json(indent=2))
    except OSError as error:
        sys.stderr.write(f"the report cannot be written to {target}: {error.strerror}\n")
        return 1
    return 0


def _findings(source: Path, program: GateProgram[Any]) -> Findings:
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
