"""When a crontab line is due: restarts, missed times and the two odd nights of the year."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.machine.core import Envelope
from controller.machine.messages import ScheduleDue
from controller.sources.crontab import Crontab
from controller.sources.schedule import ScheduleSource
from specs.failures import TryAgain


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "after", "now", "due"),
    [
        ("0 4 * * MON", "2026-03-01 00:00", "2026-03-02 02:59", None),
        ("0 4 * * MON", "2026-03-01 00:00", "2026-03-02 03:00", "2026-03-02 03:00"),
        ("0 4 * * 1", "2026-03-01 00:00", "2026-03-25 00:00", "2026-03-23 03:00"),
        ("0 4 * * 0", "2026-02-28 00:00", "2026-03-01 12:00", "2026-03-01 03:00"),
        ("0 4 * * 7", "2026-02-28 00:00", "2026-03-01 12:00", "2026-03-01 03:00"),
        # Spring: 02:30 does not exist on the 29th and is made up for at 03:00, once.
        ("30 2 * * *", "2026-03-28 12:00", "2026-03-29 00:59", None),
        ("30 2 * * *", "2026-03-28 12:00", "2026-03-29 12:00", "2026-03-29 01:00"),
        ("30 2 * * *", "2026-03-29 01:00", "2026-03-30 00:29", None),
        ("*/20 2 * * *", "2026-03-29 01:00", "2026-03-29 23:00", None),
        ("0 */2 * * *", "2026-03-29 00:00", "2026-03-29 01:30", "2026-03-29 01:00"),
        ("0 2,3 * * *", "2026-03-29 01:00", "2026-03-29 23:00", None),
        ("30 * * * *", "2026-03-29 00:30", "2026-03-29 01:29", None),
        ("30 * * * *", "2026-03-29 00:30", "2026-03-29 02:00", "2026-03-29 01:30"),
        # Autumn: 02:30 comes twice on the 25th and counts once; a line for every hour, twice.
        ("30 2 * * *", "2026-10-24 12:00", "2026-10-25 12:00", "2026-10-25 00:30"),
        ("30 2 * * *", "2026-10-25 00:30", "2026-10-26 01:29", None),
        ("30 * * * *", "2026-10-25 00:30", "2026-10-25 01:31", "2026-10-25 01:30"),
        ("30 0-23 * * *", "2026-10-25 00:30", "2026-10-25 01:31", "2026-10-25 01:30"),
        ("0 */2 * * *", "2026-10-25 00:00", "2026-10-25 01:59", None),
        # Day and weekday: either is enough, as crontab(5) has it.
        ("0 12 13 * 5", "2026-11-01 00:00", "2026-11-06 12:00", "2026-11-06 11:00"),
        ("* * * * *", "2020-01-01 00:00", "2026-03-02 02:59", "2026-03-02 02:59"),
        ("0 0 29 2 *", "2019-01-01 00:00", "2026-03-01 00:00", "2024-02-28 23:00"),
    ],
)
def test_the_latest_time_that_is_due(cron: str, after: str, now: str, due: str | None) -> None:
    found = Crontab(cron, "Europe/Berlin").latest_due(utc(after), utc(now))
    assert found == (utc(due) if due else None)


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "now", "due"),
    [
        # Midnight does not exist: 00:00 is 01:00.
        ("0 0 * * *", "Africa/Cairo", "2026-04-23 12:00", "2026-04-24 12:00", "2026-04-23 22:00"),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23 12:00", "2026-04-23 21:59", None),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23 22:00", "2026-04-24 20:59", None),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23 22:00", "2026-04-24 21:00", "2026-04-24 21:00"),
        ("0 0 * * *", "America/Havana", "2026-03-08 00:00", "2026-03-08 20:00", "2026-03-08 05:00"),
        ("0 0 * * *", "America/Havana", "2026-03-08 05:00", "2026-03-09 03:59", None),
        ("0 0 * * *", "Asia/Beirut", "2026-03-28 12:00", "2026-03-29 12:00", "2026-03-28 22:00"),
        ("0 0 * * *", "Asia/Beirut", "2026-03-28 22:00", "2026-03-29 20:59", None),
        (
            *("15,45 0 * * *", "America/Santiago"),
            *("2026-09-06 03:00", "2026-09-06 12:00", "2026-09-06 04:00"),
        ),
        ("15,45 0 * * *", "America/Santiago", "2026-09-06 04:00", "2026-09-07 03:14", None),
        (
            *("0 0 6 9 *", "America/Santiago"),
            *("2026-01-01 00:00", "2027-01-01 00:00", "2026-09-06 04:00"),
        ),
        ("0 0 * * SUN", "Asia/Beirut", "2026-03-28 12:00", "2026-03-28 22:00", "2026-03-28 22:00"),
        # Midnight comes twice in Havana and 23:00 in Santiago: each counts once, the first time.
        ("0 0 * * *", "America/Havana", "2026-10-31 12:00", "2026-11-01 20:00", "2026-11-01 04:00"),
        ("0 0 * * *", "America/Havana", "2026-11-01 04:00", "2026-11-02 04:59", None),
        (
            *("30 23 * * *", "America/Santiago"),
            *("2026-04-04 12:00", "2026-04-05 12:00", "2026-04-05 02:30"),
        ),
        ("30 23 * * *", "America/Santiago", "2026-04-05 02:30", "2026-04-06 03:29", None),
        (
            *("30 * * * *", "America/Santiago"),
            *("2026-04-05 02:30", "2026-04-05 03:59", "2026-04-05 03:30"),
        ),
        # Half an hour is skipped; and once a whole day was.
        (
            *("15 2 * * *", "Australia/Lord_Howe"),
            *("2026-10-03 12:00", "2026-10-04 00:00", "2026-10-03 15:30"),
        ),
        ("0 12 30 * *", "Pacific/Apia", "2011-12-01 00:00", "2012-01-15 00:00", "2011-12-30 10:00"),
    ],
)  # fmt: skip
def test_a_time_that_the_clock_skips_or_repeats_counts_once(
    cron: str, timezone: str, after: str, now: str, due: str | None
) -> None:
    found = Crontab(cron, timezone).latest_due(utc(after), utc(now))
    assert found == (utc(due) if due else None)


ZONES = (
    "Africa/Cairo",
    "America/Havana",
    "Asia/Beirut",
    "America/Santiago",
    "Europe/Berlin",
    "UTC",
)


@given(
    st.sampled_from(ZONES),
    st.integers(0, 59),
    st.integers(0, 23),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001
)
def test_a_daily_line_comes_every_day_of_every_zone_once(
    timezone: str, minute: int, hour: int, start: datetime
) -> None:
    crontab = Crontab(f"{minute} {hour} * * *", timezone)
    now = start.replace(tzinfo=UTC)
    days = []
    for _ in range(400):
        due = crontab.latest_due(now - timedelta(days=2), now)
        assert due is not None
        days.append(due.astimezone(ZoneInfo(timezone)).date())
        now = due - timedelta(microseconds=1)
    assert days == [days[0] - timedelta(days=number) for number in range(400)]


async def look(source: ScheduleSource) -> list[str]:
    """Look at what is due; the pipelines that were sent a message."""
    return [pipeline for pipeline in source.due() if await source.send_due(pipeline)]


async def test_what_was_missed_is_sent_once_and_not_again_after_a_restart() -> None:
    sent: list[Envelope] = []

    async def send(envelope: Envelope) -> None:
        sent.append(envelope)

    def source(last: str | None) -> ScheduleSource:
        made = ScheduleSource(send, clock=lambda: utc("2026-03-05 12:00"), wake_every=5.0)
        made.follow("fares", Crontab("0 4 * * *"), utc(last) if last else None)
        return made

    assert await look(source("2026-03-01 04:00"))
    (envelope,) = sent
    assert envelope.id == "schedule/fares/2026-03-05T04:00:00+00:00"
    assert envelope.message == ScheduleDue(at="2026-03-05T04:00:00+00:00")
    assert not await look(source("2026-03-05 04:00"))
    assert not await look(source(None)), "a new schedule replays no history"
    assert await look(source("2026-03-04 04:00")), "killed before `last` was saved"
    assert sent[1] == envelope, "the same id: the store counts it once"


async def test_a_clock_set_back_to_just_after_a_time_that_is_due_misses_nothing() -> None:
    sent: list[Envelope] = []
    now = utc("2027-03-01 12:00")

    async def send(envelope: Envelope) -> None:
        sent.append(envelope)

    source = ScheduleSource(send, clock=lambda: now, wake_every=5.0)
    source.follow("fares", Crontab("0 4 * * *"))
    assert not await look(source)
    now = utc("2026-03-02 04:00")
    assert await look(source)
    assert sent[-1].message == ScheduleDue(at="2026-03-02T04:00:00+00:00")
    assert not await look(source)
    now = utc("2026-03-01 12:00")
    assert not await look(source), "what was due long before is not made up for"


async def test_a_look_at_the_clock_concerns_only_the_schedules_that_are_due() -> None:
    sent: list[str] = []
    now = utc("2026-03-01 12:00")

    async def send(envelope: Envelope) -> None:
        sent.append(envelope.to.name)

    source = ScheduleSource(send, clock=lambda: now, wake_every=5.0)
    for number in range(1000):
        source.follow(f"p{number}", Crontab(f"{number % 60} {number // 60} * * *"))
    assert len(source.due()) == 1000, "each is looked at once"
    for number in range(1000):
        assert not await source.send_due(f"p{number}")
    now = utc("2026-03-01 23:59")
    assert len(await look(source)) == 1000 - 721
    now = utc("2026-03-02 00:06")
    assert source.due() == [f"p{number}" for number in range(7)]
    for number in range(7):
        await source.send_due(f"p{number}")
    assert source.due() == []
    now = utc("2026-03-02 00:05")
    assert len(source.due()) == 1000, "the clock was set back, so any may be due"


async def test_one_that_cannot_be_sent_is_tried_again_and_not_in_the_way_of_others() -> None:
    now, refused, sent = utc("2026-03-01 12:00"), {"fares"}, []

    async def send(envelope: Envelope) -> None:
        if envelope.to.name in refused:
            raise TryAgain("the database is locked")
        sent.append(envelope.to.name)

    source = ScheduleSource(send, clock=lambda: now, wake_every=5.0)
    for name in ("fares", "flights", "weekly"):
        source.follow(name, Crontab("0 4 * * SUN" if name == "weekly" else "0 4 * * *"))
    await look(source)
    now = utc("2026-03-02 04:00")
    assert await look(source) == ["flights"]
    assert source.problem == "the database is locked"
    refused.clear()
    assert await look(source) == ["fares"]
    assert not source.problem
    source.follow("fares", None)
    now = utc("2026-03-03 04:00")
    assert await look(source) == ["flights"]
    assert sent == ["flights", "fares", "flights"]


@pytest.mark.parametrize(
    ("crontab", "words"),
    [
        (Crontab("0 0 31 2 *"), "the schedule `0 0 31 2 *` is invalid: it never matches"),
        (Crontab("0 4 * * *", "Mars/Base"), "No time zone found with key Mars/Base"),
    ],
)
async def test_a_schedule_that_cannot_run_says_so_and_goes_on_looking(
    crontab: Crontab, words: str
) -> None:
    async def send(envelope: Envelope) -> None:
        raise AssertionError(envelope)

    looks = asyncio.Queue[None]()

    def clock() -> datetime:
        looks.put_nowait(None)
        return utc("2026-03-05 12:00")

    source = ScheduleSource(send, clock=clock, wake_every=0.01)
    source.follow("fares", crontab, utc("2026-03-01"))
    keys = source.keys()
    waiting = asyncio.ensure_future(anext(keys))
    for _ in range(6):
        await asyncio.wait_for(looks.get(), 10)
    assert not waiting.done()
    assert words in (source.problem or "")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@given(
    st.sampled_from(ZONES),
    st.sampled_from(["30 2 * * *", "0 0 * * *", "15 * * * *", "*/20 * * * MON", "0 4 1 * *"]),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001
)
def test_the_next_time_is_the_one_that_will_be_due(timezone: str, cron: str, at: datetime) -> None:
    crontab, now = Crontab(cron, timezone), at.replace(tzinfo=UTC)
    coming = crontab.next_due(now)
    assert coming is not None
    assert coming > now
    assert crontab.latest_due(now, coming) == coming
    assert crontab.latest_due(now, coming - timedelta(microseconds=1)) is None
