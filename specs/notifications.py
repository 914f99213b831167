"""Notifications: the events that people can be told of, and the addresses."""

from typing import Literal

from pydantic import Field

from specs.base import Address, Many, Spec

NotifyEvent = Literal[
    "rollback",
    "gate_failed",
    "stuck",
    "promoted",
    "run_failed",
    "approval_needed",
    "refused",
]
"""Every event. A machine names one when it tells people (`controller/machine/*incidents.py`)."""


class Notification(Spec):
    """Whom to notify, and when."""

    to: Address = Field(
        description="An Apprise URL, in which ${NAME} stands for a secret; or github-issue for an "
        "issue in the pipeline's repository, closed when its cause is resolved."
    )
    on: Many[NotifyEvent] = Field(
        default=("rollback", "gate_failed", "stuck", "run_failed", "approval_needed", "refused"),
        min_length=1,
        description="The events to notify about.",
    )
