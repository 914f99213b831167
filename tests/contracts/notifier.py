"""What every `Notifier` does, whatever service is behind the address."""

import logging
from collections.abc import Iterator
from io import StringIO
from typing import Protocol

import pytest

from controller.machine.actions import Incident, SignalEvidence
from controller.notify import Notifier
from specs.failures import TryAgain

SECRET = "s3cr3t-t0k3n"

INCIDENT = Incident(
    pipeline="flight-delay",
    environment="production",
    title="flight-delay: production rolled back v5",
    what="Rolled back: the canary is worse than stable in errors.",
    was="v5 (abababababab)",
    now="v4 (cdcdcdcdcdcd)",
    evidence=(
        SignalEvidence(
            signal="errors", observed="0.081", limit="not worse by 0.005", baseline="0.002", n=1204
        ),
    ),
    commands=("headgate releases flight-delay",),
)


@pytest.fixture
def log() -> Iterator[StringIO]:
    """All that reaches the handlers of the process, as the controller sets them up: at the root.

    `caplog` would not do: it also listens where nothing is handed on. The mail server of the
    tests logs what it is told.
    """
    text = StringIO()
    handler = logging.StreamHandler(text)
    handler.addFilter(lambda record: record.name != "mail.log")
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


class Place(Protocol):
    """An address of the service under test, with `SECRET` in it, and what came there."""

    url: str

    def received(self) -> list[str]:
        """Every notification, as one text with title and body."""
        ...

    def refuse(self) -> None:
        """From now on, take nothing, for the moment."""
        ...


class NotifierContract:
    """A subclass gives the fixtures `notifier` and `place`."""

    async def test_a_person_reads_what_happened_why_and_what_serves(
        self, notifier: Notifier, place: Place
    ) -> None:
        await notifier.send(place.url, INCIDENT, "firing", "flight-delay/production/rollback/3")
        (said,) = place.received()
        for part in (
            "production rolled back v5",
            "Serves now: v4 (cdcdcdcdcdcd)",
            "Removed: v5 (abababababab)",
            "Action needed: no",
            "errors: 0.081; limit not worse by 0.005; baseline 0.002; n 1,204",
            "headgate releases flight-delay",
        ):
            assert part in said

    async def test_what_fires_and_is_resolved_carries_the_same_alert(
        self, notifier: Notifier, place: Place
    ) -> None:
        for status in ("firing", "resolved"):
            await notifier.send(place.url, INCIDENT, status, "p/production/rollback/3")
        firing, resolved = place.received()
        assert "Alert p/production/rollback/3: firing." in firing
        assert "Alert p/production/rollback/3: resolved." in resolved
        assert "Resolved: " in resolved
        assert "Resolved: " not in firing

    async def test_a_refusal_for_the_moment_is_tried_again_and_keeps_the_secret(
        self, notifier: Notifier, place: Place, log: StringIO
    ) -> None:
        place.refuse()
        with pytest.raises(TryAgain) as failure:
            await notifier.send(place.url, INCIDENT, "firing", "a")
        assert SECRET not in str(failure.value)
        assert SECRET not in log.getvalue()
        assert place.url.partition("://")[0] in str(failure.value)
