"""The flight-delay example as a pipeline: its spec, its training and its evaluation."""

import shutil
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from specs.lint.check import check
from tests.examples.helpers import FEBRUARY, FOLDER, JANUARY, MARCH, MONTHS, run, start


def test_the_spec_of_the_example_has_no_problem() -> None:
    files = [str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()]
    loaded = check((FOLDER / "ml-pipeline.yaml").read_bytes(), "ml-pipeline.yaml", files)
    assert loaded.problems == ()
    assert loaded.pipeline is not None


def test_nothing_that_is_known_too_late_is_a_feature(flights: ModuleType) -> None:
    assert not set(flights.KNOWN_TOO_LATE) & set(flights.FEATURES)
    assert not set(flights.KNOWN_TOO_LATE) & set(flights.KNOWN_BEFORE_DEPARTURE)
    raw = set(pd.read_parquet(MARCH).columns)
    assert set(flights.KNOWN_TOO_LATE) <= raw, "the files do hold what must not be used"


def test_predictions_do_not_move_when_the_later_columns_are_shuffled(
    flights: ModuleType, model: Path
) -> None:
    march = pd.read_parquet(MARCH)
    march = march[march["arr_delay"].notna()]
    shuffled = march.copy()
    mix = np.random.default_rng(1).permutation(len(march))
    for column in flights.KNOWN_TOO_LATE:
        shuffled[column] = march[column].to_numpy()[mix]
    assert (flights.late(march) != flights.late(shuffled)).any(), "the labels did move"
    stored = joblib.load(model)
    straight, mixed = (
        stored["classifier"].predict_proba(
            flights.features(flights.columns_of(table), stored["ranks"])
        )
        for table in (march, shuffled)
    )
    np.testing.assert_array_equal(straight, mixed)


def test_the_newest_month_is_held_out(flights: ModuleType) -> None:
    known, held_out = flights.split(flights.read(MONTHS))
    assert set(known["month"]) == {1, 2}
    assert set(held_out["month"]) == {3}


def test_a_baseline_has_not_seen_what_it_is_compared_on(
    flights: ModuleType, tmp_path: Path
) -> None:
    for month in (JANUARY, FEBRUARY):
        shutil.copy(month, tmp_path)
    before, _ = flights.split(flights.read(tmp_path))
    shutil.copy(MARCH, tmp_path)
    _, held_out = flights.split(flights.read(tmp_path))
    assert not set(before["flight_id"]) & set(held_out["flight_id"])


def test_a_month_of_the_next_year_is_newer(flights: ModuleType) -> None:
    table = flights.read(MONTHS)
    table.loc[table["month"] == 1, "year"] = 2014
    _, held_out = flights.split(table)
    assert set(held_out["month"]) == {1}


def test_the_last_days_of_an_only_month_are_held_out(flights: ModuleType) -> None:
    known, held_out = flights.split(flights.read(JANUARY))
    assert set(held_out["day"]) == set(range(25, 32))
    assert set(known["day"]) == set(range(1, 25))


def test_a_flight_that_never_arrived_has_no_label(flights: ModuleType) -> None:
    table = flights.read(MONTHS)
    known, held_out = flights.split(table)
    canceled = table["arr_delay"].isna()
    assert canceled.sum() > 0
    assert len(known) + len(held_out) == (~canceled).sum()


@pytest.mark.parametrize(("delay", "late"), [(15, 0), (16, 1), (-30, 0)])
def test_late_is_more_than_fifteen_minutes(flights: ModuleType, delay: int, late: int) -> None:
    assert flights.late(pd.DataFrame({"arr_delay": [float(delay)]})).tolist() == [late]


def test_features_are_what_their_names_say(flights: ModuleType) -> None:
    table = flights.read(JANUARY).head(1)
    columns = flights.columns_of(table)
    ranks = {name: {table[name].iloc[0]: 7.0} for name in flights.CATEGORIES}
    row = dict(zip(flights.FEATURES, flights.features(columns, ranks)[0], strict=True))
    first = table.iloc[0]
    assert row["departs"] == first["sched_dep_time"] // 100 * 60 + first["sched_dep_time"] % 100
    assert row["scheduled_minutes"] == (row["arrives"] - row["departs"]) % 1440
    assert row["weekday"] == pd.Timestamp(first["year"], first["month"], first["day"]).weekday()
    assert (row["carrier"], row["origin"], row["dest"]) == (7, 7, 7)
    unknown = flights.features(columns, {name: {} for name in flights.CATEGORIES})[0]
    assert np.isnan(unknown[: len(flights.CATEGORIES)]).all()


def test_categories_are_numbered_by_how_often_they_are_late(flights: ModuleType) -> None:
    columns = {name: np.array(["AA", "BB", "AA", "BB", "CC"]) for name in flights.CATEGORIES}
    ranks = flights.rank(columns, np.array([1, 0, 0, 0, 1]))
    assert ranks["carrier"] == {"BB": 0, "AA": 1, "CC": 2}


def test_the_same_inputs_give_the_same_model_bytes(model: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.joblib"
    run("train.py", "--data", MONTHS, "--out", again)
    assert again.read_bytes() == model.read_bytes()
    other = tmp_path / "other.joblib"
    run("train.py", "--data", MONTHS, "--out", other, "--depth", "1", "--rounds", "10")
    assert other.read_bytes() != model.read_bytes()


def test_evaluation_predicts_every_held_out_flight_once_and_better_than_chance(
    flights: ModuleType, model: Path, tmp_path: Path
) -> None:
    predictions = _predictions(model, MONTHS, tmp_path)
    _, held_out = flights.split(flights.read(MONTHS))
    assert list(predictions.columns) == ["flight_id", "late", "p_late", "carrier", "origin"]
    assert predictions["flight_id"].is_unique
    assert set(predictions["flight_id"]) == set(held_out["flight_id"])
    assert predictions["p_late"].between(0, 1).all()
    assert roc_auc_score(predictions["late"], predictions["p_late"]) > 0.6


def test_data_without_a_column_is_refused_by_name(tmp_path: Path) -> None:
    pd.read_parquet(JANUARY).drop(columns="carrier").to_parquet(tmp_path / "month.parquet")
    done = start("train.py", "--data", tmp_path, "--out", tmp_path / "model.joblib")
    assert done.returncode == 1
    assert "month.parquet" in done.stderr
    assert "carrier" in done.stderr
    assert "Traceback" not in done.stderr


def _predictions(model: Path, data: Path, folder: Path) -> pd.DataFrame:
    out = folder / "predictions.parquet"
    run("evaluate.py", "--model", model, "--data", data, "--out", out)
    return pd.read_parquet(out)
