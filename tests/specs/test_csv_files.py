"""What the spec may say of the way in which CSV is written."""

from typing import Any

import pytest
from pydantic import ValidationError

from specs.csv_files import CsvFiles

CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"delimiter": ";", "decimal": ";"}, "`decimal` and `delimiter` are the same"),
    ({"decimal": ","}, "set `delimiter`"),
    ({"delimiter": ";", "decimal": ",", "thousands": ","}, "`decimal` and `thousands`"),
    ({"thousands": ",", "quote": None}, "`thousands` and `delimiter` are the same"),
    ({"delimiter": "'", "quote": "'"}, "`quote` and `delimiter` are the same"),
    ({"escape": '"'}, "`escape` and `quote` are the same"),
    ({"comment": ","}, "`comment` and `delimiter` are the same"),
    ({"columns": ["a"]}, "set `header: false`"),
    ({"header": False, "columns": ["a", "b", "a"]}, "`columns` has a more than once"),
    ({"booleans": {"true": ["J", "x"], "false": ["x"]}}, "x is among the words for true and"),
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
    ({"dates": "%Y-%m-%d %Y"}, "%Y appears twice"),
    ({"dates": "%Y-%j"}, "%j is not one of"),
    ({"dates": "%Y-%m-%d %"}, "% is not one of"),
    ({"dates": "%Y-%m-%d %I"}, "%I with %p"),
    ({"dates": "%Y-%m-%d %M"}, "%M needs %H as well"),
    ({"dates": ["%Y-%m-%d", "%Y-%m-%d %H%f"]}, "%f needs %S as well"),
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
