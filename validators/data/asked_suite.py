"""The suite that a request asks for."""

import hashlib
from pathlib import Path

from specs.loading.problems import Problem
from specs.loading.tree import MOST_BYTES
from validators.data.computing import computed
from validators.data.request import DataGateRequest, SuiteFile
from validators.data.suite import Suite, read_inline, read_suite


def asked_suite(request: DataGateRequest) -> tuple[Suite, dict[str, str]]:
    """The suite, with its parameters filled and computed, and where the report comes from."""
    provenance = {"dataset version": request.version}
    text = _text(request.suite)
    if isinstance(text, Problem):
        return Suite(problems=(text,)), provenance
    provenance["suite"] = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    return computed(_read(text, request.suite), request.suite.origin), provenance


def _read(text: str, suite: SuiteFile) -> Suite:
    at, origin, params = suite.at, suite.origin, suite.params
    return read_inline(text, origin, at, params) if at else read_suite(text, origin, params)


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
