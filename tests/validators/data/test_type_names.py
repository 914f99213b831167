"""One table of type names, in the code and in the docs."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from validators.data.values.literals import Unfit
from validators.data.values.type_names import TYPE_NAMES, answers_to

PAGE = Path(__file__).parents[3] / "docs" / "data-gate.md"


def test_the_page_has_the_table() -> None:
    table = PAGE.read_text().partition("## Names of types")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|[^|]*\| (`.*) \|$", table, re.MULTILINE)
    assert [tuple(re.findall(r"`([^`]+)`", row)) for row in rows] == list(TYPE_NAMES.values())


def test_no_name_stands_in_the_table_twice() -> None:
    names = [name for several in TYPE_NAMES.values() for name in several]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("name", ["", "floot64", 5, None, "decimal[ns", "int64(x)"])
def test_a_name_that_nobody_knows_is_refused(name: object) -> None:
    with pytest.raises(Unfit, match=r"not a (known )?type name"):
        answers_to(pa.int64(), name)


@pytest.mark.parametrize(
    "kind",
    [
        pa.int8(), pa.uint16(), pa.int64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(),
        pa.decimal128(9, 2), pa.string(), pa.large_string(), pa.string_view(), pa.binary(),
        pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("ns", "Asia/Tokyo"),
        pa.time32("s"), pa.time64("ns"), pa.duration("ms"), pa.list_(pa.int8()), pa.null(),
        pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.int8()),
        pa.dictionary(pa.int8(), pa.string()),
    ],
    ids=str,
)  # fmt: skip
def test_every_type_has_a_name_and_no_type_has_all(kind: pa.DataType) -> None:
    answered = [several for several in TYPE_NAMES.values() if answers_to(kind, several[0])]
    assert 0 < len(answered) < 4
