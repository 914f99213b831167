"""Durations, percentages, sizes and processor counts, read and written."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.values import (
    format_duration,
    format_percent,
    format_size,
    parse_cpu,
    parse_duration,
    parse_percent,
    parse_size,
    parse_status,
)
from tests.specs.steady import steady


@steady
@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3650)))
def test_a_duration_survives_a_round_trip(duration: timedelta) -> None:
    # Text has milliseconds with decimals, so microseconds survive as well.
    assert parse_duration(format_duration(duration)) == duration


@steady
@given(st.floats(min_value=0, max_value=10))
def test_a_percentage_survives_a_round_trip(fraction: float) -> None:
    assert parse_percent(format_percent(fraction)) == fraction


@steady
@given(st.integers(min_value=0, max_value=1 << 60))
def test_a_size_survives_a_round_trip(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("250ms", 0.25)],
)
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "value", [30, "30", "", "s", "-1s", "1w", "1h 30", "٣s", "4000d", None, "9" * 39 + "d"]
)
def test_a_duration_without_a_clear_meaning_is_rejected(value: object) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(value)


def test_percentages_are_fractions() -> None:
    assert parse_percent("5%") == 0.05
    assert parse_percent("0.5%") == 0.005
    assert parse_percent(0.05) == 0.05
    assert parse_percent("150%") == 1.5
    assert format_percent(0.005) == "0.5%"
    assert format_percent(1.0) == "100%"


def test_a_bare_five_is_rejected_as_ambiguous() -> None:
    with pytest.raises(ValueError, match="such as 5%"):
        parse_percent(5)


@pytest.mark.parametrize(
    "value", ["five", "-5%", "%", True, 101, -0.1, float("nan"), None, "5 % of"]
)
def test_anything_else_than_a_percentage_is_rejected(value: object) -> None:
    with pytest.raises(ValueError, match="expected a percentage"):
        parse_percent(value)


def test_sizes_have_binary_and_decimal_units() -> None:
    assert parse_size("512Mi") == 512 * 1024 * 1024
    assert parse_size("2G") == 2_000_000_000
    assert parse_size("1.5Gi") == 1536 * 1024 * 1024
    assert parse_size(1024) == 1024
    assert format_size(512 * 1024 * 1024) == "512Mi"


@pytest.mark.parametrize("value", ["512 MegaBytes", "Mi", "-1", True, 1.5, None])
def test_anything_else_than_a_size_is_rejected(value: object) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(value)


def test_processors_can_be_written_in_thousandths() -> None:
    assert parse_cpu("500m") == 0.5
    assert parse_cpu(2) == 2.0
    assert parse_cpu("0.25") == 0.25


@pytest.mark.parametrize("value", [0, -1, "many", True, None, "0", "0m", float("inf")])
def test_anything_else_than_a_processor_count_is_rejected(value: object) -> None:
    with pytest.raises(ValueError, match="expected a number of processors"):
        parse_cpu(value)


@pytest.mark.parametrize(
    ("written", "read"), [("5xx", "5xx"), (422, "422"), ("422", "422"), ("no_answer", "no_answer")]
)
def test_errors_are_classes_statuses_and_no_answer(written: object, read: str) -> None:
    assert parse_status(written) == read


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2xx", "which 2xx is not"),
        (200, "which 200 is not"),
        ("1xx", "which 1xx is not"),
        ("4XX", "such as 422"),
        ("9xx", "such as 422"),
        (600, "such as 422"),
        (42, "such as 422"),
        (True, "such as 422"),
        (4.22, "such as 422"),
        ("timeout", "or no_answer"),
        (None, "or no_answer"),
        (["5xx"], "or no_answer"),
    ],
)
def test_the_status_of_a_good_request_is_not_an_error(written: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_status(written)
