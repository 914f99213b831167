#!/usr/bin/env bash
# A daily schedule at midnight has no run on the day whose midnight the clock skips.
#
# Some countries set their clocks forward at midnight, so that the day begins at 01:00: Egypt did on
# Friday, 24 April 2026. Seen with APScheduler 3.11.3: a crontab trigger for `0 0 * * *` in Africa/Cairo,
# asked on the 23rd, names the 25th, and the 24th has no run; in Europe/Berlin, which changes at two
# o'clock, `30 2 * * *` does come on the day that has no half past two, by the name of 02:30, at 01:30 UTC.
# So whether a skipped time is made up for depends on which hour is skipped. A daily retraining or export loses a day a year, in
# silence. Count the days, or schedule by UTC.
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
assert cairo == "2026-04-25 00:00", "the day without a midnight has its run now"
assert berlin == "2026-03-29 02:30", "the time that is skipped is another now"
PYTHON
