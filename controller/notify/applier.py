"""Applies `Send`, and makes one `Send` per address of what the machines want told.

An address that is out of reach is tried again by itself: the outbox keeps an entry for each, in a
lane of its own, so it neither holds up the others nor has them told twice.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Generic

import structlog

from controller.config.secrets import Secrets
from controller.machine.actions import Incident, Notify, Send
from controller.machine.core import Action, Decision, InboxMessage, Key, Message, State
from controller.notify import render
from controller.notify.protocol import Notifier, Status
from controller.reconcile.loop import Observed, Reconciler
from specs.base import GITHUB_ISSUE
from specs.failures import NeedsHuman
from specs.model import Notification

Issues = Callable[[Key, Incident, Status, str], Awaitable[None]]
"""Tells by issue, in the repository of the object that tells."""

log = structlog.get_logger("headgate.notify")


def addressed(notify: Notify, everyone: Iterable[Notification]) -> Iterator[Send]:
    """One action for each address, of the spec first and then of `everyone`; each address once.

    With no address at all, one without: somebody may be reading the log.
    """
    more = (entry.to for entry in everyone if notify.event in entry.on)
    for to in dict.fromkeys((*notify.to, *more)) or [None]:
        yield Send(
            event=notify.event,
            status=notify.status,
            alert=notify.alert,
            to=to,
            incident=notify.incident,
        )


class Addressed(Generic[State, Observed]):
    """A `Reconciler` that owes a `Send` per address where its machine wants to `Notify`.

    `everyone` is told of every pipeline: the settings' entries, of which no machine knows.
    """

    def __init__(self, kind: Reconciler[State, Observed], everyone: Sequence[Notification]) -> None:
        self.state = kind.state
        self._kind = kind
        self._everyone = tuple(everyone)

    async def observe(
        self, key: Key, state: State | None, inbox: Sequence[InboxMessage]
    ) -> Observed:
        """As the kind does."""
        return await self._kind.observe(key, state, inbox)

    def decide(
        self,
        key: Key,
        state: State | None,
        observed: Observed,
        inbox: Sequence[InboxMessage],
        now: float,
    ) -> Decision[State]:
        """As the kind does, with its notifications addressed."""
        decision = self._kind.decide(key, state, observed, inbox, now)
        actions = tuple(each for action in decision.actions for each in self._addressed(action))
        return decision.model_copy(update={"actions": actions})

    def _addressed(self, action: Action) -> Iterable[Action]:
        return addressed(action, self._everyone) if isinstance(action, Notify) else (action,)


class NotifyApplier:
    """Applies `Send`."""

    def __init__(
        self,
        notifier: Notifier,
        secrets: Secrets,
        issues: Issues | None = None,
        controller: str = "",
    ) -> None:
        """`controller` is what this one is called."""
        self._notifier = notifier
        self._secrets = secrets
        self._issues = issues
        self._controller = controller

    async def apply(self, owner: Key, action: Send) -> Sequence[Message]:
        """Send it. Raises what `Notifier.send` raises, and `NeedsHuman` for a missing secret."""
        incident = self._secrets.redacted(action.incident)
        incident = incident.model_copy(update={"controller": self._controller})
        if action.to is None:
            _log(incident, action)
            return ()
        if action.to == GITHUB_ISSUE:
            if self._issues is None:
                raise NeedsHuman(
                    "cannot open an issue (`to: github-issue` in `notify`): the settings name "
                    "neither an app nor a token for GitHub; see `headgate doctor`"
                )
            await self._issues(owner, incident, action.status, action.alert)
            return ()
        try:
            url = self._secrets.expand(action.to)
        except NeedsHuman as failure:
            # The scheme only: an address may have other secrets in it, written out.
            scheme = action.to.partition("://")[0] if "://" in action.to else "?"
            raise NeedsHuman(f"cannot notify {scheme}://...: {failure}") from None
        await self._notifier.send(url, incident, action.status, action.alert)
        return ()


def _log(incident: Incident, send: Send) -> None:
    """What nobody is told: whoever looks at the controller reads it. Good news is short."""
    tell = log.warning if send.status == "firing" else log.info
    news = {} if send.status == "info" else {"text": render.text(incident, send.status, send.alert)}
    tell(
        render.subject(incident, send.status),
        told="nobody, as `notify` in the spec and in the settings names no one",
        **news,
    )
