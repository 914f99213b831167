"""Applies `Notify`: one incident to one address."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog

from controller.config.secrets import Secrets
from controller.machine.actions import Incident, Notify
from controller.machine.core import Envelope, Key
from controller.notify import render
from controller.notify.protocol import Notifier, Status
from specs.base import GITHUB_ISSUE
from specs.failures import Failure, NeedsHuman

RESULTS = ("sent", "postponed", "failed")
Issues = Callable[[Key, Incident, Status, str], Awaitable[None]]
"""Notifies by a GitHub issue in the repository of the object that notifies."""

log = structlog.get_logger("headgate.notify")


class NotifyApplier:
    """Applies `Notify`: by a webhook or service, by an issue, or to the log if nobody is named."""

    def __init__(
        self,
        notifier: Notifier,
        secrets: Secrets,
        issues: Issues | None = None,
        controller: str = "",
    ) -> None:
        """`controller` is the name of this controller in notifications."""
        self._notifier = notifier
        self._secrets = secrets
        self._issues = issues
        self._controller = controller
        self.counts: Counter[tuple[str, str]] = Counter()
        """Since the start, by event: `sent`, `postponed`, `failed`. What is only logged, because
        nobody is named, counts as sent."""

    async def apply(self, owner: Key, action: Notify) -> Sequence[Envelope]:
        """Notify the address. Raises what `Notifier.send` raises, and `NeedsHuman` if a secret is
        missing."""
        result = "postponed"  # as the outbox does with whatever else is raised
        try:
            await self._notify(owner, action)
            result = "sent"
        except Failure as failure:
            result = "failed" if isinstance(failure, NeedsHuman) else result
            raise
        finally:
            self.counts[action.event, result] += 1
        return ()

    async def _notify(self, owner: Key, action: Notify) -> None:
        incident = self._secrets.redacted(action.incident)
        incident = incident.model_copy(update={"controller": self._controller})
        if action.to is None:
            _log(incident, action)
            return
        if action.to == GITHUB_ISSUE:
            if self._issues is None:
                raise NeedsHuman(
                    "cannot open an issue (`to: github-issue` in `notify`): the settings name "
                    "neither an app nor a token for GitHub; see `headgate doctor`"
                )
            await self._issues(owner, incident, action.status, action.alert)
            return
        try:
            url = self._secrets.expand(action.to)
        except NeedsHuman as failure:
            # Only the scheme: the rest of the address may have secrets written out in it.
            scheme = action.to.partition("://")[0] if "://" in action.to else "?"
            raise NeedsHuman(f"cannot notify {scheme}://...: {failure}") from None
        await self._notifier.send(url, incident, action.status, action.alert)


def _log(incident: Incident, notify: Notify) -> None:
    """Log a notification that has no address; without details if nothing is wrong."""
    tell = log.warning if notify.status == "firing" else log.info
    news = (
        {}
        if notify.status == "info"
        else {"text": render.text(incident, notify.status, notify.alert)}
    )
    tell(
        render.subject(incident, notify.status),
        notified="nobody: neither the spec nor the settings has an address under `notify`",
        **news,
    )
