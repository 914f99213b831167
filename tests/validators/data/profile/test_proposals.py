"""What `headgate profile` proposes for data that people know."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.validators.data.profile.profiling import judged, objects_in, proposed, text_of
from validators.data.metrics.batch import RowBatch
from validators.data.profile import facts
from validators.data.reading.objects import ObjectFile
from validators.data.reading.stream import ParquetPart
from validators.data.suites.suite import Expectation, read_suite
from validators.verdict import Verdict

ROOT = Path(__file__).parents[4]
GOLDEN = Path(__file__).parent / "golden"


def parquet(folder: Path, *tables: Any) -> tuple[ObjectFile, ...]:
    keys = [f"{at}.parquet" for at in range(len(tables))]
    for key, columns in zip(keys, tables, strict=True):
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        pq.write_table(table, folder / key)
    return objects_in(folder, *keys)


def expected(text: str, column: str | None = None) -> dict[str, Expectation]:
    """The proposed expectations by type, of a column or of the table."""
    suite = read_suite(text, "proposed.yaml")
    assert suite.problems == ()
    return {one.type: one for one in suite.expectations if one.kwargs.get("column") == column}


@pytest.mark.parametrize(
    ("name", "folder", "keys"),
    [
        ("penguins", ROOT / "examples/minimal/data", ["penguins.csv"]),
        (
            "flights",
            ROOT / "tests/examples/data",
            [f"flights-2013-0{month}.parquet" for month in (1, 2, 3)],
        ),
    ],
)
def test_the_proposal_for_real_data_looks_as_it_did(
    name: str, folder: Path, keys: Sequence[str]
) -> None:
    """After a wanted change: `HEADGATE_GOLDEN=write pytest tests/validators/data/profile`."""
    text = text_of(objects_in(folder, *keys), name)
    if os.environ.get("HEADGATE_GOLDEN") == "write":
        (GOLDEN / f"{name}.yaml").write_text(text, encoding="utf-8")
    assert text == (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")


def test_each_expectation_says_how_many_rows_speak_for_it(tmp_path: Path) -> None:
    objects = parquet(tmp_path, {"n": [1, 5, None, 9] * 30})
    entries = [line for line in text_of(objects).splitlines() if "- type:" in line]
    assert len(entries) == 5
    for line in entries:
        evidence = line.partition("  # ")[2]
        assert "120 rows" in evidence or "90 values" in evidence or "1 column" in evidence


def test_texts_that_look_personal_are_never_shown(tmp_path: Path) -> None:
    people = {
        "lastName": ["Miller", "Smith"] * 100,
        "contact": ["a@example.org", "b@example.org"] * 100,
        "note": [f"called {at}" for at in range(200)],
        "city": ["Bern"] * 198 + ["Aarau", "Chur"],
    }
    text = text_of(parquet(tmp_path, people))
    for shown in ("Miller", "example.org", "called", "Aarau", "Chur"):
        assert shown not in text
    assert expected(text, "city")["expect_column_values_to_be_in_set"].kwargs["mostly"] == 0.96


def test_a_range_leaves_out_a_few_wild_values_and_says_how_many(tmp_path: Path) -> None:
    speeds = [float(at % 40) for at in range(2000)]
    speeds[7] = 1048.4
    text = text_of(parquet(tmp_path, {"wind_speed": speeds}))
    range_ = expected(text, "wind_speed")["expect_column_values_to_be_between"]
    assert range_.kwargs == {
        "column": "wind_speed", "min_value": 0, "max_value": 43, "mostly": 0.998,
    }  # fmt: skip
    assert "0 to 1,048.4, 99.8 % of them 0 to 39; widened by 10 %; 1 outside" in text


def test_a_sample_does_not_hide_a_range_that_few_values_are_outside_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "SAMPLE", 1000)
    amounts = [float(at % 40) for at in range(20_000)]
    amounts[::2500] = [1e6] * 8
    range_ = expected(text_of(parquet(tmp_path, {"amount": amounts})), "amount")
    assert range_["expect_column_values_to_be_between"].kwargs["max_value"] == 43


def test_shares_of_nulls_get_slack_by_how_many_rows_there_are(tmp_path: Path) -> None:
    few = text_of(parquet(tmp_path, {"x": [None, *range(19)]}))
    many = text_of(parquet(tmp_path, {"x": [None, *range(19)] * 5000}))
    type_ = "expect_column_values_to_not_be_null"
    assert expected(few, "x")[type_].kwargs["mostly"] == 0.8
    assert expected(many, "x")[type_].kwargs["mostly"] == 0.92


def test_a_key_that_is_doubled_outside_of_the_sample_is_not_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "SAMPLE", 1000)
    ids = list(range(30_000))
    ids[29_999] = ids[29_998]
    unique = {"order_id": list(range(30_000)), "batch_id": ids}
    text = text_of(parquet(tmp_path, unique))
    assert "expect_column_values_to_be_unique" in expected(text, "order_id")
    assert "expect_column_values_to_be_unique" not in expected(text, "batch_id")


def test_what_a_row_is_about_and_when_are_a_key_together(tmp_path: Path) -> None:
    days = pa.array([at // 40 for at in range(4000)], pa.int32()).cast(pa.date32())
    sales = {"shop_id": [at % 40 for at in range(4000)], "day": days}
    compound = expected(text_of(parquet(tmp_path, sales)))["expect_compound_columns_to_be_unique"]
    assert compound.kwargs["column_list"] == ["shop_id", "day"]


def test_a_column_that_an_object_lacks_has_no_entry_but_a_comment(tmp_path: Path) -> None:
    objects = parquet(tmp_path, {"x": [1.0], "y": [1.0]}, {"x": [2.0]})
    text = text_of(objects)
    assert "column `y` is missing in `1.parquet`" in text
    assert expected(text, "y") == {}
    checks = judged(tmp_path, objects, text).checks
    assert {check.verdict for check in checks if check.blocks} == {Verdict.PASS}


def test_a_column_that_occurs_twice_does_not_keep_the_others_from_a_proposal(
    tmp_path: Path,
) -> None:
    twice = pa.table([[1, 2], [3, 4], [5, 6]], names=["x", "y", "y"])
    text = text_of(parquet(tmp_path, twice))
    assert expected(text, "x")
    assert "there is more than one column `y`" in text


def test_digits_that_a_database_did_not_declare_are_not_required(tmp_path: Path) -> None:
    prices = pa.array([Decimal(at).scaleb(-1) for at in range(1, 41)], pa.decimal128(32, 1))
    objects = parquet(tmp_path, {"price": prices})
    for is_queried, name in ((True, "decimal"), (False, "decimal(32, 1)")):
        text = proposed(objects, is_queried=is_queried).text
        assert text is not None
        said = expected(text, "price")["expect_column_values_to_be_of_type"]
        assert said.kwargs["type_"] == name
        assert judged(tmp_path, objects, text).verdict is Verdict.PASS


@pytest.mark.parametrize(("rows", "limits"), [(3, (1, 10)), (60, (5, 5))])
def test_texts_of_one_length_say_that_all_are_if_they_are_many(
    rows: int, limits: tuple[int, int], tmp_path: Path
) -> None:
    texts = [f"é {at:03}"[::-1] if at % 2 else f"é {at:03}" for at in range(rows)]
    found = expected(text_of(parquet(tmp_path, {"x": texts})), "x")
    kwargs = found["expect_column_value_lengths_to_be_between"].kwargs
    assert (kwargs["min_value"], kwargs["max_value"]) == limits


def test_columns_that_are_folders_are_proposed_for(tmp_path: Path) -> None:
    objects = parquet(tmp_path, {"x": [1, 2] * 30}, {"x": [3, 4] * 30})
    placed = tuple(
        one.model_copy(update={"key": f"region={name}/{one.key}"})
        for one, name in zip(objects, ("north", "south"), strict=True)
    )
    set_ = expected(text_of(placed), "region")["expect_column_values_to_be_in_set"]
    assert set_.kwargs["value_set"] == ["north", "south"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "`a.csv` is an empty file"),
        ("x,y\n", "the dataset has no rows"),
        ("x,y\n1,2\n3\n", "is not readable as CSV"),
    ],
)
def test_data_that_cannot_be_judged_gets_no_proposal_but_a_reason(
    tmp_path: Path, content: str, why: str
) -> None:
    (tmp_path / "a.csv").write_text(content)
    found = proposed(objects_in(tmp_path, "a.csv"))
    assert found.text is None
    assert any(why in problem for problem in found.problems)


def test_a_suite_that_would_be_too_large_to_be_read_has_fewer_columns(tmp_path: Path) -> None:
    words = [f"word {at}x{'long' * 8}" for at in range(45)] * 25
    text = text_of(parquet(tmp_path, {f"c{at}": words for at in range(290)}))
    assert read_suite(text, "proposed.yaml").problems == ()
    assert " of 290 columns; the others have no entry" in text


def test_a_table_of_too_many_columns_has_entries_for_the_first(tmp_path: Path) -> None:
    wide = {f"c{at}": [1.5, 2.5] for at in range(350)}
    text = text_of(parquet(tmp_path, wide))
    assert "The first 300 of 350 columns" in text
    assert expected(text, "c299")
    assert not expected(text, "c300")


def test_a_proposal_reads_each_column_a_few_times_however_much_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for the sample, once for the facts, and once to judge what is proposed."""
    reads: Counter[tuple[int, str]] = Counter()
    real = ParquetPart.read

    def counted(part: ParquetPart, group: int, columns: Sequence[str]) -> Iterator[RowBatch]:
        reads.update((group, column) for column in columns)
        return real(part, group, columns)

    monkeypatch.setattr(ParquetPart, "read", counted)
    rows = {
        "id": range(40_000),
        "code": [f"K-{at}" for at in range(40_000)],
        "amount": [at / 7 for at in range(40_000)],
        "state": ["open", "closed"] * 20_000,
    }
    pq.write_table(pa.table(rows), tmp_path / "0.parquet", row_group_size=10_000)
    text_of(objects_in(tmp_path, "0.parquet"))
    most = {column: max(reads[group, column] for group in range(4)) for column in rows}
    assert most == {"id": 3, "code": 3, "amount": 3, "state": 3}


def test_a_column_without_a_name_has_no_entry_but_a_comment(tmp_path: Path) -> None:
    objects = parquet(tmp_path, {"": [1, 2] * 30, "x": [1, 2] * 30})
    text = text_of(objects)
    assert "this column has no name" in text
    assert expected(text, "") == {}
    assert {check.verdict for check in judged(tmp_path, objects, text).checks} == {Verdict.PASS}
