"""Checks for messages that were set aside because they could not be read or handled."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from controller.doctor.findings import Finding, warn
from controller.reconcile.inbox import SET_ASIDE_FIX
from controller.store.addresses import Address
from controller.store.opening import open_reader
from controller.store.protocol import Delivered
from specs.failures import Failure

SHOWN = 20
"""How many messages get a finding of their own, the newest first."""


async def messages_set_aside(at: Address) -> list[Finding]:
    """A warning for each message; none if the state cannot be read, or nothing was set aside."""
    if isinstance(at, Path) and not at.exists():
        return []
    with suppress(Failure):  # another finding says why
        store = open_reader(at)
        try:
            found = await store.set_aside()
        finally:
            await store.close()
        findings = [_finding(each) for each in found[: -SHOWN - 1 : -1]]
        if len(found) > SHOWN:
            said = f"{len(found) - SHOWN} more were set aside before these"
            findings.append(warn("messages", said, "see `headgate status --json`"))
        return findings
    return []


def _finding(message: Delivered) -> Finding:
    since = datetime.fromtimestamp(message.set_aside or message.at, UTC)
    said = (
        f"a message of type {message.type} was set aside at {since:%Y-%m-%d %H:%M:%S} UTC: "
        f"{message.reason}"
    )
    return warn(f"message to {message.to}", said, SET_ASIDE_FIX)
