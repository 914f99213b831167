"""The gate as a process over files: formats, order of rows, bad requests, bad files."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv

from specs.gates import Columns
from tests.validators.data.reading import written
from tests.validators.model.tables import Bench, flights, one, write
from validators.model.__main__ import main
from validators.model.request import ModelGateRequest
from validators.model.rows import Predictions, Unusable, in_one_type, load, why_unpaired
from validators.report import Report
from validators.verdict import Verdict

COLUMNS = Columns(key="id", label="late", score="p")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _through_main(request: str, folder: Path) -> Report:
    (folder / "request.json").write_text(request)
    assert main([str(folder / "request.json"), str(folder / "report.json")]) == 0
    return Report.model_validate_json((folder / "report.json").read_bytes())


def test_the_process_writes_the_report_and_nothing_else(bench: Bench) -> None:
    request = bench.request(flights(), flights(noise=0.4))
    (bench.folder / "request.json").write_text(request.model_dump_json())
    command = [sys.executable, "-m", "validators.model", "request.json", "report.json"]
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        command, cwd=bench.folder, env={"PYTHONPATH": root}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    report = Report.model_validate_json((bench.folder / "report.json").read_bytes())
    assert report.verdict is Verdict.PASS
    assert {path.name for path in bench.folder.iterdir()} == {
        "candidate", "baseline", "request.json", "report.json"
    }  # fmt: skip


def test_metric_names_and_requests_cost_no_heavy_import() -> None:
    code = (
        "import sys; import validators.model.request; import specs.metrics;"
        "print([n for n in ('numpy', 'sklearn', 'pandas', 'pyarrow') if n in sys.modules])"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(bench: Bench, random: object) -> None:
    order = list(range(600))
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    candidate, baseline = flights(600), flights(600, noise=0.6)
    mixed = {name: np.asarray(values)[order] for name, values in candidate.items()}
    sliced = Bench(bench.folder, slices=("carrier",))
    assert sliced.judge(mixed, baseline) == sliced.judge(candidate, baseline)


def test_parquet_csv_and_json_lines_say_the_same(tmp_path: Path) -> None:
    table = pa.table(flights(300))
    pq.write_table(table, tmp_path / "a")
    csv.write_csv(table, tmp_path / "b")
    (tmp_path / "c").write_text("\n".join(json.dumps(row) for row in table.to_pylist()))
    parquet, text, lines = (load(tmp_path / name, COLUMNS, ["carrier"]) for name in "abc")
    for other in (text, lines):
        assert why_unpaired(parquet, other) is None
        assert parquet.score is not None
        assert other.score is not None
        assert np.array_equal(parquet.score, other.score)
        assert other.slices["carrier"].values == parquet.slices["carrier"].values


@pytest.mark.parametrize("key", ["a.orc", "a.arrow", "a.arrows"])
def test_orc_and_arrow_say_the_same_as_parquet(key: str, tmp_path: Path) -> None:
    table = pa.table(flights(300))
    pq.write_table(table, tmp_path / "a")
    (tmp_path / "b").write_bytes(written(table, key))
    parquet, other = (load(tmp_path / name, COLUMNS, ["carrier"]) for name in "ab")
    assert why_unpaired(parquet, other) is None
    assert parquet.score is not None
    assert np.array_equal(parquet.score, np.asarray(other.score))


def test_an_airline_called_na_is_no_missing_value(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,late,p,carrier\n1,0,0.1,NA\n2,1,0.7,DL\n")
    assert load(tmp_path / "p.csv", COLUMNS, ["carrier"]).slices["carrier"].values == ("DL", "NA")


def _csv(folder: Path, *lines: str) -> Predictions:
    (folder / "p.csv").write_text("\n".join(lines) + "\n")
    return load(folder / "p.csv", Columns(key="id", label="y", prediction="yhat"), ["country"])


def test_a_csv_of_predictions_is_read_as_the_text_that_it_is(tmp_path: Path) -> None:
    rows = _csv(
        tmp_path,
        "id,y,yhat,country",
        '02134,NA,NA,"NA"',
        '2134,DE,n/a,"two\nlines"',
        "7,FR,FR,",
    )
    assert rows.keys.to_pylist() == ["02134", "2134", "7"]
    assert rows.label.tolist() == ["NA", "DE", "FR"]
    assert rows.prediction is not None
    assert rows.prediction.tolist() == ["NA", "n/a", "FR"]
    assert rows.slices["country"].values == ("(none)", "NA", "two\nlines")


def test_keys_of_a_csv_are_those_of_the_same_table_in_parquet(tmp_path: Path) -> None:
    for keys in (np.arange(20), [date(2024, 5, day) for day in range(1, 21)]):
        table = pa.table({**flights(20), "id": keys})
        pq.write_table(table, tmp_path / "a")
        csv.write_csv(table, tmp_path / "b")
        both = [load(tmp_path / name, COLUMNS) for name in "ab"]
        assert why_unpaired(both[0], both[1]) is None


def test_keys_that_differ_only_as_texts_are_two_keys(tmp_path: Path) -> None:
    rows = _csv(tmp_path, "id,y,yhat,country", "1.10,0,0,DE", "1.1,0,0,DE")
    assert rows.keys.to_pylist() == ["1.1", "1.10"]


@pytest.mark.parametrize("number", ["9223372036854775808", "18446744073709551617"])
@pytest.mark.parametrize("form", ["csv", "json", "json with a fraction"])
def test_labels_of_any_size_keep_their_last_digit(tmp_path: Path, number: str, form: str) -> None:
    next_one = str(int(number) + 1)
    rows = [(1, number, number), (2, next_one, number), (3, "0.25", "0.25")]
    rows = rows if "fraction" in form else rows[:2]
    lines = [f'{{"id": {key}, "y": {y}, "yhat": {yhat}}}' for key, y, yhat in rows]
    if form == "csv":
        lines = ["id,y,yhat", *(f"{key},{y},{yhat}" for key, y, yhat in rows)]
    (tmp_path / "p").write_text("\n".join(lines) + "\n")
    columns = Columns(key="id", label="y", prediction="yhat")
    (found,) = in_one_type(load(tmp_path / "p", columns))
    assert found.prediction is not None
    assert (found.label == found.prediction).tolist() == [True, False, True][: len(rows)]


@pytest.mark.parametrize("word", ["NaN", "NA", "null", ""])
@pytest.mark.parametrize("column", ["late", "p"])
def test_a_word_for_nothing_among_numbers_is_no_value(
    tmp_path: Path, word: str, column: str
) -> None:
    row = {"id": "3", "late": "1", "p": "0.7", column: word}
    (tmp_path / "p").write_text("id,late,p\n1,0,0.1\n2,1,0.6\n" + ",".join(row.values()) + "\n")
    with pytest.raises(Unusable, match=f"1 row whose {column} is empty, NaN or infinite"):
        load(tmp_path / "p", COLUMNS)


def test_predictions_may_be_one_array_of_json(tmp_path: Path) -> None:
    (tmp_path / "p").write_text('[{"id": 1, "late": 0, "p": 0.1}, {"id": 2, "late": 1, "p": 1}]')
    assert load(tmp_path / "p", COLUMNS).label.tolist() == [0, 1]
    (tmp_path / "p").write_text("[]")
    with pytest.raises(Unusable, match="there are no rows") as raised:
        load(tmp_path / "p", COLUMNS)
    assert raised.value.verdict is Verdict.INCONCLUSIVE


def test_a_slice_may_be_a_column_that_is_also_judged(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,late,p,zip\n1,0,0.1,01\n2,1,0.7,10\n")
    rows = load(tmp_path / "p.csv", COLUMNS, ["late", "zip"])
    assert rows.label.tolist() == [0, 1]
    assert rows.slices["late"].values == ("0", "1")
    assert rows.slices["zip"].values == ("01", "10")


def test_keys_may_be_written_in_other_widths_but_not_as_another_type(tmp_path: Path) -> None:
    wide = load(write(tmp_path / "a", flights(50)), COLUMNS)
    table = flights(50)
    narrow = load(write(tmp_path / "b", {**table, "id": table["id"].astype(np.int32)}), COLUMNS)
    texts = load(write(tmp_path / "c", {**table, "id": table["id"].astype(str)}), COLUMNS)
    assert why_unpaired(wide, narrow) is None
    assert "different types: int64 for the candidate, string for" in str(why_unpaired(wide, texts))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"PAR1 but not really", "not readable as Parquet"),
        (b"id,p\n1,0.5\n", "no column late; the columns are id, p"),
        (b'{"id": 1}\n{"id"', "not readable as JSON"),
        (b"id,late,p\n1,0\n", "2 fields instead of 3"),
        (b"id,late,p,p\n1,0,1,1\n", "more than one column `p`"),
        (b"\xff\xfe\x00garbage", "not readable as CSV"),
    ],
)
def test_a_file_that_is_no_table_of_predictions_is_named_not_thrown(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(Unusable, match=words) as raised:
        load(tmp_path / "p", COLUMNS)
    assert "1,0" not in str(raised.value)


def test_a_file_that_is_gone_is_an_error_in_the_report(bench: Bench) -> None:
    request = bench.request(flights(), flights())
    assert isinstance(request.candidate, Path)
    request.candidate.unlink()
    report = _through_main(request.model_dump_json(), bench.folder)
    assert report.verdict is Verdict.ERROR
    assert "No such file" in one(report, "predictions").message


def test_an_unknown_metric_is_an_error_with_the_nearest_name(bench: Bench) -> None:
    request = bench.request(flights(), None).model_dump_json().replace("roc_auc", "roc_auk")
    report = _through_main(request, bench.folder)
    assert report.verdict is Verdict.ERROR
    assert "did you mean roc_auc" in report.checks[0].message


def test_a_request_that_is_no_json_is_an_error_in_the_report(tmp_path: Path) -> None:
    assert _through_main("{", tmp_path).verdict is Verdict.ERROR


def test_a_report_that_cannot_be_written_ends_in_a_line_and_another_exit_code(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    request = bench.folder / "request.json"
    request.write_text(bench.request(flights(200), None).model_dump_json())
    assert main([str(request), str(bench.folder / "nowhere" / "report.json")]) == 1
    assert capsys.readouterr().err.startswith("the report cannot be written")
    assert main([]) == 2


def test_a_request_survives_its_own_json(bench: Bench) -> None:
    request = bench.request(flights(100), flights(100))
    assert ModelGateRequest.model_validate_json(request.model_dump_json()) == request
