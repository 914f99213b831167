"""Whatever the texts of a column are: nothing of them is lost, wherever a file ends."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from validators.data.reading.agreement import Disagreement, agreed
from validators.data.reading.files import ColumnValues
from validators.data.reading.texts import read_as, type_of

NUMBERS = st.text("0123456789.eE+-x_ ", min_size=1, max_size=12) | st.from_regex(
    r"-?[0-9]{1,41}(\.[0-9]{1,20})?", fullmatch=True
)
OTHERS = (
    "2024-05-01|2024-05-01 10:00|2024-05-01T10:00:00Z|2024-05-01 10:00:00.1234567+02:00|2024-13-01|"
    "true|TRUE|NA||12e4|1.5|9007199254740993"
)
TEXTS = NUMBERS | st.sampled_from(OTHERS.split("|"))


def strings(texts: list[str]) -> Any:
    return pa.chunked_array([pa.array([text or None for text in texts], pa.string())])


@settings(max_examples=100, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=3))
@example(["9" * 39])
@example(["9007199254740993", "0.1"])
def test_a_number_is_what_its_text_says(texts: list[str]) -> None:
    column = strings(texts)
    kind = type_of(column, only_times=False)
    for text, value in zip(texts, read_as(column, kind).to_pylist(), strict=True):
        match value:
            case int():
                assert str(value) == text.strip() or text.strip() == "-0"
            case Decimal():
                assert value == Decimal(text.strip())
            case float():
                assert value == float(text)
                assert not text.strip().lstrip("-").startswith(("00", "+"))
            case _:
                assert value == text


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=5), st.integers(0, 5))
def test_where_a_file_ends_changes_nothing(texts: list[str], end: int) -> None:
    whole = agreed({"all": ColumnValues(strings(texts), "text")}, None)
    parts = {
        "a": ColumnValues(strings(texts[:end]), "text"),
        "b": ColumnValues(strings(texts[end:]), "text"),
    }
    halves = agreed(parts, None)
    assert not isinstance(whole, Disagreement)
    assert not isinstance(halves, Disagreement)
    assert {values.type for values in halves.values()} == {whole["all"].type}
    assert [*halves["a"].to_pylist(), *halves["b"].to_pylist()] == whole["all"].to_pylist()
