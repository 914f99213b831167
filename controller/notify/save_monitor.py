"""Watches whether the controller can save its state, and notifies people directly if it cannot.

All other notifications go through the outbox in the store, which does not work when the store
cannot be written.
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
from controller.store.database import DatabaseStore
from specs.base import GITHUB_ISSUE
from specs.failures import Failure, NeedsHuman
from specs.notifications import Notification

EVERY = 10.0
"""Seconds between attempts to save something, in case nothing else is being saved."""
LOOK = 0.5
"""Seconds between checks of whether other writes succeeded."""
CALM = 15.0
"""Seconds without a failure after which the problem counts as resolved."""
GRACE = 60.0
"""Seconds before a transient failure, such as a lock held by another process, is reported."""
RETRY = 15.0
"""Seconds until another attempt to notify those who could not be reached."""
ALERT = "stuck/controller"
_SELF = Key("controller", "state")

log = structlog.get_logger("headgate.save_monitor")


class Recipient(NamedTuple):
    """An address, and the object whose repository gets an issue."""

    owner: Key
    to: str | None


class SaveMonitor:
    """Knows whether the state can be saved. Who was notified is kept in memory only, so people may
    be notified again after a restart, under the same alert."""

    def __init__(
        self,
        store: DatabaseStore,
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
        self._recipients: tuple[Recipient, ...] = ()
        self._know: set[Recipient] = set()
        self._reason = ""
        self.problem = ""
        """What prevents saving, and the fix; empty while saving works."""

    async def watch(self) -> None:
        """Check and notify until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            await self.look(now)
            if now >= self._deliver_at:
                await self.deliver()
                self._deliver_at = clock() + RETRY
            await asyncio.sleep(LOOK)

    async def look(self, now: float) -> None:
        """Check whether saving works; `now` is in seconds of a monotonic clock."""
        if now - self._tried >= EVERY:
            self._tried = now
            with suppress(Failure):  # the store keeps it in `unsaved`
                await self._store.touch()
        failure = self._store.unsaved
        if failure is None:
            if self.problem and now - self._failed >= self._calm:
                self._resolve(now)
            self._since = self._since if self.problem else None
            return
        self._failed = now
        self._since = now if self._since is None else self._since
        lasts = isinstance(failure, NeedsHuman) or now - self._since >= GRACE
        if lasts and not self.problem:
            log.error("the state cannot be saved, so nothing is decided", reason=str(failure))
            self.problem = self._reason = str(failure)
            self._recipients = await self._addresses()
            self._deliver_at = now

    def _resolve(self, now: float) -> None:
        log.info("the state can be saved again")
        self.problem, self._since, self._recipients = "", None, ()
        self._deliver_at = now

    async def deliver(self) -> None:
        """Notify everybody who does not know yet or, once it is resolved, everybody who does."""
        if self.problem:
            recipients = [one for one in self._recipients if one not in self._know]
        else:
            recipients = list(self._know)
        await asyncio.gather(*map(self._notify, recipients))

    async def _notify(self, one: Recipient) -> None:
        status: Literal["firing", "resolved"] = "firing" if self.problem else "resolved"
        about = incident(self._reason, over=not self.problem)
        notify = Notify(event="stuck", status=status, alert=ALERT, to=one.to, incident=about)
        try:
            async with within(60.0, "A notification"):
                await self._tell(one.owner, notify)
        except NeedsHuman as failure:  # the same call would fail again
            log.error("somebody cannot be notified", reason=str(failure))  # noqa: TRY400 - a user's mistake needs no traceback
        except Failure as failure:
            log.warning("somebody could not be notified yet", reason=str(failure))
            return
        except Exception:
            log.exception("internal error: somebody could not be notified")
            return
        (self._know.add if status == "firing" else self._know.discard)(one)

    async def _addresses(self) -> tuple[Recipient, ...]:
        """The addresses in the settings and the newest specs, as far as the store can be read."""
        found: dict[tuple[str, str], Recipient] = {}
        with suppress(Failure):
            for pipeline in await self._store.list("pipeline"):
                for to in (*await named(self._store, pipeline), *self._everyone):
                    where = str(pipeline.body["repository"]) if to == GITHUB_ISSUE else ""
                    found.setdefault((to, where), Recipient(pipeline.key, to))
        for to in self._everyone:
            if to != GITHUB_ISSUE:
                found.setdefault((to, ""), Recipient(_SELF, to))
        return tuple(found.values()) or (Recipient(_SELF, None),)


def incident(reason: str, *, over: bool) -> Incident:
    """What people are told."""
    if over:
        what = "Its state is saved again, and it has resumed work."
        title = "the controller can save its state again"
        return Incident(
            pipeline="controller", title=title, what=what, commands=("headgate status",)
        )
    return Incident(
        pipeline="controller",
        title="the controller cannot save its state and has stopped",
        what=f"{reason} Nothing is released, promoted or rolled back until it can save again, and "
        "the routers soon take a canary's traffic away.",
        now="what served before; models and routers run without the controller",
        needs_human=True,
        commands=("headgate doctor", "headgate status"),
    )
