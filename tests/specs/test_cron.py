"""Which lines are valid crontab lines, and which days they match."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.cron import RARELY, cron_fault, parse

RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


@pytest.mark.parametrize(
    "line",
    [
        "* * * * *",
        "*/5 0 1 1 0",
        "0 4 * * MON-FRI",
        "0 4 * * FRI-SUN",
        "0,30 4-6 1-31/2 jan,Feb 7",
        "0 0 * 12 sun",
        "*/59 */23 */30 */11 */6",
        "0-10/10 20/3 * JAN-3 *",
        "0 0 29 2 *",
        "0 0 31 2,3 *",
        "0 0 31 2 MON",
        "0 0 13 * */5",
        "0 0 1 1 */6",
    ],
)
def test_cron_lines(line: str) -> None:
    assert cron_fault(line) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("* * * *", "4 fields"),
        ("@daily", "1 fields"),
        ("60 * * * *", "not a valid minute"),
        ("* 24 * * *", "not a valid hour"),
        ("* * 0 * *", "not a valid day"),
        ("* * * 13 *", "not a valid month"),
        ("* * * * MOM", "not a valid weekday"),
        ("* * * * 8", "expected 0 to 7"),
        ("*/0 * * * *", "not a valid minute"),
        ("5-1 * * * *", "not a valid minute"),
        ("* * * * FRI-MON", "not a valid weekday"),
        ("1,,2 * * * *", "not a valid minute"),
        # Steps longer than their range.
        ("*/90 * * * *", "`*/90` in the minute only matches 0"),
        ("*/60 * * * *", "write `0`"),
        ("0 */25 * * *", "write `0`"),
        ("0 22/4 * * *", "from 22 to 23; write `22`"),
        ("0-10/20 * * * *", "from 0 to 10; write `0`"),
        ("5,0-10/20 * * * *", "`0-10/20` in the minute"),
        ("5-5/1 * * * *", "write `5`"),
        ("0 0 */31 * *", "write `1`"),
        ("0 0 * */12 *", "write `1`"),
        ("0 0 * * */7", "write `0`"),
        ("0 0 * * FRI/3", "write `5`"),
        ("0 0 * * 7/2", "write `7`"),
        # Days that never or hardly ever exist.
        ("0 0 31 2 *", "it never matches: none of its months has a day 31"),
        ("0 0 30,31 2 *", "has a day 30"),
        ("0 0 31 4,6,9,11 *", "has a day 31"),
        ("0 0 31 2 */2", "it never matches"),
        ("0 0 29 2 */2", "less than once in 8 years"),
        ("0 0 */30 2 MON", "less than once in 8 years"),
    ],
)
def test_an_invalid_line_names_the_field_and_the_fix(line: str, words: str) -> None:
    assert words in (cron_fault(line) or "")


@pytest.mark.parametrize(
    ("line", "days"),
    [
        ("0 0 13 * FRI", [2, 9, 13, 16, 23, 30]),
        ("0 0 13 * *", [13]),
        ("0 0 * * FRI-SUN", [2, 3, 4, 9, 10, 11, 16, 17, 18, 23, 24, 25, 30, 31]),
        ("0 0 * * 0-1", [4, 5, 11, 12, 18, 19, 25, 26]),
        ("0 0 * * 5-7/2", [2, 4, 9, 11, 16, 18, 23, 25, 30]),
        ("0 0 * * 7", [4, 11, 18, 25]),
        ("0 0 */10 * *", [1, 11, 21, 31]),
        ("0 0 25/3 * *", [25, 28, 31]),
        ("0 0 1-10 * */6", [3, 4, 10]),
    ],
)
def test_the_days_of_october_2026(line: str, days: list[int]) -> None:
    cron = parse(line)
    assert [day for day in range(1, 32) if cron.names(date(2026, 10, day))] == days


@st.composite
def items(draw: st.DrawFn, least: int, most: int) -> str:
    """An item of a field, whose step may be too long."""
    first = draw(st.integers(least, most))
    last = draw(st.integers(first, most))
    span = draw(st.sampled_from(("*", "*", f"{first}", f"{first}-{last}")))
    step = draw(st.none() | st.integers(1, most + 1))
    return span if step is None else f"{span}/{step}"


def fields(least: int, most: int) -> st.SearchStrategy[str]:
    return st.lists(items(least, most), min_size=1, max_size=3).map(",".join)


LINES = st.tuples(*(fields(*ends) for ends in RANGES)).map(" ".join)


@given(LINES, st.dates(date(2000, 1, 1), date(2380, 1, 1)))
def test_every_valid_line_matches_within_eight_years(line: str, start: date) -> None:
    if cron_fault(line) is not None:
        return
    cron = parse(line)
    end = date(start.year + RARELY, start.month, min(start.day, 28)) + timedelta(days=2)
    assert cron.times()
    assert any(cron.names(start + timedelta(days=ahead)) for ahead in range((end - start).days))
