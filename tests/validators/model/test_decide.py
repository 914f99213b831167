"""The rules, and what must hold for them with any numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.metrics import METRICS, Task, tasks_left, tasks_of
from validators.model.decide import (
    Gain,
    holm,
    non_inferior,
    p_worse,
    rows_to_decide,
    unseen_difference,
)
from validators.verdict import Verdict

gains = st.tuples(
    st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.integers(100, 1_000_000)
).map(lambda t: Gain(t[0], t[0] - t[1], t[0] + t[2], (t[1] + t[2]) / 4, t[3]))
margins = st.floats(0, 1)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.004, 0.001, Verdict.PASS),
        (-0.005, 0.001, Verdict.PASS),
        (-0.009, -0.001, Verdict.INCONCLUSIVE),
        (-0.009, -0.005, Verdict.INCONCLUSIVE),
        (-0.009, -0.006, Verdict.FAIL),
        (0.001, 0.002, Verdict.PASS),
    ],
)
def test_the_interval_decides_by_where_it_lies_to_the_margin(
    low: float, high: float, verdict: Verdict
) -> None:
    assert non_inferior(Gain((low + high) / 2, low, high, 0.001, 1000), 0.005) is verdict


@given(gains, margins, margins)
def test_a_wider_margin_never_makes_the_verdict_worse(gain: Gain, one: float, other: float) -> None:
    narrow, wide = sorted((one, other))
    assert non_inferior(gain, wide).rank <= non_inferior(gain, narrow).rank


@given(gains, margins)
def test_more_rows_are_asked_for_only_where_they_would_decide(gain: Gain, margin: float) -> None:
    rows = rows_to_decide(gain, margin)
    if non_inferior(gain, margin) is not Verdict.INCONCLUSIVE:
        assert rows is None
        return
    if rows is None:
        return
    shrunk = (gain.n / (gain.n + rows)) ** 0.5
    low = gain.value - (gain.value - gain.low) * shrunk
    high = gain.value + (gain.high - gain.value) * shrunk
    assert low >= -margin - 1e-9 or high < -margin + 1e-9


@given(st.lists(st.floats(0, 1)))
def test_adjusted_p_values_grow_keep_their_order_and_stay_probabilities(
    p_values: list[float],
) -> None:
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_holm_is_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_gain_of_zero_is_no_evidence_and_a_loss_of_two_deviations_is() -> None:
    assert p_worse(Gain(0, -1, 1, 0.5, 100)) == pytest.approx(0.5)
    assert p_worse(Gain(-1, -2, 0, 0.5, 100)) == pytest.approx(0.0228, abs=1e-4)
    assert p_worse(Gain(0, 0, 0, 0, 100)) == 1


def test_no_difference_in_n_rows_leaves_about_four_over_n_possible() -> None:
    assert unseen_difference(1000, 0.95) == pytest.approx(3.69 / 1000, rel=0.01)


def test_a_loss_of_scores_is_of_the_task_whose_scores_are_named() -> None:
    assert tasks_of("log_loss", ["score"]) == (Task.BINARY,)
    assert tasks_of("log_loss", ["prediction", "scores"]) == (Task.MULTICLASS,)
    assert tasks_of("log_loss", ["prediction"]) == (Task.BINARY, Task.MULTICLASS)
    assert tasks_of("accuracy", ["score"]) == (Task.BINARY, Task.MULTICLASS)


def test_the_metrics_say_what_the_task_can_be() -> None:
    assert tasks_left(["accuracy", "roc_auc"]) == {Task.BINARY}
    assert tasks_left(["accuracy"]) == {Task.BINARY, Task.MULTICLASS}
    assert tasks_left(["r2"]) == {Task.REGRESSION}
    assert tasks_left(["r2", "roc_auc"]) == {Task.REGRESSION}
    assert METRICS["log_loss"].gain(0.4, 0.5) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("gain", "rows"),
    [
        (Gain(0.0, -0.010, 0.010, 0.005, 1000), 3000),  # half as wide, four times the rows
        (Gain(-0.010, -0.050, 0.000, 0.005, 1000), 3000),  # the same, to be shown worse
        (Gain(0.0, -0.050, 0.010, 0.005, 1000), 99_000),  # a tenth as wide: the most worth saying
        (Gain(0.0, -0.051, 0.010, 0.005, 1000), None),
        (Gain(0.0, -0.004, 0.010, 0.005, 1000), None),  # decided
        (Gain(-0.005, -0.010, 0.001, 0.005, 1000), None),  # on the margin
    ],
)
def test_how_many_more_rows_decide_is_said_as_far_as_it_is_worth_saying(
    gain: Gain, rows: int | None
) -> None:
    assert rows_to_decide(gain, 0.005) == (rows if rows is None else pytest.approx(rows, abs=1))


def test_a_loss_without_any_variation_is_all_the_evidence_there_can_be() -> None:
    assert p_worse(Gain(-0.1, -0.1, -0.1, 0.0, 100)) == 0.0
