"""Which weights were in force when: windows of counts are only formed within one era. PURE.

A deployer says what it observed, and when it begins to change something. Between a change and the
next observation the weight is unknown; so it is between two observations that differ.
"""

from typing import Final

from deployers.protocol import SavedValue

ArmSplit = tuple[str | None, str | None, float]
"""What the counters call stable and the canary, and the canary's share."""
MOST: Final = 50
"""How many eras of a place are remembered: the newest."""


class Era(SavedValue):
    """A time in which the same servers had the same shares of the traffic."""

    start: float
    """When it was first observed, in seconds since the epoch."""
    end: float | None = None
    """When it was last observed; None while it lasts."""
    stable: str | None = None
    canary: str | None = None
    weight: float = 0.0
    """The canary's share."""

    @property
    def split(self) -> ArmSplit:
        """The servers and the weight."""
        return self.stable, self.canary, self.weight


class Eras(SavedValue):
    """The eras of one place, oldest first."""

    known: tuple[Era, ...] = ()

    @property
    def last(self) -> Era | None:
        """The era that lasts, or None."""
        return self.known[-1] if self.known and self.known[-1].end is None else None

    def changing(self, wanted: ArmSplit, confirmed: float) -> "Eras":
        """The eras when `wanted` is about to be applied; `confirmed` is when the last era was last
        observed."""
        last = self.last
        return self if last is None or last.split == wanted else self._ended(confirmed)

    def seen(self, split: ArmSplit, confirmed: float, now: float) -> "Eras":
        """The eras after an observation."""
        stable, canary, weight = split
        era = Era(start=now, stable=stable, canary=canary, weight=weight)
        last = self.last
        if last is not None and last.split == era.split:
            return self
        before = self if last is None else self._ended(confirmed)
        return Eras(known=(*before.known, era)[-MOST:])

    def _ended(self, confirmed: float) -> "Eras":
        *before, last = self.known
        ended = last.model_copy(update={"end": max(last.start, confirmed)})
        return Eras(known=(*before, ended))
