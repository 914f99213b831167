"""What the spec may say of the way in which CSV is written."""

from typing import Any

import pytest
from pydantic import ValidationError

from specs.csv_files import CsvFiles

CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"delimiter": ";", "decimal": ";"}, "expected `decimal` and `delimiter` to be different"),
    ({"decimal": ","}, "expected `delimiter` as well"),
    ({"delimiter": ";", "decimal": ",", "thousands": ","}, "`decimal` and `thousands`"),
    ({"thousands": ",", "quote": None}, "expected `thousands` and `delimiter` to differ"),
    ({"delimiter": "'", "quote": "'"}, "expected `quote` and `delimiter`"),
    ({"escape": '"'}, "expected `escape` and `quote`"),
    ({"comment": ","}, "expected `comment` and `delimiter`"),
    ({"columns": ["a"]}, "expected `header: false`"),
    ({"header": False, "columns": ["a", "b", "a"]}, "expected a once in `columns`"),
    ({"booleans": {"true": ["J", "x"], "false": ["x"]}}, "expected x among the words for true or"),
    ({"booleans": {"true": ["J"]}}, "Field required"),
    ({"booleans": {"true": [], "false": ["N"]}}, "at least 1 item"),
    ({"delimiter": ";;"}, "one ASCII character"),
    ({"delimiter": "§"}, "one ASCII character"),
    ({"delimiter": "a"}, "no letter"),
    ({"delimiter": "\n"}, "line break"),
    ({"decimal": "0"}, "no letter, digit"),
    ({"encoding": "latin1000"}, "expected an encoding"),
    ({"encoding": "base64"}, "expected an encoding"),
    ({"skip_rows": -1}, "greater than or equal to 0"),
    ({"delimeter": ";"}, "Extra inputs"),
    ({"dates": "%d.%m"}, "expected a day with %Y or %y"),
    ({"dates": "%Y-%m-%d %b"}, "expected a day with %B or %b or %m"),
    ({"dates": "%Y-%m-%d %Y"}, "expected %Y once"),
    ({"dates": "%Y-%j"}, "and not %j"),
    ({"dates": "%Y-%m-%d %"}, "and not %"),
    ({"dates": "%Y-%m-%d %I"}, "%I with %p"),
    ({"dates": "%Y-%m-%d %M"}, "expected %H beside %M"),
    ({"dates": ["%Y-%m-%d", "%Y-%m-%d %H%f"]}, "expected %S beside %f"),
]


@pytest.mark.parametrize(("keys", "why"), CONTRADICTIONS)
def test_what_cannot_be_is_an_error_of_the_spec(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as raised:
        CsvFiles.model_validate(keys)
    assert why in str(raised.value)


def test_a_thousands_separator_within_quotes_may_be_the_delimiter() -> None:
    assert CsvFiles.model_validate({"thousands": ","}).has_notation


def test_one_format_of_dates_is_a_list_of_one() -> None:
    assert CsvFiles.model_validate({"dates": "%d/%m/%Y"}).dates == ("%d/%m/%Y",)
    assert CsvFiles.model_validate({"dates": "100%%: %d/%m/%Y"}).has_notation
