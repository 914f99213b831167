"""Parameters of suites: what is filled, what is wrong, and what a verdict rests on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.suite_parameters import fault_of, filled, names_in, words_in

KNOWN = {"min_rows": 100, "carriers": ["AA", "UA"], "as-of": "2024-05-01"}


def parameter(text: object, **beside: object) -> dict[str, Any]:
    return {"$PARAMETER": text, **beside}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (parameter("min_rows"), 100),
        (parameter("carriers"), ["AA", "UA"]),
        (
            parameter("as-of"),
            "2024-05-01",
        ),  # a name of the spec, though no word of Great Expectations
        (parameter("mine", **{"$PARAMETER.mine": 7}), 7),
        ("min_rows", "min_rows"),
        (5, 5),
    ],
)
def test_a_name_is_filled_with_its_value_of_any_kind(value: object, expected: object) -> None:
    assert fault_of(value, KNOWN) is None
    assert filled(value, KNOWN) == expected


@pytest.mark.parametrize("text", ["min_rows * 2", "round(min_rows / 3)", "datetime(2024, 5, 1)"])
def test_an_expression_is_left_to_great_expectations(text: str) -> None:
    assert fault_of(parameter(text), KNOWN) is None
    assert filled(parameter(text), KNOWN) == parameter(text)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (parameter("min_row"), "there is no parameter `min_row`"),
        (parameter("max_rows - 1"), "there is no parameter `max_rows`"),
        (parameter("pi"), "there is no parameter `pi`"),
        (parameter(5), "takes the name"),
        (parameter("now() - timedelta(days=3)"), "`now()` would change"),
        (parameter("urn:great_expectations:validations:s:m:column=a"), "other validations"),
        ([1, parameter("min_rows")], "a whole argument"),
        ({"quantiles": [parameter("min_rows")]}, "a whole argument"),
        (parameter("1 + " * 100 + "1"), "at most 200"),
    ],
)
def test_what_cannot_be_filled_is_said(value: object, said: str) -> None:
    fault = fault_of(value, KNOWN)
    assert fault is not None
    assert said in fault.message


def test_the_nearest_name_is_offered() -> None:
    fault = fault_of(parameter("min_row"), KNOWN)
    assert fault is not None
    assert fault.nearest == "min_rows"


def test_functions_arguments_and_constants_are_no_names() -> None:
    text = "round(a * PI) + E - timedelta(days=b) + 1e5"
    assert list(names_in(text)) == ["a", "b"]


WORDS = st.from_regex(r"[a-d][a-z0-9_]{2,8}", fullmatch=True)


@given(st.lists(WORDS, min_size=1, max_size=4), st.sampled_from([" + ", " * ", "/", " - "]))
def test_a_verdict_rests_on_every_name_of_an_expression(names: list[str], between: str) -> None:
    text = between.join(names)
    suite = [{"type": "t", "kwargs": {"max_value": parameter(text)}}]
    assert set(names) <= words_in(suite)
    assert fault_of(parameter(text), set(names)) is None
