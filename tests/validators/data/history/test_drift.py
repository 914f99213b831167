"""Drift is judged by an effect and its interval, not by significance."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.dataset_checks import DriftMeasure
from tests.validators.data.history.asking import Gatekeeper
from validators.data.history.distribution import counted, summarised
from validators.data.history.effect import Effect, effect_of
from validators.data.reading.dataset import in_memory
from validators.verdict import Verdict

MEASURES: tuple[DriftMeasure, ...] = ("psi", "jensen_shannon", "wasserstein")
SEED = 7


def effect(measure: DriftMeasure, was: Any, now: Any) -> Effect:
    """The effect between two columns."""
    before, after = (in_memory(pa.table({"x": each}), ["x"]) for each in (was, now))
    reference = summarised(before, ["x"])
    return effect_of(measure, reference["x"], counted(after, reference)["x"])


COLUMNS = st.one_of(
    st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=200),
    st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), min_size=1, max_size=200),
    st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=200),
).filter(lambda column: any(value is not None for value in column))


@settings(max_examples=60, deadline=None)
@given(COLUMNS, st.sampled_from(MEASURES))
def test_a_reference_never_drifts_from_itself(column: list[Any], measure: DriftMeasure) -> None:
    found = effect(measure, column, column)
    assert found.size == pytest.approx(0, abs=1e-6)
    assert found.low == pytest.approx(0, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(COLUMNS, COLUMNS, st.sampled_from(MEASURES), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(
    was: list[Any], now: list[Any], measure: DriftMeasure, random: Any
) -> None:
    if {type(one) for one in was if one is not None} != {
        type(one) for one in now if one is not None
    }:
        return
    before = effect(measure, was, now)
    mixed = [random.sample(column, len(column)) for column in (was, now)]
    assert effect(measure, *mixed) == before


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("n", [100, 10_000, 300_000])
def test_two_samples_of_one_distribution_do_not_drift_however_large(
    measure: DriftMeasure, n: int
) -> None:
    random = np.random.default_rng(SEED)
    for _ in range(5):
        found = effect(measure, random.gamma(2.0, size=n), random.gamma(2.0, size=n))
        assert found.low < 0.1


@pytest.mark.parametrize("measure", MEASURES)
def test_a_tiny_shift_is_no_drift_though_a_test_would_find_it_significant(
    measure: DriftMeasure,
) -> None:
    random = np.random.default_rng(SEED)
    n = 300_000
    found = effect(measure, random.normal(size=n), random.normal(0.02, size=n))
    assert found.high < 0.05


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("n", [500, 300_000])
def test_a_real_shift_drifts_also_among_few_rows(measure: DriftMeasure, n: int) -> None:
    random = np.random.default_rng(SEED)
    found = effect(measure, random.normal(size=n), random.normal(1.0, size=n))
    assert found.low > 0.2


def test_the_interval_covers_the_effect_between_the_distributions_themselves() -> None:
    """Which is known from very many rows, for a shift of half a standard deviation."""
    random = np.random.default_rng(SEED)
    true = effect("psi", random.normal(size=1_000_000), random.normal(0.5, size=1_000_000)).size
    inside = 0
    for _ in range(100):
        found = effect("psi", random.normal(size=800), random.normal(0.5, size=800))
        inside += found.low <= true <= found.high
    assert inside >= 85


def _table(n: int, shift: float = 0.0, kinds: str = "ab") -> dict[str, Any]:
    random = np.random.default_rng(n)
    return {
        "id": np.arange(n),
        "amount": random.normal(shift, size=n),
        "kind": random.choice(list(kinds), n),
    }


def test_a_drifted_column_is_named_and_the_others_pass(tmp_path: Path) -> None:
    rule = {"columns": ["amount", "kind"], "at_most": 0.2}
    gate = Gatekeeper(tmp_path, [{"drift": rule}])
    first = gate.judge({"a.parquet": _table(2000)})
    assert [one.verdict for one in first.checks] == [Verdict.WARN, Verdict.WARN]
    amount, kind = gate.judge({"a.parquet": _table(2001)}).checks
    assert (amount.verdict, kind.verdict) == (Verdict.PASS, Verdict.PASS)
    amount, kind = gate.judge({"a.parquet": _table(2002, shift=2.0)}).checks
    assert (amount.verdict, kind.verdict) == (Verdict.FAIL, Verdict.PASS)
    assert amount.message.startswith("PSI ")
    assert amount.interval is not None
    assert amount.interval.low > 0.2


def test_a_constant_that_moves_drifts_either_way() -> None:
    for measure in MEASURES:
        for value in (1, 3):
            assert effect(measure, [2] * 500, [value] * 500).low > 0.4


def test_values_that_were_not_there_are_counted_and_not_shown(tmp_path: Path) -> None:
    gate = Gatekeeper(tmp_path, [{"drift": {"columns": ["kind"], "at_most": 0.2}}])
    gate.judge({"a.parquet": _table(2000)})
    check = gate.check({"a.parquet": {"kind": ["a"] * 1000 + ["b"] * 990 + ["SECRET"] * 10}})
    assert check.verdict is Verdict.PASS
    assert check.message.endswith("; 10 rows (0.5 %) have values that were not there")
    assert gate.past is not None
    assert "SECRET" not in gate.past.read_text()


def test_few_rows_decide_nothing_and_do_not_stop(tmp_path: Path) -> None:
    gate = Gatekeeper(tmp_path, [{"drift": {"columns": ["amount"], "at_most": 0.2}}])
    gate.judge({"a.parquet": _table(2000)})
    check = gate.check({"a.parquet": _table(20, shift=3.0)})
    assert check.verdict is Verdict.WARN
    assert check.message == "inconclusive: 20 values decide nothing; it takes 50 of both"


def test_another_dataset_may_be_the_reference(tmp_path: Path) -> None:
    rule = {"columns": ["amount"], "reference": "sample", "measure": "wasserstein", "at_most": 0.2}
    gate = Gatekeeper(tmp_path, [{"drift": rule}])
    gate.others = {"sample": {"s.parquet": _table(3000)}}
    assert gate.check({"a.parquet": _table(2000)}).verdict is Verdict.PASS
    moved = gate.check({"a.parquet": _table(2000, shift=1.5)})
    assert moved.verdict is Verdict.FAIL
    assert moved.name == "drift of amount from `sample`"


def _joint(n: int, sign: int) -> dict[str, Any]:
    """Two columns that are each as ever, and go together by a sign."""
    random = np.random.default_rng(n)
    x = random.normal(size=n)
    return {"x": x, "y": sign * x + 0.3 * random.normal(size=n), "kind": ["a", None] * (n // 2)}


def test_a_classifier_tells_rows_apart_by_what_no_column_shows_alone(tmp_path: Path) -> None:
    rule = {"reference": "sample", "classifier": True, "at_most": 0.6}
    gate = Gatekeeper(tmp_path, [{"drift": rule}])
    gate.others = {"sample": {"s.parquet": _joint(3000, 1)}}
    same = gate.check({"a.parquet": _joint(2000, 1)})
    assert same.verdict is Verdict.PASS
    turned = gate.check({"a.parquet": _joint(2000, -1)})
    assert turned.verdict is Verdict.FAIL
    assert ", mostly by " in turned.message
    assert "kind" not in turned.message
    few = gate.check({"a.parquet": _joint(100, -1)})
    assert few.message == "inconclusive: 100 rows decide nothing; it takes 200 of both"


def test_a_classifier_judges_bounded_samples_of_large_tables_alike_each_time(
    tmp_path: Path,
) -> None:
    rule = {"reference": "sample", "classifier": True, "columns": ["x", "y"], "at_most": 0.6}
    gate = Gatekeeper(tmp_path, [{"drift": rule}])
    gate.others = {"sample": {"s.parquet": _joint(60_000, 1)}}
    checks = [gate.check({"a.parquet": _joint(50_000, 1)}) for _ in range(2)]
    assert checks[0] == checks[1]
    assert (checks[0].verdict, checks[0].n) == (Verdict.PASS, 5000)


def test_by_default_all_columns_but_times_are_compared(tmp_path: Path) -> None:
    gate = Gatekeeper(tmp_path, [{"drift": {"at_most": 0.5}}])
    table = _table(500) | {"at": pa.array(range(500), pa.timestamp("us"))}
    report = gate.judge({"a.parquet": table})
    assert [one.subject for one in report.checks] == ["id", "amount", "kind"]


@pytest.mark.parametrize("empty", [None, float("nan")])
def test_a_column_without_values_decides_nothing_and_the_others_are_judged(
    tmp_path: Path, empty: Any
) -> None:
    gate = Gatekeeper(tmp_path, [{"drift": {"columns": ["x", "y"], "at_most": 0.2}}])
    values = [float(one) for one in range(200)]
    nothing = pa.array([empty] * 200, pa.float64())
    gate.judge({"a.parquet": {"x": values, "y": values}})
    x, y = gate.judge({"a.parquet": {"x": nothing, "y": values}}).checks
    assert (x.verdict, y.verdict) == (Verdict.WARN, Verdict.PASS)
    assert "`x` has no values" in x.message
    x, y = gate.judge({"a.parquet": {"x": values, "y": values}}).checks
    assert (x.verdict, y.verdict) == (Verdict.WARN, Verdict.PASS)
    assert "has no distribution of `x`" in x.message


def test_a_column_that_becomes_lists_is_an_error_and_the_others_are_judged(tmp_path: Path) -> None:
    gate = Gatekeeper(tmp_path, [{"drift": {"columns": ["x", "y"], "at_most": 0.2}}])
    values = list(range(200))
    gate.judge({"a.parquet": {"x": values, "y": values}})
    x, y = gate.judge({"a.parquet": {"x": [[one] for one in values], "y": values}}).checks
    assert (x.verdict, y.verdict) == (Verdict.ERROR, Verdict.PASS)
    assert "cannot be compared" in x.message
