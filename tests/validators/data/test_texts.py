"""CSV has no types: how text is read, and that nothing is lost by it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from specs.csv_files import CsvFiles
from tests.validators.data.reading import column, read
from validators.verdict import Verdict

# Texts of one column, and what they are read as. docs/datasets.md has the same table.
LOOKS: list[tuple[list[str], str, list[object]]] = [
    (["1", "-20", "0"], "int64", [1, -20, 0]),
    ([" 1 ", "\t2"], "int64", [1, 2]),
    (["02134", "10001"], "string", ["02134", "10001"]),
    (["007.5", "1.5"], "string", ["007.5", "1.5"]),
    (["00", "1"], "string", ["00", "1"]),
    (["+491701", "3"], "string", ["+491701", "3"]),
    (["1_000"], "string", ["1_000"]),
    (['"1,000"'], "string", ["1,000"]),
    (["0x1F", "31"], "string", ["0x1F", "31"]),
    (["9223372036854775807"], "int64", [2**63 - 1]),
    (["9223372036854775808", "1"], "decimal128(38, 0)", [Decimal(2**63), Decimal(1)]),
    # Arrow's cast makes other numbers of these, below zero even.
    (["9" * 39], "string", ["9" * 39]),
    (["9" * 45], "string", ["9" * 45]),
    (["1" * 40], "string", ["1" * 40]),
    (["1", "1.5", ".5", "2."], "double", [1.0, 1.5, 0.5, 2.0]),
    (["1e-07", "1E+16"], "double", [1e-07, 1e16]),
    (["1.0e5", "1e21"], "double", [1e5, 1e21]),
    (["12e4", "12345"], "string", ["12e4", "12345"]),
    (["1.5", "NaN"], "string", ["1.5", "NaN"]),
    (["inf", "1"], "string", ["inf", "1"]),
    (
        ["9007199254740993", "0.25"],
        "decimal128(38, 2)",
        [Decimal("9007199254740993.00"), Decimal("0.25")],
    ),
    (["9007199254740993", "1e-07"], "string", ["9007199254740993", "1e-07"]),
    (["1.2.3"], "string", ["1.2.3"]),
    (["true", "False", "TRUE"], "bool", [True, False, True]),
    (["true", "1"], "string", ["true", "1"]),
    (["yes", "no"], "string", ["yes", "no"]),
    (["2024-05-01"], "date32[day]", [date(2024, 5, 1)]),
    (["2024-02-30"], "string", ["2024-02-30"]),
    (["01.05.2024"], "string", ["01.05.2024"]),
    (["20240501"], "int64", [20240501]),
    (
        ["2024-05-01", "2024-05-01 12:30:00.25"],
        "timestamp[us]",
        [datetime(2024, 5, 1), datetime(2024, 5, 1, 12, 30, 0, 250_000)],  # noqa: DTZ001
    ),
    (
        ["2024-05-01T12:30:00Z", "2024-05-01 12:30+02:00"],
        "timestamp[us, tz=UTC]",
        [datetime(2024, 5, 1, 12, 30, tzinfo=UTC), datetime(2024, 5, 1, 10, 30, tzinfo=UTC)],
    ),
    (
        ["2024-05-01T12:30:00Z", "2024-05-01T12:30:00"],
        "string",
        ["2024-05-01T12:30:00Z", "2024-05-01T12:30:00"],
    ),
    (["12:30"], "string", ["12:30"]),
    (["NA", "1"], "string", ["NA", "1"]),
    (["n/a", "NULL"], "string", ["n/a", "NULL"]),
    (["", "1"], "int64", [None, 1]),
    (["", '""', "a"], "string", [None, None, "a"]),
    (["", ""], "null", [None, None]),
]


@pytest.mark.parametrize(("texts", "kind", "values"), LOOKS, ids=lambda case: str(case)[:40])
def test_a_text_becomes_something_else_only_where_nothing_is_lost(
    texts: list[str], kind: str, values: list[object], tmp_path: Path
) -> None:
    lines = "".join(f"k,{text}\n" for text in texts)
    assert column(read(tmp_path, {"a.csv": f"key,x\n{lines}"})) == (kind, values)


def test_the_table_of_the_docs_is_the_one_that_holds(tmp_path: Path) -> None:
    page = Path("docs/datasets.md").read_text(encoding="utf-8")
    table = page.partition("| Texts of a column |")[2].partition("\n\n")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("| `")
    ]
    assert len(rows) > 10
    for texts, kind, *_ in rows:
        lines = "".join(f"k,{text.strip()[1:-1]}\n" for text in texts.split("; "))
        found, _ = column(read(tmp_path, {"a.csv": f"key,x\n{lines}"}))
        assert found == kind.strip("`"), texts


def test_a_zip_code_keeps_its_zero_and_namibia_its_name(tmp_path: Path) -> None:
    text = 'zip,country\n02134,NA\n10001,"NA"\n94103,\n'
    loaded = read(tmp_path, {"a.csv": text})
    assert column(loaded, "zip") == ("string", ["02134", "10001", "94103"])
    assert column(loaded, "country") == ("string", ["NA", "NA", None])


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("one", "other"), [("02134", "K1A 0B1"), ("2134", "K1A 0B1"), ("2134", "02134"), ("", "7a")]
)
def test_text_stays_text_where_files_disagree(
    one: str, other: str, order: int, tmp_path: Path
) -> None:
    files = {"a.csv": f"x,y\n{one},1\n", "b.csv": f"x,y\n{other},1\n"}
    loaded = read(tmp_path, dict(list(files.items())[::order]), frozenset({"x"}))
    assert column(loaded) == ("string", [one or None, other][::order])


def test_what_is_text_in_parquet_is_text_in_the_csv_beside_it(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"a.parquet": {"x": ["K1A 0B1"]}, "b.csv": "x\n2134\n"})
    assert column(loaded) == ("string", ["K1A 0B1", "2134"])


def test_midnight_in_one_file_and_times_in_the_other_are_times(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"a.csv": "x\n2024-05-01\n", "b.csv": "x\n2024-05-02 03:04:05\n"})
    times = [datetime(2024, 5, 1), datetime(2024, 5, 2, 3, 4, 5)]  # noqa: DTZ001
    assert column(loaded) == ("timestamp[us]", times)


WISHED: list[tuple[str, str, list[str], str, object]] = [
    ("zip", "string", ["2134"], "string", "2134"),
    ("id", "int64", ["02134"], "int64", 2134),
    ("id", "int64", ["+7"], "int64", 7),
    ("price", "double", ["1e5"], "double", 100_000.0),
    ("price", "decimal", ["1.10"], "decimal128(38, 2)", Decimal("1.10")),
    ("ok", "bool", ["1"], "bool", True),
    ("day", "date", ["2024-05-01"], "date32[day]", date(2024, 5, 1)),
    ("at", "timestamp", ["2024-05-01"], "timestamp[us]", datetime(2024, 5, 1)),  # noqa: DTZ001
]


@pytest.mark.parametrize(("name", "said", "texts", "kind", "value"), WISHED)
def test_a_column_has_the_type_that_the_spec_says(
    name: str, said: str, texts: list[str], kind: str, value: object, tmp_path: Path
) -> None:
    lines = "".join(f"{text}\n" for text in texts)
    loaded = read(tmp_path, {"a.csv": f"{name}\n{lines}"}, types={name: said})
    assert column(loaded, name) == (kind, [value])


def test_a_type_of_the_spec_settles_what_files_disagree_about(tmp_path: Path) -> None:
    files: dict[str, Any] = {"a.parquet": {"x": [2134]}, "b.parquet": {"x": ["K1A 0B1"]}}
    assert read(tmp_path, files).clashing == {"x"}
    loaded = read(tmp_path, files, types={"x": "string"})
    assert column(loaded) == ("string", ["2134", "K1A 0B1"])


def test_a_value_that_is_not_of_the_type_said_names_file_and_column(tmp_path: Path) -> None:
    files = {"a.csv": "x\n1\n", "b.csv": "x\nMARKER\n"}
    (check,) = read(tmp_path, files, types={"x": "int64"}).checks
    assert check.verdict is Verdict.FAIL
    assert check.message == "column `x` cannot be read as int64 in `b.csv`"
    assert "MARKER" not in check.model_dump_json()


@pytest.mark.parametrize(
    ("values", "said"),
    [([1.5], "int64"), ([5], "bool"), ([datetime(2024, 5, 1, 1)], "date")],  # noqa: DTZ001
)
def test_a_type_of_the_spec_never_cuts_a_value(
    values: list[Any], said: str, tmp_path: Path
) -> None:
    loaded = read(tmp_path, {"a.parquet": {"x": values}}, types={"x": said})
    assert loaded.clashing == {"x"}


def test_who_asks_for_doubles_gets_the_nearest(tmp_path: Path) -> None:
    files: dict[str, Any] = {"a.parquet": {"x": [2**53 + 1]}, "b.parquet": {"x": [0.5]}}
    loaded = read(tmp_path, files, types={"x": "double"})
    assert column(loaded) == ("double", [2.0**53, 0.5])


def test_a_type_for_a_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    (check,) = read(tmp_path, {"a.csv": "zip\n1\n"}, types={"zipp": "string"}).checks
    assert (check.verdict, check.blocks) == (Verdict.WARN, False)
    assert "did you mean `zip`?" in check.message


def test_the_spec_says_which_texts_are_null(tmp_path: Path) -> None:
    text = 'x,y\n1,a\nNA,"NA"\n,\n'
    loaded = read(tmp_path, {"a.csv": text}, nulls=("", "NA"))
    assert column(loaded, "x") == ("int64", [1, None, None])
    assert column(loaded, "y") == ("string", ["a", None, None])
    nothing = read(tmp_path, {"a.csv": text}, nulls=())
    assert column(nothing, "y") == ("string", ["a", "NA", ""])


def test_numbers_that_one_word_makes_text_are_told_of(tmp_path: Path) -> None:
    files = {"a.csv": "x,y\n1,NA\nNA,b\n", "b.csv": "x,y\n2,c\n\\N,d\n"}
    types, note = read(tmp_path, files, nulls=("", "?")).notes
    assert types == "Types inferred from the texts: `x` string, `y` string."
    assert note == (
        r"`x` is text only because of 2 values (NA, \N); if that means null, set `nulls: "
        r"['', '?', 'NA', '\N']` in the dataset."
    )


def test_rows_are_there_although_their_only_column_cannot_be_judged(tmp_path: Path) -> None:
    files: dict[str, Any] = {"a.parquet": {"x": [1, 2]}, "b.parquet": {"x": ["a"]}}
    loaded = read(tmp_path, files, frozenset({"x"}))
    assert loaded.clashing == {"x"}
    assert loaded.table.num_rows == 3


def test_a_header_without_rows_is_a_table_without_rows(tmp_path: Path) -> None:
    for text in ("x,y", "x,y\n", "x,y\r\n\r\n"):
        loaded = read(tmp_path, {"a.csv": text})
        assert loaded.checks == ()
        assert (loaded.columns, loaded.table.num_rows) == (("x", "y"), 0)


def test_a_header_without_rows_has_no_say_in_the_type(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"a.csv": "x\n", "b.csv": "x\n1\n"})
    assert column(loaded) == ("int64", [1])


def test_a_quoted_line_break_is_part_of_a_value_wherever_it_is(tmp_path: Path) -> None:
    # More than Arrow reads at once: by itself it would split rows where its blocks end.
    rows = 120_000
    text = "x,y\n" + "".join(f'{n},"line\nbreak {n}"\n' for n in range(rows))
    loaded = read(tmp_path, {"a.csv": text})
    assert loaded.checks == ()
    assert loaded.table["y"].to_pylist()[-1] == f"line\nbreak {rows - 1}"


@pytest.mark.parametrize("key", ["a.csv", "a.jsonl"])
@pytest.mark.parametrize("first", [True, False])
def test_a_row_may_be_longer_than_what_is_read_at_once(
    first: bool, key: str, tmp_path: Path
) -> None:
    values = ["x" * 3_000_000, "a"][:: 1 if first else -1]
    lines = values if key == "a.csv" else [f'{{"x": "{value}"}}' for value in values]
    text = "\n".join(["x", *lines] if key == "a.csv" else lines) + "\n"
    assert column(read(tmp_path, {key: text})) == ("string", values)


def test_a_word_among_numbers_of_a_declared_notation_is_told_of(tmp_path: Path) -> None:
    csv = CsvFiles(delimiter=";", decimal=",")
    (_, note) = read(tmp_path, {"a.csv": "x;y\n1,5;1\nNA;2\n"}, csv=csv).notes
    assert note.startswith("`x` is text only because of 1 value (NA)")


def test_types_that_nobody_declared_are_told_and_no_more_than_fit_a_line(tmp_path: Path) -> None:
    head = "day,at,zoned,price,wide,code,flag,none,said"
    row = "2024-05-01,2024-05-01 10:00,2024-05-01T10:00Z,1.5,12345678901234567890,02,true,,7"
    (note,) = read(tmp_path, {"a.csv": f"{head}\n{row}\n"}, types={"said": "string"}).notes
    assert note == (
        "Types inferred from the texts: `day` date, `at` timestamp, `zoned` timestamp in UTC, "
        "`price` double, `wide` decimal(38, 0), `code` string, `flag` bool, `none` all null."
    )
    many = ",".join(f"c{n}" for n in range(100))
    (note,) = read(tmp_path, {"a.csv": f"{many}\n{'1,' * 99}1\n"}).notes
    assert note.endswith("`c11` int64 and 88 more.")
    assert read(tmp_path, {"a.parquet": {"x": ["1"]}}).notes == ()
