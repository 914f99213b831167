"""Schedules."""

from pydantic import Field

from specs.base import Spec, Text


class ScheduleTrigger(Spec):
    """When to start by the clock."""

    cron: Text = Field(description="Five fields: minute, hour, day, month, weekday.")
    timezone: Text = Field(default="UTC", description="An IANA name such as Europe/Berlin.")
