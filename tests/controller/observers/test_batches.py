"""When a batch is due."""

from datetime import UTC, datetime

import pytest

from controller.observers.batches import due
from tests.controller.machine.kit import version
from tests.controller.machine.test_batch import BATCH, HOW

NIGHTLY = {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("after", "now", "expected"),
    [
        ("2026-11-28 12:00", "2026-11-29 01:59", None),
        ("2026-11-28 12:00", "2026-11-29 02:00", "2026-11-29 02:00"),
        ("2026-11-29 02:01", "2026-11-29 12:00", None),
        ("2026-11-20 12:00", "2026-11-29 12:00", "2026-11-29 02:00"),  # once for all it missed
    ],
)
def test_a_nightly_batch_is_due_once_a_night_by_its_own_clock(
    after: str, now: str, expected: str | None
) -> None:
    nightly = version(1, *HOW[:-1], ("release.batch", {**BATCH, "schedule": NIGHTLY}))
    assert due(nightly, at(after), at(now)) == (at(expected) if expected else None)


def test_what_has_no_schedule_or_a_server_is_never_due() -> None:
    assert due(version(1, *HOW), 0.0, at("2026-11-29 12:00")) is None
    assert due(version(1), 0.0, at("2026-11-29 12:00")) is None
