"""A rule of a data contract is met exactly by the data that meets its words."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.validators.data.contracts.contracts import contract
from validators.data.answering.answers import answers
from validators.data.contracts.reading import read_expectations
from validators.data.reading.dataset import in_memory

VALUES = st.lists(st.none() | st.sampled_from("abcd"), min_size=1, max_size=12)
VALID = ["a", "b", "c"]
COUNTS: dict[str, Callable[[list[str | None]], tuple[int, int]]] = {
    "rowCount": lambda x: (len(x), len(x)),
    "nullValues": lambda x: (x.count(None), len(x)),
    "missingValues": lambda x: (sum(one in (None, "d") for one in x), len(x)),
    "invalidValues": lambda x: (x.count("d"), len(x) - x.count(None)),
    "duplicateValues": lambda x: (
        sum(times for one, times in Counter(x).items() if one is not None and times > 1),
        len(x) - x.count(None),
    ),
}
"""How many, and out of how many for a share."""
ARGUMENTS = {
    "missingValues": {"missingValues": [None, "d"]},
    "invalidValues": {"validValues": VALID},
}
MEETS: dict[str, Callable[[float, Any], bool]] = {
    "mustBe": lambda n, limit: n == limit,
    "mustBeGreaterThan": lambda n, limit: n > limit,
    "mustBeGreaterOrEqualTo": lambda n, limit: n >= limit,
    "mustBeLessThan": lambda n, limit: n < limit,
    "mustBeLessOrEqualTo": lambda n, limit: n <= limit,
    "mustBeBetween": lambda n, limit: limit[0] <= n <= limit[1],
}


def _keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value)))


def _places(value: Any, above: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every mapping and list in a value, with its place."""
    if isinstance(value, dict | list):
        yield above, value
        for key in _keys(value):
            yield from _places(value[key], (*above, key))


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    metric = draw(st.sampled_from(sorted(COUNTS)))
    operator = draw(st.sampled_from(sorted(MEETS)))
    percent = draw(st.booleans())
    limits = st.sampled_from([0, 25, 50, 75, 100]) if percent else st.integers(0, 6)
    limit: Any = draw(limits)
    if operator == "mustBeBetween":
        limit = sorted({limit, draw(limits)})
        assume(len(limit) == 2)
    said = {"metric": metric, operator: limit}
    if metric in ARGUMENTS:
        said["arguments"] = ARGUMENTS[metric]
    return {**said, "unit": "percent"} if percent else said


@settings(max_examples=400, deadline=None)
@given(rules(), VALUES)
def test_a_rule_is_met_exactly_by_what_meets_its_words(rule: Any, values: Any) -> None:
    content = contract({"name": "x", "quality": [rule]})
    suite = read_expectations(json.dumps(content), "orders.odcs.json", like="orders")
    assert suite.problems == ()
    asked = [one for one in suite.expectations if one.type != "expect_column_to_exist"]
    assert asked or suite.unchecked
    if suite.unchecked:
        return
    dataset = in_memory(pa.table({"x": pa.array(values, pa.string())}), ["x"])
    outcomes = list(answers(dataset, dict(enumerate(asked))))
    n, of = COUNTS[rule["metric"]](values)
    assume(of > 0 or "unit" not in rule)  # a share of nothing is no number
    (operator,) = (key for key in rule if key.startswith("must"))
    measured = 100 * n / of if "unit" in rule else n
    met = MEETS[operator](measured, rule[operator])
    said = all(
        one.success or (one.nothing is not None and asked[one.place].may_be_empty)
        for one in outcomes
    )
    assert said == met


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)
WHOLE = contract(
    {
        "name": "x",
        "logicalType": "string",
        "required": True,
        "primaryKey": True,
        "primaryKeyPosition": 1,
        "logicalTypeOptions": {"minLength": 1, "maxLength": 9, "pattern": "a", "format": "uuid"},
        "enum": [{"value": "a"}],
        "quality": [
            {"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent", "severity": "info"},
            {"metric": "invalidValues", "arguments": {"validValues": ["a"]}, "mustBe": 0},
            {"metric": "missingValues", "arguments": {"missingValues": [None]}, "mustBe": 0},
            {"type": "custom", "engine": "greatExpectations", "implementation": {"type": "x"}},
        ],
    },
    {"name": "y", "logicalType": "date", "logicalTypeOptions": {"minimum": "2024-01-01"}},
    quality=[
        {"metric": "rowCount", "mustBeBetween": [1, 2]},
        {"metric": "duplicateValues", "arguments": {"properties": ["x", "y"]}, "mustBe": 0},
    ],
    slaProperties=[{"property": "latency", "value": 4, "unit": "d"}],
)
PLACES = [(*above, key) for above, value in _places(WHOLE, ()) for key in _keys(value)]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PLACES), ANYTHING)
def test_whatever_stands_in_a_contract_it_is_read_or_named(place: Any, value: Any) -> None:
    content = json.loads(json.dumps(WHOLE))
    at = content
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    for text, file in ((json.dumps(content), "a.json"), (json.dumps(content, indent=1), "a.yaml")):
        suite = read_expectations(text, file, like="orders")
        assert suite.expectations or suite.problems
        json.dumps([one.kwargs for one in suite.expectations], allow_nan=False)
        lines = len(text.splitlines())
        assert all(1 <= one.line <= lines for one in (*suite.problems, *suite.unchecked))
