"""PURE. What a data gate found, in the form of Great Expectations' own validation result.

As `ExpectationSuiteValidationResult.to_json_dict()` of great_expectations 1.24 writes it, so that
Data Docs and whatever else reads these can show it. It has counts and aggregates, and no values.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

from validators.data.portrait import Portrait
from validators.data.suites.engine import VERSION
from validators.data.suites.forms import takes_limits
from validators.data.suites.outcome import ExpectationOutcome, is_about_nulls
from validators.data.suites.suite import Expectation, Suite
from validators.report import Check, Report
from validators.verdict import Verdict

_SOURCE: Final = "headgate"
"""The name of the data source, of which datasets are the assets."""


_OF_QUANTILES: Final = "expect_column_quantile_values_to_be_between"
"""Data Docs reads its observed value as numbers, of which there is only the text of a report."""


class Evaluated(NamedTuple):
    """An expectation and what came of it."""

    expectation: Expectation
    check: Check
    """Its check; or, if it was not evaluated at all, the check that says why."""
    outcome: ExpectationOutcome | None = None


class Findings(NamedTuple):
    """What a data gate finds: a report, and the same for tools of Great Expectations."""

    report: Report
    """The same, whatever was measured before."""
    validation: Mapping[str, Any]
    cost: str | None = None
    """What of the data was read, in a sentence for the log, if something may have been known."""
    portrait: Portrait = Portrait()
    """How the columns are spread, for the pictures of later versions."""


_NO_SUITE: Final = Suite()


def findings_of(
    report: Report,
    suite: Suite = _NO_SUITE,
    evaluated: Sequence[Evaluated] = (),
    cost: str | None = None,
) -> Findings:
    """The report with its validation result. Its success is never better than the verdict.

    Data Docs would show nothing of a result with one expectation that Great Expectations refuses,
    so these are left out of the results, as are flaws of the suite: `meta` names all of them.
    """
    batch = f"{_SOURCE}-{report.subject}"
    shown = [one for one in evaluated if takes_limits(one.expectation)]
    results = [_result(one, batch) for one in shown]
    return Findings(
        report,
        {
            "success": {check.verdict for check in report.checks} == {Verdict.PASS},
            "results": results,
            "suite_name": suite.name or report.subject,
            "suite_parameters": _plain(suite.parameters),
            "statistics": _statistics(results),
            "meta": _meta(report, [one.check for one in shown]),
            "id": None,
        },
        cost,
    )


def _meta(report: Report, told: Sequence[Check]) -> dict[str, Any]:
    """Where it comes from, and the checks without a result of their own, unlike those `told`."""
    places = {(one.where, one.message) for one in told if one.where}
    version = report.provenance.get("dataset version")
    return {
        "great_expectations_version": VERSION,
        "run_id": {"run_name": version, "run_time": None},
        "batch_spec": {"data_asset_name": report.subject},
        "active_batch_definition": {
            "datasource_name": _SOURCE,
            "data_connector_name": "fluent",
            "data_asset_name": report.subject,
            "batch_identifiers": {"version": version},
        },
        "headgate": {
            "verdict": report.verdict.value,
            "checks": [
                {"name": one.name, "verdict": one.verdict.value, "message": one.message}
                for one in report.checks
                if (one.where, one.message) not in places
            ],
        },
    }


def _statistics(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    met = sum(one["success"] for one in results)
    return {
        "evaluated_expectations": len(results),
        "successful_expectations": met,
        "unsuccessful_expectations": len(results) - met,
        "success_percent": 100 * met / len(results) if results else None,
    }


def _result(one: Evaluated, batch: str) -> dict[str, Any]:
    expectation, check, outcome = one
    success = outcome is not None and check.verdict is Verdict.PASS
    explained = not success and (
        outcome is None or outcome.raised or outcome.refused or outcome.nothing
    )
    return {
        "success": success,
        "expectation_config": {
            "type": expectation.type,
            "kwargs": _plain({**expectation.kwargs, "batch_id": batch}),
            "meta": {},
            "severity": expectation.severity,
            **_plain(expectation.labels),
        },
        "result": {} if outcome is None or explained else _found(expectation, outcome),
        "meta": {"headgate": {"verdict": check.verdict.value, "evaluated_by": check.engine}},
        # The only place for an explanation that Data Docs shows.
        "exception_info": {
            "raised_exception": bool(explained),
            "exception_traceback": "" if explained else None,
            "exception_message": check.message if explained else None,
        },
    }


def _found(expectation: Expectation, outcome: ExpectationOutcome) -> dict[str, Any]:
    unexpected, n = outcome.unexpected, outcome.evaluated
    if unexpected is not None and n is not None:
        return _counted(unexpected, n, None if is_about_nulls(expectation.type) else outcome.rows)
    if outcome.names is not None:
        return {"observed_value": list(outcome.names)}
    if unexpected or outcome.lacking:
        return {"observed_value": _sets_differ(unexpected or 0, len(outcome.lacking))}
    if expectation.type == _OF_QUANTILES:
        return {}
    return {"observed_value": _plain(outcome.observed)}


def _counted(unexpected: int, n: int, rows: int | None) -> dict[str, Any]:
    """Of `n` values or records; `rows` include those without a value, if these do not count."""
    share = 100 * unexpected / n if n else 0.0
    found = {
        "element_count": n if rows is None else rows,
        "unexpected_count": unexpected,
        "unexpected_percent": share,
        "partial_unexpected_list": [],
    }
    if rows is None:
        return found
    return {
        **found,
        "missing_count": rows - n,
        "missing_percent": 100 * (rows - n) / rows if rows else 0.0,
        "unexpected_percent_total": 100 * unexpected / rows if rows else 0.0,
        "unexpected_percent_nonmissing": share,
    }


def _sets_differ(others: int, lacking: int) -> str:
    """In place of the distinct values, which are data."""
    more = f"{others:,} distinct value{'s' * (others != 1)} not in the set" if others else ""
    less = f"{lacking:,} member{'s' * (lacking != 1)} of the set missing" if lacking else ""
    return ", ".join(part for part in (more, less) if part)


def _plain(value: Any) -> Any:
    """The value in JSON's types; what JSON lacks becomes text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    return value if isinstance(value, str | int | None) else str(value)
