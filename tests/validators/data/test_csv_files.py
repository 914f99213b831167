"""CSV that is written another way, read as the spec declares it."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.csv_files import CsvFiles
from tests.validators.data.reading import column, packed, read
from validators.data.checks import TableFacts, check_of
from validators.data.reading.agreement import Disagreement, agreed
from validators.data.reading.formats.contents import ColumnValues
from validators.data.reading.objects import DatasetReading
from validators.data.reading.tables import LoadedDataset
from validators.data.suites.suite import read_suite
from validators.report import Check
from validators.verdict import Verdict


def _only(loaded: LoadedDataset) -> Check:
    (check,) = loaded.checks
    return check


def _csv(**keys: Any) -> CsvFiles:
    return CsvFiles.model_validate(keys)


GERMAN = {"delimiter": ";", "decimal": ",", "thousands": ".", "dates": "%d.%m.%Y"}
SAME: list[tuple[str, dict[str, Any], str]] = [
    ("a.csv", {"delimiter": ";"}, "name;n\na, b;1\n;2\n"),
    ("a.txt", {"delimiter": "|"}, "name|n\na, b|1\n|2\n"),
    ("a.txt.gz", {"delimiter": "\t"}, "name\tn\na, b\t1\n\t2\n"),
    ("a.csv", {"delimiter": " "}, 'name n\n"a, b" 1\n"" 2\n'),
    ("a.csv", {"header": False, "columns": ["name", "n"]}, '"a, b",1\n,2\n'),
    ("a.csv", {"quote": "'"}, "name,n\n'a, b',1\n,2\n"),
    ("a.csv", {"quote": None, "escape": "\\"}, "name,n\na\\, b,1\n,2\n"),
    ("a.csv", {"skip_rows": 2}, 'made "by\nhand, on Monday\nname,n\n"a, b",1\n,2\n'),
    ("a.csv", {"comment": "#"}, '#one\nname,n\n"a, b",1\n#two, 2\n,2\n#three'),
    ("a.csv.zst", {"comment": "#", "skip_rows": 1}, '"\r\nname,n\r\n"a, b",1\r\n#\r\n,2\r\n'),
]


@pytest.mark.parametrize(("key", "written", "text"), SAME)
def test_the_same_rows_come_out_however_they_are_written(
    key: str, written: dict[str, Any], text: str, tmp_path: Path
) -> None:
    loaded = read(tmp_path, {key: packed(text.encode(), key)}, csv=_csv(**written))
    assert loaded.checks == ()
    assert loaded.table.to_pylist() == [{"name": "a, b", "n": 1}, {"name": None, "n": 2}]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le"])
def test_a_declared_encoding_is_decoded(encoding: str, tmp_path: Path) -> None:
    text = "name;x\nMüller;1\n".encode(encoding)
    loaded = read(tmp_path, {"a.csv": text}, csv=_csv(delimiter=";", encoding=encoding))
    assert loaded.table.to_pylist() == [{"name": "Müller", "x": 1}]


def test_a_text_that_is_not_of_the_declared_encoding_is_told_so(tmp_path: Path) -> None:
    check = _only(read(tmp_path, {"a.csv": b"x\n\x81\n"}, csv=_csv(encoding="cp1252")))
    assert check.message == "`a.csv` is not readable as CSV (it is not cp1252)"


def test_a_txt_without_a_delimiter_says_where_to_set_it(tmp_path: Path) -> None:
    check = _only(read(tmp_path, {"a.txt": "a b\n"}))
    assert check.verdict is Verdict.ERROR
    assert "csv: {delimiter: ';'}" in check.message


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("id;price;day\nMARKER;2,5;x\n", '{delimiter: ";"}'),
        ('"id"|"price"\nMARKER|2,5\n', '{delimiter: "|"}'),
        ("id\tprice\nMARKER\t2,5\n", '{delimiter: "\\t"}'),
        ("id\nMARKER,2\n", None),  # it has one column, and a row with several
        ("id;price,day\n1;2,x,y\n", None),
    ],
)
def test_a_file_that_looks_written_with_another_delimiter_says_what_to_set(
    text: str, advice: str | None, tmp_path: Path
) -> None:
    message = _only(read(tmp_path, {"a.csv": text})).message
    assert "fields instead of" in message
    assert "MARKER" not in message
    told = f"; if its delimiter is another one, set `csv: {advice}` in the dataset"
    assert message.endswith(told) if advice else "delimiter" not in message


@pytest.mark.parametrize(
    ("written", "text", "line"),
    [
        ({}, 'a,b\n1,2\n\n"x\ny",4\n5,MARKER,7\n8\n', 6),
        ({"skip_rows": 2}, "by hand\n\na,b\n1,2\nMARKER\n", 5),
        ({"comment": "#"}, "#\na,b\n1,MARKER,3\n", None),
    ],
)
def test_a_row_with_too_many_or_too_few_fields_is_told_by_its_line(
    written: dict[str, Any], text: str, line: int | None, tmp_path: Path
) -> None:
    message = _only(read(tmp_path, {"a.csv": text}, csv=_csv(**written))).message
    assert "instead of 2" in message
    assert "MARKER" not in message
    assert message.endswith(f"; see line {line}") if line else "line" not in message


def test_a_column_that_another_delimiter_would_show_is_missing_for_that_reason() -> None:
    exists = {"type": "expect_column_to_exist", "kwargs": {"column": "price"}}
    suite = read_suite(json.dumps({"name": "s", "expectations": [exists]}), "suite.json")
    facts = TableFacts(rows=1, columns=("id;price", "year"))
    check = check_of(suite.expectations[0], None, facts, "suite.json")
    assert check.verdict is Verdict.FAIL
    assert check.next_step is not None
    assert 'Set `csv: {delimiter: ";"}` in the dataset' in check.next_step


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"a.csv": "1,x\n2,y\n"}, csv=_csv(header=False))
    assert loaded.table.to_pydict() == {"c1": [1, 2], "c2": ["x", "y"]}


def test_a_file_with_other_columns_than_those_named_is_told(tmp_path: Path) -> None:
    csv = _csv(header=False, columns=["a", "b"])
    check = _only(read(tmp_path, {"good.csv": "1,2\n", "bad.csv": "1,2,3\n"}, csv=csv))
    assert check.message == "`bad.csv` has 3 columns, and `csv: columns` of the dataset names 2"


def test_a_comment_within_a_quoted_value_is_part_of_it(tmp_path: Path) -> None:
    text = 'x,n\n"a\n#b",1\n# a "comment\n"c\\"\n#d",2\n'
    loaded = read(tmp_path, {"a.csv": text}, csv=_csv(comment="#", escape="\\"))
    assert loaded.table.to_pylist() == [{"x": "a\n#b", "n": 1}, {"x": 'c"\n#d', "n": 2}]


def test_what_the_spec_declares_reaches_the_gate_through_its_request() -> None:
    csv = _csv(
        **GERMAN, header=False, columns=["a"], quote=None, booleans={"true": ["J"], "false": ["N"]}
    )
    said = {"csv": csv.model_dump(mode="json", exclude_defaults=True)}
    assert DatasetReading.model_validate_json(json.dumps(said)).csv == csv


# -- numbers, dates and booleans -------------------------------------------------------------------

LOOKS: list[tuple[dict[str, Any], list[str], str, list[object]]] = [
    (GERMAN, ["1.234,50", "-2"], "double", [1234.5, -2.0]),
    (GERMAN, ["1.234", "12.345.678"], "int64", [1234, 12345678]),
    (GERMAN, ["1234", "5"], "int64", [1234, 5]),
    (GERMAN, ["1.5", "2.5"], "string", ["1.5", "2.5"]),
    (GERMAN, ["02134", "10001"], "string", ["02134", "10001"]),
    (GERMAN, ["9.007.199.254.740.993,25"], "decimal128(38, 2)", [Decimal("9007199254740993.25")]),
    (GERMAN, ["01.05.2024", "31.12.1999"], "date32[day]", [date(2024, 5, 1), date(1999, 12, 31)]),
    (GERMAN, ["30.02.2024"], "string", ["30.02.2024"]),
    (GERMAN, ["2024-05-01"], "date32[day]", [date(2024, 5, 1)]),
    (GERMAN, ["true", "false"], "bool", [True, False]),
    ({"decimal": ",", "delimiter": ";"}, ["1.5"], "string", ["1.5"]),
    ({"decimal": ",", "delimiter": ";"}, ["1,5", "1e3"], "double", [1.5, 1000.0]),
    ({"thousands": " "}, ["1 234.5", "7"], "double", [1234.5, 7.0]),
    ({"booleans": {"true": ["J"], "false": ["N"]}}, ["J", "N"], "bool", [True, False]),
    ({"booleans": {"true": ["1"], "false": ["0"]}}, ["1", "0"], "int64", [1, 0]),
    ({"booleans": {"true": ["J"], "false": ["N"]}}, ["J", "x"], "string", ["J", "x"]),
]


@pytest.mark.parametrize(("written", "texts", "kind", "values"), LOOKS)
def test_a_column_without_a_type_is_read_in_the_notation_of_the_spec(
    written: dict[str, Any], texts: list[str], kind: str, values: list[object], tmp_path: Path
) -> None:
    files = {f"{n}.csv": f'x\n"{text}"\n' for n, text in enumerate(texts)}
    assert column(read(tmp_path, files, csv=_csv(**written))) == (kind, values)


NOON = datetime(2024, 5, 1, 12, 30)  # noqa: DTZ001 - as the column
DECLARED: list[tuple[str, dict[str, Any], str, object]] = [
    ("int64", GERMAN, "1.234", 1234),
    ("int64", GERMAN, "007", 7),
    ("double", GERMAN, "1.234,5", 1234.5),
    ("decimal", GERMAN, "0,10", Decimal("0.10")),
    ("string", GERMAN, "1.234,5", "1.234,5"),
    ("string", GERMAN, "01.05.2024", "01.05.2024"),
    ("bool", {"booleans": {"true": ["1"], "false": ["0"]}}, "1", True),
    ("date", {"dates": "%m/%d/%Y"}, "5/1/2024", date(2024, 5, 1)),
    ("date", {"dates": "%d %b %y"}, "01 May 24", date(2024, 5, 1)),
    ("date", {"dates": "%d. %B %y"}, "1. MARCH 69", date(1969, 3, 1)),
    ("date", {"dates": ["%Y%m%d", "%d.%m.%Y"]}, "01.05.2024", date(2024, 5, 1)),
    ("timestamp", {"dates": "%d.%m.%Y %H:%M"}, "01.05.2024 12:30", NOON),
    ("timestamp", {"dates": "%m/%d/%Y %I:%M %p"}, "5/1/2024 12:30 PM", NOON),
    ("timestamp", {"dates": "%m/%d/%Y %I:%M %p"}, "5/1/2024 12:30 am", NOON.replace(hour=0)),
    (
        "timestamp",
        {"dates": "%d.%m.%Y %H:%M:%S,%f"},
        "01.05.2024 12:30:00,5",
        NOON.replace(microsecond=500_000),
    ),
    ("timestamp", {"dates": "%d.%m.%Y %H:%M%z"}, "01.05.2024 14:30+0200", NOON.replace(tzinfo=UTC)),
]


@pytest.mark.parametrize(("said", "written", "text", "value"), DECLARED)
def test_a_declared_type_is_read_in_the_notation_of_the_spec(
    said: str, written: dict[str, Any], text: str, value: object, tmp_path: Path
) -> None:
    loaded = read(tmp_path, {"a.csv": _row(written, text)}, types={"x": said}, csv=_csv(**written))
    assert column(loaded)[1] == [value, None]


def _row(written: dict[str, Any], text: str) -> str:
    between = written.get("delimiter", ",")
    return f'x{between}y\n"{text}"{between}1\n{between}2\n'


UNFIT = [
    ("date", GERMAN, "2024-05-01"),
    ("date", GERMAN, "30.02.2024"),
    ("date", {"dates": "%d.%m.%Y %H:%M"}, "01.05.2024 12:30"),
    ("int64", GERMAN, "0.123"),
    ("int64", GERMAN, "1,5"),
    ("double", GERMAN, "1234.5"),
    ("double", {"delimiter": ";", "decimal": ","}, "1.5"),
    ("bool", {"booleans": {"true": ["J"], "false": ["N"]}}, "true"),
]


@pytest.mark.parametrize(("said", "written", "text"), UNFIT)
def test_a_value_in_another_notation_fails_its_file_by_name(
    said: str, written: dict[str, Any], text: str, tmp_path: Path
) -> None:
    good = f"x{written.get('delimiter', ',')}y\n"
    files = {"good.csv": good, "bad.csv": _row(written, text)}
    check = _only(read(tmp_path, files, types={"x": said}, csv=_csv(**written)))
    assert check.verdict is Verdict.FAIL
    assert check.message == f"column `x` cannot be read as {said} in `bad.csv`"


def test_the_notation_is_that_of_delimited_text_only(tmp_path: Path) -> None:
    files = {"a.csv": 'x\n"1,5"\n', "b.jsonl": '{"x": 2.5}\n', "c.parquet": {"x": [3.5]}}
    loaded = read(tmp_path, files, csv=_csv(delimiter=";", decimal=","))
    assert column(loaded) == ("double", [1.5, 2.5, 3.5])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.decimals(-(10**15), 10**15, places=2), min_size=1, max_size=4))
def test_whatever_number_is_written_comes_back(numbers: list[Decimal]) -> None:
    texts = [f"{n:,.2f}".translate(str.maketrans(",.", ".,")) for n in numbers]
    values = pa.chunked_array([pa.array(texts)])
    found = agreed({"a": ColumnValues(values, "text", _csv(**GERMAN))}, "decimal")
    assert not isinstance(found, Disagreement)
    assert found["a"].to_pylist() == numbers


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)), min_size=1, max_size=3),  # noqa: DTZ001
    st.sampled_from(
        ["%Y%m%d%H%M%S%f", "%d.%m.%y %H:%M:%S.%f", "%B %d, %Y %I:%M:%S.%f %p", "%d%b%Y"]
    ),
)
def test_whatever_time_is_written_comes_back(times: list[datetime], form: str) -> None:
    values = pa.chunked_array([pa.array([time.strftime(form) for time in times])])
    found = agreed({"a": ColumnValues(values, "text", _csv(dates=form))}, "timestamp")
    assert not isinstance(found, Disagreement)
    has_time = "%f" in form
    assert found["a"].to_pylist() == [
        time if has_time else datetime(time.year, time.month, time.day)  # noqa: DTZ001
        for time in times
    ]
