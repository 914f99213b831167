"""PURE. Great Expectations' own expectation types, and which of a suite are custom.

Of great_expectations 1.24.1; `tests/validators/data/test_core_types.py` holds the list against the
installed version.
"""

from dataclasses import replace
from typing import Final

from validators.data.suites.forms import KNOWN
from validators.data.suites.suite import Expectation, Suite
from validators.report import Check
from validators.verdict import Verdict

CORE: Final = KNOWN | {
    "expect_column_kl_divergence_to_be_less_than",
    "expect_column_quantile_values_to_be_between",
    "expect_column_values_to_be_dateutil_parseable",
    "expect_column_values_to_be_json_parseable",
    "expect_column_values_to_match_json_schema",
    "expect_column_values_to_match_strftime_format",
    "expect_query_results_to_match_comparison",
    "expect_table_row_count_to_equal_other_table",
    "unexpected_rows_expectation",
}


def custom_of(suite: Suite) -> tuple[Expectation, ...]:
    """The expectations of a suite whose types are not Great Expectations' own."""
    return tuple(one for one in suite.expectations if one.type not in CORE)


def without_custom(suite: Suite) -> Suite:
    """The suite without them."""
    own = tuple(one for one in suite.expectations if one.type in CORE)
    return replace(suite, expectations=own)


def only_custom(count: int) -> Check:
    """The check of a gate that leaves all expectations to the one for custom expectations."""
    what = "expectation is custom and is" if count == 1 else "expectations are custom and are"
    return Check(
        name="suite",
        verdict=Verdict.PASS,
        message=f"its {count} {what} judged by the gate beside this one",
    )
