"""Measured numbers: four digits, and none that reads as what it is not."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.figures import duration, milliseconds, percent, relative, rounded, signed, significant


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


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.9997, "99.97 %"),
        (0.99999, ">99.99 %"),
        (0.995, "99.5 %"),
        (0.5, "50 %"),
        (0.034, "3.4 %"),
        (0.00004, "<0.01 %"),
        (0.0, "0 %"),
    ],
)
def test_a_share_reads_as_all_or_nothing_only_where_it_is(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.00000004, "<0.000001"),
        (0.0000123, "0.000012"),
        (0.0512, "0.0512"),
        (99.96, "100"),
        (131.4, "131"),
        (12_400.0, "12,400"),
        (-1_234.5, "-1,234"),
        (1e7, "10,000,000"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_for_a_glance_is_short_and_has_no_exponent(value: float, text: str) -> None:
    assert rounded(value) == text


@pytest.mark.parametrize(
    ("change", "text"),
    [(0.079, "+7.9 %"), (-0.12, "-12 %"), (14.999, "+1,500 %"), (0.0, "0 %"), (9.999, "+1,000 %")],
)
def test_a_relative_change_has_a_sign_and_no_exponent(change: float, text: str) -> None:
    assert relative(change) == text


@given(st.floats(min_value=-1e15, max_value=1e15))
def test_no_number_that_a_woken_person_reads_has_an_exponent(value: float) -> None:
    for text in (rounded(value), rounded(value, 2), relative(value), milliseconds(value)):
        assert "e" not in text


def test_no_other_place_writes_so_few_digits_that_a_hundred_gets_an_exponent() -> None:
    """`{:.2g}` makes `1e+02` of 99.7; `rounded` does not. A p value is never that large."""
    few = re.compile(r":[+,]*\.[1-3]g\}")
    root = Path(__file__).parents[2]
    found = [
        path.relative_to(root).as_posix()
        for package in ("controller", "deployers", "specs", "validators")
        for path in sorted((root / package).rglob("*.py"))
        if few.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["validators/model/slices.py"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.0412, "0.041 s"),
        (3.0, "3 s"),
        (9.96, "10 s"),
        (45, "45 s"),
        (119.6, "2 min"),
        (720, "12 min"),
        (7199, "2 h"),
        (12_000, "3 h 20 min"),
        (172_799, "2 days"),
        (900_000, "10 days 10 h"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
