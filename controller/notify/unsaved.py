"""Sees whether the controller can save, and tells people past the store where it cannot.

Whatever else is told is owed in the store first; a store that takes nothing would say nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

import structlog

from controller.machine.actions import Incident, Notify
from controller.machine.core import Key
from controller.notify.subscribers import named
from controller.reconcile.outbox import within
from controller.store.sqlite import SqliteStore
from specs.base import GITHUB_ISSUE
from specs.failures import Failure, NeedsHuman
from specs.model import Notification

EVERY = 10.0
"""Seconds between tries to save something, should nobody else save."""
LOOK = 0.5
"""Seconds between looks at whether others could."""
CALM = 15.0
"""Seconds without a failure after which it is over."""
BEARS = 60.0
"""Seconds for which what may mend itself, as a lock that another process holds, is not told."""
AGAIN = 15.0
"""Seconds until those who could not be told are tried again."""
ALERT = "stuck/controller"
_SELF = Key("controller", "state")

log = structlog.get_logger("headgate.saving")


class Told(NamedTuple):
    """An address, with an object by which an issue finds its repository."""

    owner: Key
    to: str | None


class Saving:
    """Whether what is decided can be kept. What people know is remembered in memory alone, so
    they may hear of it again after a restart, under the same alert."""

    def __init__(
        self,
        store: SqliteStore,
        tell: Callable[[Key, Notify], Awaitable[object]],
        everyone: Sequence[Notification],
        calm: float = CALM,
    ) -> None:
        self._store = store
        self._tell = tell
        self._everyone = [one.to for one in everyone if "stuck" in one.on]
        self._calm = calm
        self._since: float | None = None
        self._failed = self._tried = 0.0
        self._deliver_at = 0.0
        self._whom: tuple[Told, ...] = ()
        self._know: set[Told] = set()
        self._reason = ""
        self.trouble = ""
        """What keeps it from saving, and the mend; empty while it can."""

    async def watch(self) -> None:
        """Look, and tell, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            await self.look(now)
            if now >= self._deliver_at:
                await self.deliver()
                self._deliver_at = clock() + AGAIN
            await asyncio.sleep(LOOK)

    async def look(self, now: float) -> None:
        """See how it is; `now` is in seconds of a clock that nobody sets."""
        if now - self._tried >= EVERY:
            self._tried = now
            with suppress(Failure):  # the store remembers it
                await self._store.touch()
        failure = self._store.unsaved
        if failure is None:
            if self.trouble and now - self._failed >= self._calm:
                self._pass(now)
            self._since = self._since if self.trouble else None
            return
        self._failed = now
        self._since = now if self._since is None else self._since
        lasts = isinstance(failure, NeedsHuman) or now - self._since >= BEARS
        if lasts and not self.trouble:
            log.error("nothing can be saved, so nothing is decided", reason=str(failure))
            self.trouble = self._reason = str(failure)
            self._whom = await self._addresses()
            self._deliver_at = now

    def _pass(self, now: float) -> None:
        log.info("what is decided can be saved again")
        self.trouble, self._since, self._whom = "", None, ()
        self._deliver_at = now

    async def deliver(self) -> None:
        """Let everybody know how it is: those who do not yet while it lasts, then those who do."""
        if self.trouble:
            whom = [one for one in self._whom if one not in self._know]
        else:
            whom = list(self._know)
        await asyncio.gather(*map(self._say, whom))

    async def _say(self, one: Told) -> None:
        status: Literal["firing", "resolved"] = "firing" if self.trouble else "resolved"
        about = incident(self._reason, over=not self.trouble)
        notify = Notify(event="stuck", status=status, alert=ALERT, to=one.to, incident=about)
        try:
            async with within(60.0, "A notification"):
                await self._tell(one.owner, notify)
        except NeedsHuman as failure:  # the same call would fail again
            log.error("somebody cannot be told", reason=str(failure))  # noqa: TRY400 - the reason is the user's, and no traceback
        except Failure as failure:
            log.warning("somebody could not be told yet", reason=str(failure))
            return
        except Exception:
            log.exception("somebody could not be told by a fault of Headgate's own")
            return
        (self._know.add if status == "firing" else self._know.discard)(one)

    async def _addresses(self) -> tuple[Told, ...]:
        """Whom the settings and the newest specs name, as far as the store can be read."""
        found: dict[tuple[str, str], Told] = {}
        with suppress(Failure):
            for pipeline in await self._store.list("pipeline"):
                for to in (*await named(self._store, pipeline), *self._everyone):
                    where = str(pipeline.body["repository"]) if to == GITHUB_ISSUE else ""
                    found.setdefault((to, where), Told(pipeline.key, to))
        for to in self._everyone:
            if to != GITHUB_ISSUE:
                found.setdefault((to, ""), Told(_SELF, to))
        return tuple(found.values()) or (Told(_SELF, None),)


def incident(reason: str, *, over: bool) -> Incident:
    """What is told of it."""
    if over:
        what = "What it decides is saved, and it goes on with everything."
        title = "the controller can save again"
        return Incident(
            pipeline="controller", title=title, what=what, commands=("headgate status",)
        )
    return Incident(
        pipeline="controller",
        title="the controller cannot save, so it does nothing",
        what=f"{reason} Nothing is released, promoted or rolled back until it can save again, and "
        "the routers soon take a canary's traffic away.",
        now="what served before; models and routers run without the controller",
        needs_human=True,
        commands=("headgate doctor", "headgate status"),
    )
