#!/usr/bin/env bash
# A daily schedule at midnight does not run on a day on which the clock skips midnight.
#
# Some countries set their clocks forward at midnight, so the day begins at 01:00; Egypt did on Friday,
# 24 April 2026. With APScheduler 3.11.3, the next time of a crontab trigger for `0 0 * * *` in
# Africa/Cairo after noon of the 23rd is on the 25th: there is no run on the 24th. In Europe/Berlin, where
# the clock skips from 02:00 to 03:00, `30 2 * * *` does run on that day, as 02:30, at 01:30 UTC. So
# whether a skipped time is made up for depends on the hour that is skipped, and a daily retraining or
# export silently loses a day a year. Count the days, or schedule in UTC.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q apscheduler==3.11.3 tzlocal tzdata
"$folder/venv/bin/python" - <<'PYTHON'
from datetime import datetime
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger


def after(line: str, zone: str, *moment: int) -> str:
    asked = datetime(*moment, tzinfo=ZoneInfo(zone))
    trigger = CronTrigger.from_crontab(line, timezone=ZoneInfo(zone))
    return trigger.get_next_fire_time(None, asked).strftime("%Y-%m-%d %H:%M")


cairo = after("0 0 * * *", "Africa/Cairo", 2026, 4, 23, 12)
berlin = after("30 2 * * *", "Europe/Berlin", 2026, 3, 28, 12)
print("Cairo, after noon of 23 April:", cairo)
print("Berlin, after noon of 28 March:", berlin)
assert cairo == "2026-04-25 00:00", "there is now a run on the day without a midnight"
assert berlin == "2026-03-29 02:30", "a skipped time now runs at another time"
PYTHON
