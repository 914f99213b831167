"""Measured numbers: four digits, and none that reads as what it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.figures import signed, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.7123456, "0.7123"),
        (0.752, "0.752"),
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.99996, "0.99996"),
        (1.00001, "1.00001"),
        (0.000012345, "1.234e-05"),
        (12.3456, "12.35"),
        (-1234.56, "-1,235"),
        (1234567.8, "1,234,568"),
        (27004, "27,004"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_what_was_measured_has_four_digits_and_all_those_before_the_point(
    value: float, text: str
) -> None:
    assert significant(value) == text


def test_what_misses_its_limit_does_not_read_as_the_limit() -> None:
    assert significant(0.599996) == "0.6"
    assert significant(0.599996, [0.6]) == "0.599996"
    assert significant(0.6, [0.6]) == "0.6"
    assert significant(1999.7, [2000.0]) == "1,999.7"


def test_a_difference_has_a_sign() -> None:
    assert [signed(value) for value in (0.1163, -0.1163, 0.0)] == ["+0.1163", "-0.1163", "0"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_shown_number_is_close_to_the_number_and_never_wrongly_one(value: float) -> None:
    shown = float(significant(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=6e-4)
    assert value in (1, -1) or shown not in (1, -1)
