"""The router's dead man's switch: whether a controller still watches the canary."""


class Word:
    """When a controller gave word last, and when its silence became too long.

    Word is what comes of saved state only, so that a controller that cannot save (its disk is
    full) is as silent as a dead one: a routing that differs from the one before, which is ordered
    after a decision was saved, or an acknowledgement of records, whose cursor is saved with what
    the judge made of them. Times are of the monotonic clock.
    """

    def __init__(self, now: float) -> None:
        self._heard = now
        self._cursor = 0
        self._over: float | None = None

    @property
    def over(self) -> bool:
        """Whether the silence was too long, and has not been ended."""
        return self._over is not None

    def read(self, after: int, count: int, now: float) -> None:
        """Somebody asks for the records from number `after` on; there are `count` in all.

        Who asks for the same page again has not saved what was in it. Who asks for what is not
        there yet has nothing left to save.
        """
        if after > self._cursor or after >= count:
            self._heard = now
        self._cursor = max(self._cursor, after)

    def routed(self, now: float, *, anew: bool) -> None:
        """A routing was ordered, `anew` if it differs from the one before.

        The same one, ordered again after a silence, may be an old order of a controller that
        cannot save; it ends the silence only after other word.
        """
        if anew or (self._over is not None and self._heard > self._over):
            self._heard, self._over = now, None

    def is_missed(self, limit: float, now: float) -> bool:
        """Whether the silence becomes too long now: `limit` seconds are over."""
        if self._over is not None or now - self._heard < limit:
            return False
        self._over = now
        return True
