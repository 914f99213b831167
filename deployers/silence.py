"""The router's dead man's switch: whether a controller still watches the canary."""


class DeadMansSwitch:
    """When the last word from a controller came, and whether the silence has lasted too long.

    Only signs of saved state count as word, so that a controller that cannot save (its disk is
    full) is treated like a dead one: a routing that differs from the previous one, since it is
    ordered after a decision was saved, or an acknowledgement of records, whose cursor is saved with
    the judge's evidence. Times are monotonic.
    """

    def __init__(self, now: float) -> None:
        self._heard = now
        self._cursor = 0
        self._over: float | None = None

    @property
    def over(self) -> bool:
        """Whether the silence lasted too long and has not ended since."""
        return self._over is not None

    def read(self, after: int, count: int, now: float) -> None:
        """A client asks for the records from number `after` on; `count` is their total.

        A client that asks for the same page again has not saved its content. One that asks for
        records that do not exist yet has nothing left to save.
        """
        if after > self._cursor or after >= count:
            self._heard = now
        self._cursor = max(self._cursor, after)

    def routed(self, now: float, *, changed: bool) -> None:
        """A routing was ordered; `changed` if it differs from the previous one.

        The same routing, ordered again during a silence, may come from a controller that cannot
        save; it ends the silence only if records were acknowledged since.
        """
        if changed or (self._over is not None and self._heard > self._over):
            self._heard, self._over = now, None

    def trips(self, limit: float, now: float) -> bool:
        """Whether the silence has just become longer than `limit` seconds; true only once."""
        if self._over is not None or now - self._heard < limit:
            return False
        self._over = now
        return True
