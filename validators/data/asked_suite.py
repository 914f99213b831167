"""The suite that a request asks for."""

import hashlib
from pathlib import Path

from specs.loading.problems import Problem
from specs.loading.tree import MOST_BYTES
from validators.data.contracts.reading import read_expectations
from validators.data.request import DataGateRequest, SuiteFile
from validators.data.suites.computing import computed
from validators.data.suites.suite import Suite, read_inline


def asked_suite(request: DataGateRequest) -> tuple[Suite, dict[str, str]]:
    """The suite, with its parameters filled and computed, and where the report comes from."""
    provenance = {"dataset version": request.version}
    text = _text(request.suite)
    if isinstance(text, Problem):
        return Suite(problems=(text,)), provenance
    provenance["suite"] = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    return computed(_read(text, request), request.suite.origin), provenance


def _read(text: str, request: DataGateRequest) -> Suite:
    suite = request.suite
    if suite.at:
        return read_inline(text, suite.origin, suite.at, suite.params)
    like = suite.like or request.dataset
    return read_expectations(text, suite.origin, suite.params, like=like, part=suite.part)


def _text(suite: SuiteFile) -> str | Problem:
    try:
        with Path(suite.path).open(encoding="utf-8") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        why = "the suite does not exist"
    except UnicodeDecodeError:
        why = "the suite is not UTF-8 text"
    except OSError as error:
        why = f"the suite cannot be read: {error.strerror}"
    return Problem("error", "unreadable", why, suite.origin)
