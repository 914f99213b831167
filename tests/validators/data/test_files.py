"""File formats, their problems, and how the files of a dataset become one table."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.validators.data.reading import column, read
from validators.data.reading.objects import ObjectFile
from validators.data.reading.tables import LoadedDataset, load
from validators.report import Check
from validators.verdict import Verdict


def _only(loaded: LoadedDataset) -> Check:
    (check,) = loaded.checks
    return check


ROWS = [{"name": "a, b", "n": 1}, {"name": None, "n": 2}]
SAME_ROWS: dict[str, str] = {
    "a.csv": 'name,n\n"a, b",1\n,2\n',
    "a.CSV": 'name,n\r\n"a, b",1\r\n,2\r\n',
    "a.tsv": "name\tn\na, b\t1\n\t2\n",
    "a.tsv.gz": "name\tn\na, b\t1\n\t2\n",
    "a.csv.zst": 'name,n\n"a, b",1\n,2\n',
    "a.jsonl.ZST": '{"name": "a, b", "n": 1}\n{"n": 2}\n',
    "a.jsonl": '{"name": "a, b", "n": 1}\n{"n": 2}\n',
    "a.json": '{"name": "a, b", "n": 1}\n\n{"name": null, "n": 2}',
    "array.json": '[{"name": "a, b", "n": 1}, {"name": null, "n": 2}]\n',
    "pretty.json": '\ufeff [\n  {\n    "name": "a, b",\r\n    "n": 1\n  }\n,\n  {"n": 2}\n ]\n',
    "array.json.gz": '[{"name": "a, b", "n": 1}, {"n": 2}]',
    "array.json.zst": '[{"name": "a, b", "n": 1}, {"n": 2}]',
    "array.jsonl": '[{"name": "a, b", "n": 1}, {"n": 2}]',
}


@pytest.mark.parametrize("key", SAME_ROWS)
def test_every_kind_of_text_gives_the_same_rows(key: str, tmp_path: Path) -> None:
    loaded = read(tmp_path, {key: SAME_ROWS[key]})
    assert loaded.checks == ()
    assert loaded.table.to_pylist() == ROWS


@pytest.mark.parametrize(
    "key", ["a.xlsx", "a.avro.gz", "a.parquet.gz", "a.arrow.zst", "a.orc.gz", "000000_0", "a.gz"]
)
def test_a_kind_that_cannot_be_read_is_an_error_that_names_those_that_can(
    key: str, tmp_path: Path
) -> None:
    check = _only(read(tmp_path, {key: "x"}))
    assert check.verdict is Verdict.ERROR
    assert check.message.startswith(f"`{key}` ")
    kinds = ("Parquet (.parquet, .pq)", "ORC", "Arrow", "CSV (.csv)", "TSV (.tsv)", "JSON lines")
    for kind in (*kinds, ".gz and .zst"):
        assert kind in check.message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1, 2]", "element 1 is not an object"),
        ('[{"a": 1}, "MARKER"]', "element 2 is not an object"),
        ('[{"a": 1} {"a": 2}]', "breaks off after element 1"),
        ('[{"a": 1}', "breaks off after element 1"),
        ('[{"a": 1},', "is not readable as JSON"),
        ('[{"a": 1}, {"a": MARKER}]', "is not readable as JSON"),
        ('[{"a": 1}] MARKER', "more text after its JSON array"),
        ('{"a": 1}\n{"a": "MARKER"}', "`a` changes from number to string"),
        ('{"a": 1, "a": "MARKER"}', "`a` occurs twice"),
        ('[{"a": ' + "[" * 100_000 + "MARKER", "is not readable as JSON"),
    ],
)
def test_json_that_is_broken_says_where_and_quotes_nothing(
    text: str, why: str, tmp_path: Path
) -> None:
    check = _only(read(tmp_path, {"a.json": text}))
    assert check.verdict is Verdict.FAIL
    assert why in check.message
    assert "MARKER" not in check.model_dump_json()


@pytest.mark.parametrize(
    ("key", "encoding"),
    [("a.csv", "latin-1"), ("a.csv", "utf-16"), ("a.tsv", "utf-16"), ("a.json", "latin-1")],
)
def test_a_text_in_another_encoding_is_told_so(key: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "0"
    path.write_bytes(('[{"x": "é"}]' if key == "a.json" else "x,y\né,1\n").encode(encoding))
    check = _only(load([ObjectFile(key=key, path=str(path))], None))
    assert check.verdict is Verdict.FAIL
    assert check.message.endswith("(it is not UTF-8)")


def test_an_empty_array_has_no_rows_and_no_say(tmp_path: Path) -> None:
    assert read(tmp_path, {"a.json": "[]"}).table.num_rows == 0
    assert column(read(tmp_path, {"a.json": "[]", "b.json": '[{"x": 1}]'})) == ("int64", [1])


def test_a_date_in_json_is_one_if_all_files_say_so(tmp_path: Path) -> None:
    day = {"a.jsonl": '{"x": "2024-05-01"}\n'}
    assert column(read(tmp_path, day)) == ("date32[day]", [date(2024, 5, 1)])
    both = day | {"b.jsonl": '{"x": "unknown"}\n'}
    assert column(read(tmp_path, both)) == ("string", ["2024-05-01", "unknown"])
    within = {"a.jsonl": '{"x": {"d": ["2024-05-01"]}}\n', "b.jsonl": '{"x": {"d": ["no"]}}\n'}
    assert column(read(tmp_path, within))[1] == [{"d": ["2024-05-01"]}, {"d": ["no"]}]


def test_digits_in_quotes_are_text_in_json(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"a.jsonl": '{"x": "2134"}\n', "b.csv": "x\n10001\n"})
    assert column(loaded) == ("string", ["2134", "10001"])


def test_a_whole_number_keeps_its_digits_in_json(tmp_path: Path) -> None:
    text = '{"x": 9007199254740993}\n{"x": 12345678901234567890}\n'
    loaded = read(tmp_path, {"a.jsonl": text})
    values = [Decimal(9007199254740993), Decimal(12345678901234567890)]
    assert column(loaded) == ("decimal128(38, 0)", values)


def test_a_whole_number_keeps_its_digits_in_json_beside_a_fraction(tmp_path: Path) -> None:
    text = '{"x": 9007199254740993}\n{"x": 0.25}\n{"x": null}\n'
    values = [Decimal("9007199254740993.00"), Decimal("0.25"), None]
    assert column(read(tmp_path, {"a.jsonl": text})) == ("decimal128(38, 2)", values)
    printed = '{"x": 12345678901234567000}\n{"x": 1e-7}\n'  # as JavaScript prints a double
    assert column(read(tmp_path, {"a.jsonl": printed})) == ("double", [1.2345678901234567e19, 1e-7])


def test_a_key_that_a_file_of_json_leaves_out_is_null_and_told(tmp_path: Path) -> None:
    files = {"a.jsonl": '{"x": 1, "y": 1}\n', "b.jsonl": '{"y": 2}\n'}
    loaded = read(tmp_path, files, frozenset({"x"}))
    assert loaded.table["x"].to_pylist() == [1, None]
    check = _only(loaded)
    assert (check.verdict, check.blocks) == (Verdict.WARN, False)
    assert "missing in `b.jsonl`" in check.message
    assert "counts as null" in check.message


# -- a column that is there twice ------------------------------------------------------------------


def _table(names: list[str]) -> pa.Table:
    return pa.table([pa.array([number]) for number, _ in enumerate(names)], names=names)


TWICE: dict[str, Any] = {
    "a.csv": "id,x,x\n1,2,3\n",
    "b.tsv": "id\tx\tx\n1\t2\t3\n",
    "c.parquet": _table(["id", "x", "x"]),
}


@pytest.mark.parametrize("key", TWICE)
@pytest.mark.parametrize("wanted", [None, frozenset({"x"})])
def test_a_header_that_has_a_wanted_column_twice_names_file_and_column(
    key: str, wanted: frozenset[str] | None, tmp_path: Path
) -> None:
    loaded = read(tmp_path, {"good.csv": "id,x\n1,2\n", key: TWICE[key]}, wanted)
    assert loaded.table is None
    check = _only(loaded)
    assert check.verdict is Verdict.FAIL
    assert check.message == f"`{key}` has more than one column `x`"


@pytest.mark.parametrize("key", TWICE)
def test_a_column_that_is_there_twice_and_not_wanted_is_a_warning(key: str, tmp_path: Path) -> None:
    loaded = read(tmp_path, {key: TWICE[key]}, frozenset({"id"}))
    assert loaded.table.num_rows == 1
    check = _only(loaded)
    assert (check.verdict, check.blocks) == (Verdict.WARN, False)
    assert check.message == f"there is more than one column `x` in `{key}`"


# -- one type --------------------------------------------------------------------------------------

BIG = 2**53 + 1
BERLIN = pa.timestamp("us", "Europe/Berlin")
NOON = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - as the columns


def _of(kind: Any, *values: object) -> Any:
    return pa.array(values, kind)


def _struct(**values: object) -> Any:
    return pa.array([values])


FIT: list[tuple[Any, Any, str, list[object]]] = [
    (_of(pa.int32(), 1), _of(pa.int64(), BIG), "int64", [1, BIG]),
    (_of(pa.int8(), 1), _of(pa.int16(), 2), "int16", [1, 2]),
    (_of(pa.uint64(), 1), _of(pa.int64(), -1), "int64", [1, -1]),
    (_of(pa.uint64(), 2**63), _of(pa.int64(), -1), "decimal128(20, 0)", [2**63, -1]),
    (_of(pa.int64(), 1), _of(pa.float64(), 0.5), "double", [1.0, 0.5]),
    (_of(pa.int64(), BIG), _of(pa.float64(), 3.0, None), "int64", [BIG, 3, None]),
    (_of(pa.int64(), BIG), _of(pa.float64(), 3.0, float("nan")), "int64", [BIG, 3, None]),
    (_of(pa.int32(), 2**24 + 1), _of(pa.float32(), 0.5), "double", [2.0**24 + 1, 0.5]),
    (
        _of(pa.decimal128(5, 2), Decimal("1.10")),
        _of(pa.int64(), BIG),
        "decimal128(22, 2)",
        [Decimal("1.10"), Decimal(BIG)],
    ),
    (
        _of(pa.decimal128(5, 2), Decimal("1.10")),
        _of(pa.decimal128(38, 10), Decimal("0.5")),
        "decimal128(38, 10)",
        [Decimal("1.10"), Decimal("0.5")],
    ),
    (_of(pa.decimal128(5, 2), Decimal("1.10")), _of(pa.float64(), 0.5), "double", [1.1, 0.5]),
    (_of(pa.string(), "a"), _of(pa.large_string(), "b"), "large_string", ["a", "b"]),
    (
        _of(pa.string(), "a"),
        _of(pa.string(), "b").dictionary_encode(),
        "string",
        ["a", "b"],
    ),
    (_of(pa.string(), "a"), _of(pa.binary(), b"b"), "large_string", ["a", "b"]),
    (
        _of(pa.null(), None),
        _of(pa.date32(), date(2024, 5, 1)),
        "date32[day]",
        [None, date(2024, 5, 1)],
    ),
    (_of(pa.null(), None), _of(pa.null(), None), "null", [None, None]),
    (
        _of(pa.date32(), date(2024, 5, 1)),
        _of(pa.timestamp("ms"), NOON),
        "timestamp[ms]",
        [datetime(2024, 5, 1), NOON],  # noqa: DTZ001
    ),
    (_of(pa.timestamp("s"), NOON), _of(pa.timestamp("us"), NOON), "timestamp[us]", [NOON, NOON]),
    (
        _of(pa.timestamp("us"), datetime(9999, 1, 1)),  # noqa: DTZ001 - nanoseconds end in 2262
        _of(pa.timestamp("ns"), NOON),
        "timestamp[us]",
        [datetime(9999, 1, 1), NOON],  # noqa: DTZ001
    ),
    (
        _of(BERLIN, datetime(2024, 5, 1, 12, tzinfo=UTC)),
        _of(pa.timestamp("ms", "UTC"), datetime(2024, 5, 1, 13, tzinfo=UTC)),
        "timestamp[us, tz=UTC]",
        [datetime(2024, 5, 1, hour, tzinfo=UTC) for hour in (12, 13)],
    ),
    (
        _of(pa.duration("s"), timedelta(1)),
        _of(pa.duration("us"), timedelta(2)),
        "duration[us]",
        [timedelta(1), timedelta(2)],
    ),
    (
        _of(pa.list_(pa.int32()), [1]),
        _of(pa.list_(pa.int64()), [BIG]),
        "list<element: int64>",
        [[1], [BIG]],
    ),
    (
        _struct(a=1),
        _struct(a=0.5, b="x"),
        "struct<a: double, b: string>",
        [{"a": 1.0, "b": None}, {"a": 0.5, "b": "x"}],
    ),
    (
        _struct(a=1, b="x"),
        _struct(b="y", a=2),
        "struct<a: int64, b: string>",
        [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
    ),
]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("one", "other", "kind", "values"), FIT, ids=lambda case: str(case)[:30])
def test_types_that_differ_become_one_that_loses_nothing(
    one: Any, other: Any, kind: str, values: list[object], turned: bool, tmp_path: Path
) -> None:
    files = {"a.parquet": {"x": one}, "b.parquet": {"x": other}}
    found, read_values = column(read(tmp_path, dict(list(files.items())[:: -1 if turned else 1])))
    if turned:
        read_values = [*read_values[len(other) :], *read_values[: len(other)]]
    assert read_values == values
    assert found == kind or (turned and found.startswith("struct"))


APART: list[tuple[Any, Any]] = [
    (_of(pa.int64(), BIG), _of(pa.float64(), 0.5)),
    (_of(pa.int64(), 1), _of(pa.string(), "1")),
    (_of(pa.bool_(), True), _of(pa.int64(), 1)),
    (_of(pa.string(), "a"), _of(pa.binary(), b"\xff")),
    (_of(pa.timestamp("us"), NOON), _of(pa.timestamp("us", "UTC"), NOON)),
    (_of(pa.date32(), date(2024, 5, 1)), _of(pa.timestamp("us", "UTC"), NOON)),
    (_of(pa.date32(), date(2024, 5, 1)), _of(pa.string(), "2024-05-01")),
    (_of(pa.list_(pa.int64()), [1]), _of(pa.int64(), 1)),
    (_of(pa.list_(pa.int64()), [BIG]), _of(pa.list_(pa.float64()), [0.5])),
    (
        _of(pa.decimal128(20, 2), Decimal("123456789012345678.11")),
        _of(pa.float64(), 0.5),
    ),
]


@pytest.mark.parametrize(("one", "other"), APART, ids=lambda case: str(case.type))
def test_types_that_cannot_be_one_name_the_column_and_both_files(
    one: Any, other: Any, tmp_path: Path
) -> None:
    loaded = read(
        tmp_path, {"a.parquet": {"x": one, "y": [1]}, "b.parquet": {"x": other, "y": [2]}}
    )
    check = _only(loaded)
    assert check.verdict is Verdict.FAIL
    types = [str(each.type).replace("item:", "element:") for each in (one, other)]  # in Parquet
    assert check.message == (
        f"column `x` is {types[0]} in `a.parquet`; {types[1]} in `b.parquet`, and no single type "
        "holds all these values"
    )
    assert "types: {x:" in (check.next_step or "")
    assert loaded.table["y"].to_pylist() == [1, 2]


def test_the_order_of_columns_does_not_matter(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"a.csv": "x,y\n1,a\n", "b.csv": "y,x\nb,2\n"})
    assert loaded.columns == ("x", "y")
    assert loaded.table.to_pylist() == [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]


def test_a_file_without_any_wanted_column_still_has_rows(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"a.csv": "x,y\n1,2\n", "b.csv": "z\n3\n4\n"}, frozenset({"x"}))
    assert loaded.table["x"].to_pylist() == [1, None, None]


# -- folders ---------------------------------------------------------------------------------------


def test_folders_called_like_hive_partitions_are_columns(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        {
            "dt=2024-05-01/country=DE/part-0.parquet": {"n": [1, 2]},
            "dt=2024-05-02/country=__HIVE_DEFAULT_PARTITION__/part-0.parquet": {"n": [3]},
        },
    )
    assert loaded.columns == ("n", "dt", "country")
    days = [date(2024, 5, 1), date(2024, 5, 1), date(2024, 5, 2)]
    assert column(loaded, "dt") == ("date32[day]", days)
    assert column(loaded, "country") == ("string", ["DE", "DE", None])


HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
FOLDERS: list[tuple[list[str], str, list[object]]] = [
    (["x=1", "x=20"], "int64", [1, 20]),
    (["x=01", "x=12"], "string", ["01", "12"]),
    (["x=1", "x=b"], "string", ["1", "b"]),
    (["x=a%2Fb%20c"], "string", ["a/b c"]),
    (["x=a=b"], "string", ["a=b"]),
    (["x=2024-05-01 10%3A00%3A00"], "timestamp[us]", [datetime(2024, 5, 1, 10)]),  # noqa: DTZ001
    (["x=__HIVE_DEFAULT_PARTITION__", "x=7"], "int64", [None, 7]),
    (["x=1/x=2"], "int64", [2]),
    (["x=NA"], "string", ["NA"]),
]


@pytest.mark.parametrize(("folders", "kind", "values"), FOLDERS)
def test_the_value_of_a_folder_is_read_as_that_of_a_csv(
    folders: list[str], kind: str, values: list[object], tmp_path: Path
) -> None:
    loaded = read(tmp_path, {f"{folder}/a.parquet": {"n": [1]} for folder in folders})
    assert column(loaded) == (kind, values)


def test_a_partition_may_have_a_type_of_the_spec(tmp_path: Path) -> None:
    files = {"month=1/a.csv": "n\n1\n", "month=12/a.csv": "n\n1\n"}
    loaded = read(tmp_path, files, types={"month": "string"})
    assert column(loaded, "month") == ("string", ["1", "12"])


DECLARED: list[tuple[str, list[str], str, list[object]]] = [
    ("int64", ["x=007", f"x={HIVE_NULL}"], "int64", [7, None]),
    ("string", ["x=2024-05-01", f"x={HIVE_NULL}"], "string", ["2024-05-01", None]),
    ("date", ["x=2024-05-01", "x=2024-05-02"], "date32[day]", [date(2024, 5, 1), date(2024, 5, 2)]),
    ("decimal", ["x=1.50"], "decimal128(38, 2)", [Decimal("1.50")]),
    ("bool", ["x=true"], "bool", [True]),
    ("int64", [f"x={HIVE_NULL}"], "int64", [None]),
]


@pytest.mark.parametrize(("said", "folders", "kind", "values"), DECLARED)
def test_folders_over_csv_have_the_type_that_is_said(
    said: str, folders: list[str], kind: str, values: list[object], tmp_path: Path
) -> None:
    files = {f"{folder}/a.csv": "n\n1\n" for folder in folders}
    loaded = read(tmp_path, files, types={"x": said})
    assert loaded.checks == ()
    assert column(loaded) == (kind, values)


def test_a_folder_that_is_not_of_the_type_that_is_said_is_named(tmp_path: Path) -> None:
    files = {"x=2024-05-01/a.csv": "n\n1\n", "x=never/a.csv": "n\n1\n"}
    check = _only(read(tmp_path, files, types={"x": "date"}))
    assert check.verdict is Verdict.FAIL
    assert "`x` cannot be read as date in `x=never/a.csv`" in check.message


def test_folders_of_differing_depth_fail_only_what_needs_the_deeper_column(tmp_path: Path) -> None:
    files = {"dt=2024-05-01/country=DE/a.csv": "n\n1\n", "dt=2024-05-02/b.csv": "n\n2\n"}
    for wanted, verdict in (("n", Verdict.WARN), ("country", Verdict.FAIL)):
        loaded = read(tmp_path, files, frozenset({"dt", wanted}))
        check = _only(loaded)
        assert check.verdict is verdict
        assert "`country` is missing in `dt=2024-05-02/b.csv`" in check.message
        assert loaded.table["dt"].to_pylist() == [date(2024, 5, 1), date(2024, 5, 2)]


def test_a_name_with_an_equals_sign_that_is_no_folder_is_no_column(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"raw/x=1.csv": "n\n1\n", "=a/b.csv": "n\n1\n"})
    assert loaded.columns == ("n",)


def test_a_column_that_the_file_has_too_is_read_from_the_file(tmp_path: Path) -> None:
    files: dict[str, Any] = {
        "dt=2024-05-01/a.parquet": {"dt": [date(2024, 5, 1)]},
        "dt=2024-05-02/a.csv": "dt\n2024-05-02\n",
        "dt=2024-05-03/a.parquet": {"dt": ["2024-05-03"]},
    }
    for key, content in files.items():
        assert read(tmp_path, {key: content}).checks == ()
    wrong = read(tmp_path, {**files, "dt=2024-05-04/a.csv": "dt\n2024-05-05\n"}, frozenset({"dt"}))
    said = [check for check in wrong.checks if check.name.startswith("folders")]
    assert [(check.verdict, check.blocks) for check in said] == [(Verdict.WARN, False)]
    assert "the folder name differ in `dt=2024-05-04/a.csv`" in said[0].message


def test_a_folder_in_some_keys_only_is_a_column_that_the_others_lack(tmp_path: Path) -> None:
    files = {"dt=2024-05-01/a.csv": "n\n1\n", "b.csv": "n\n1\n"}
    check = _only(read(tmp_path, files, frozenset({"dt"})))
    assert check.verdict is Verdict.FAIL
    assert "column `dt` is missing in `b.csv`" in check.message


def test_a_column_may_be_needed_in_every_file_without_being_read(tmp_path: Path) -> None:
    for number, text in enumerate(("x,y\n1,2\n", "x\n3\n")):
        (tmp_path / str(number)).write_text(text)
    objects = [ObjectFile(key=f"{n}.csv", path=str(tmp_path / str(n))) for n in range(2)]
    loaded = load(objects, frozenset({"x"}), frozenset({"y"}))
    assert _only(loaded).verdict is Verdict.FAIL
    assert loaded.table.column_names == ["x"]
