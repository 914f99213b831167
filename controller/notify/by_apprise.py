"""Notifications through Apprise: chats, mail, pagers and webhooks behind one form of address.

Pagers that know pairs (PagerDuty, incident.io, iLert, GoAlert, Squadcast, FireHydrant, SIGNL4,
PagerTree, Splunk On-Call) get the alert as their key, so that one alert is one page and is
resolved there; what is no alert (`info`) is not for them, as each would stay open for ever.
Webhooks (`json://`, `form://`, `xml://`) get `alert`, `status` and `level` as fields. All others
get a message that says `Resolved:`.
"""

import asyncio
import logging
import re
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import structlog

from controller.machine.actions import Incident
from controller.notify import render
from controller.notify.protocol import Status
from specs.digests import digest
from specs.failures import Failure, NeedsHuman, TryAgain

if TYPE_CHECKING:
    from apprise import AppriseAsset, AppriseResult

PATIENCE = 10.0
"""Seconds for one service: the turn of the object that tells waits for it."""
LONGEST_KEY = 200
"""Characters of a key that every pager takes."""

_REFUSED = {400, 401, 403, 404, 405, 410, 413, 422}
"""HTTP answers that the same request will get again."""
_STATUS = re.compile(r"\berror=(\d{3})\b")
"""How Apprise's services log a refusal; the rest of such a line may hold parts of the address."""

log = structlog.get_logger("headgate.notify")


class AppriseNotifier:
    """A `Notifier` for every service that Apprise knows."""

    async def send(self, url: str, incident: Incident, status: Status, alert: str) -> None:
        """See `Notifier.send`."""
        await asyncio.to_thread(_send, url, incident, status, alert)


def _send(url: str, incident: Incident, status: Status, alert: str) -> None:
    from apprise import Apprise

    scheme = _scheme(url)
    service = _service(url, alert)
    if service is None:
        raise NeedsHuman(
            f"cannot notify {scheme}://...: no address of a service that Apprise knows; see "
            "`apprise --details` for each service's form"
        )
    if status == "info" and _pair(service):
        log.info("a pager is not told of what is no alert", alert=alert, to=f"{scheme}://...")
        return
    title, body, form = _said(service, incident, status, alert)
    apprise = Apprise(service, asset=_asset())
    result = apprise.notify(body, title, notify_type=_kind(incident, status), body_format=form)
    if not result:
        raise _failure(f"{service.service_name} ({scheme}://...)", result)


def _service(url: str, alert: str) -> Any:
    """The service at `url`, told to pair what fires with what is resolved where it can.

    None if there is none. Untyped, as each service has its own attributes.
    """
    from apprise import Apprise

    service: Any = Apprise.instantiate(url, asset=_asset())
    if service is None:
        return None
    name = _pair(service)
    if name is None:
        return service
    key = alert if len(alert) <= LONGEST_KEY else digest(alert.encode())
    given = service.parse_url(url)["qsd"]  # what the address says itself is somebody's will
    more = {k: v for k, v in ((name, key), ("action", "map")) if k not in given}
    mark = "&" if "?" in url else "?"
    return Apprise.instantiate(f"{url}{mark}{urlencode(more)}" if more else url, asset=_asset())


def _pair(service: Any) -> str | None:
    """The argument by which a pager takes an alert's key; None for what is no such pager."""
    if "map" not in service.template_args.get("action", {}).get("values", ()):
        return None
    return next((name for name in ("dedup", "entity_id") if name in service.template_args), None)


def _said(service: Any, incident: Incident, status: Status, alert: str) -> tuple[str, str, str]:
    """Title, body and the body's format, in the way the service shows best."""
    from apprise import NotifyFormat, OverflowMode

    service.overflow_mode = OverflowMode.TRUNCATE  # what matters comes first
    title = render.subject(incident, status)
    text = render.text(incident, status, alert)
    if "payload" in service.template_kwargs:  # a webhook
        fields = render.as_json(incident, status, alert)
        if service.service_name != "JSON":  # forms and XML hold texts only
            del fields["incident"]
        service.payload_extras = {**fields, **service.payload_extras}
    elif "details" in service.template_kwargs:  # a pager: its body is a line on a phone
        details = {"alert": alert, "status": status, "text": text}
        service.details = {**details, **service.details}
        return title, incident.what, NotifyFormat.TEXT
    elif service.resolve_format() == NotifyFormat.MARKDOWN:
        return title, render.markdown(incident, status, alert), NotifyFormat.MARKDOWN
    return title, text, NotifyFormat.TEXT


def _kind(incident: Incident, status: Status) -> Any:
    from apprise import NotifyType

    return {
        "critical": NotifyType.FAILURE,
        "warning": NotifyType.WARNING,
        "over": NotifyType.SUCCESS,
        "info": NotifyType.INFO,
    }[render.level(incident, status)]


def _failure(name: str, result: "AppriseResult") -> Failure:
    """Why it was not delivered, in words that hold nothing of the address."""
    lines = [entry.message for one in result.results for attempt in one for entry in attempt.logs]
    found = [int(code) for line in lines for code in _STATUS.findall(line)]
    if not found:
        return TryAgain(f"{name} was not reached, or did not take the notification")
    if found[-1] in _REFUSED:
        return NeedsHuman(
            f"{name} refuses notifications with HTTP {found[-1]}; check its address in `notify`, "
            "and the secrets that it names"
        )
    return TryAgain(f"{name} answered HTTP {found[-1]}")


def _scheme(url: str) -> str:
    """All of an address that may be shown."""
    found = re.match(r"[a-z][a-z0-9]{0,20}(?=://)", url, re.IGNORECASE)
    return found[0] if found else "?"


@cache
def _asset() -> "AppriseAsset":
    """How Apprise presents itself. Its log is kept to its results: it may hold addresses."""
    from apprise import AppriseAsset

    theirs = logging.getLogger("apprise")
    theirs.addHandler(logging.NullHandler())
    theirs.propagate = False
    theirs.setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it writes paths, tokens and all
    return AppriseAsset(
        app_id="Headgate",
        app_desc="Headgate",
        app_url="",
        image_url_mask=None,
        image_url_logo=None,
        async_mode=False,
        service_timeout=PATIENCE,
        allow_templates=False,
    )
