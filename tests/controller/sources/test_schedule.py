"""When a crontab line is due: restarts, missed times and the two odd nights of the year."""

from datetime import UTC, datetime

import pytest

from controller.machine.core import Message
from controller.sources.schedule import Crontab, ScheduleSource


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
        # Spring: 02:30 does not exist on the 29th and is made up for.
        ("30 2 * * *", "2026-03-28 12:00", "2026-03-29 12:00", "2026-03-29 01:30"),
        ("30 2 * * *", "2026-03-29 01:30", "2026-03-30 00:29", None),
        # Autumn: 02:30 comes twice on the 25th and counts once; a line for every hour, twice.
        ("30 2 * * *", "2026-10-24 12:00", "2026-10-25 12:00", "2026-10-25 00:30"),
        ("30 2 * * *", "2026-10-25 00:30", "2026-10-26 01:29", None),
        ("30 * * * *", "2026-10-25 00:30", "2026-10-25 01:31", "2026-10-25 01:30"),
        # Day and weekday: either is enough, as crontab(5) has it.
        ("0 12 13 * 5", "2026-11-01 00:00", "2026-11-06 12:00", "2026-11-06 11:00"),
        ("* * * * *", "2020-01-01 00:00", "2026-03-02 02:59", "2026-03-02 02:59"),
        ("0 0 29 2 *", "2019-01-01 00:00", "2026-03-01 00:00", "2024-02-28 23:00"),
    ],
)
def test_the_latest_time_that_is_due(cron: str, after: str, now: str, due: str | None) -> None:
    found = Crontab(cron, "Europe/Berlin").latest_due(utc(after), utc(now))
    assert found == (utc(due) if due else None)


async def test_what_was_missed_is_sent_once_and_not_again_after_a_restart() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    def source(last: str | None) -> ScheduleSource:
        return ScheduleSource(
            "fares",
            Crontab("0 4 * * *"),
            send,
            utc(last) if last else None,
            clock=lambda: utc("2026-03-05 12:00"),
            wake_every=5.0,
        )

    assert await source("2026-03-01 04:00").send_due()
    (message,) = sent
    assert message.id == "schedule/fares/2026-03-05T04:00:00+00:00"
    assert message.body == {"at": "2026-03-05T04:00:00+00:00"}
    assert not await source("2026-03-05 04:00").send_due()
    assert not await source(None).send_due(), "a new schedule replays no history"
    assert await source("2026-03-04 04:00").send_due(), "killed before `last` was saved"
    assert sent[1] == message, "the same id: the store counts it once"


async def test_a_clock_set_back_to_just_after_a_time_that_is_due_misses_nothing() -> None:
    sent: list[Message] = []
    now = utc("2027-03-01 12:00")

    async def send(message: Message) -> None:
        sent.append(message)

    source = ScheduleSource("fares", Crontab("0 4 * * *"), send, clock=lambda: now, wake_every=5.0)
    assert not await source.send_due()
    now = utc("2026-03-02 04:00")
    assert await source.send_due()
    assert sent[-1].body == {"at": "2026-03-02T04:00:00+00:00"}
    assert not await source.send_due()
    now = utc("2026-03-01 12:00")
    assert not await source.send_due(), "what was due long before is not made up for"
