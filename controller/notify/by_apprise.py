"""Notifications through Apprise: chats, mail, pagers and webhooks, each addressed by a URL.

Pagers that can resolve an alert (PagerDuty, incident.io, iLert, GoAlert, Squadcast, FireHydrant,
SIGNL4, PagerTree, Splunk On-Call) get the alert's name as their key, so that one alert is one page
and is resolved there. Notifications with status `info` are not sent to them, as each would open a
page that nothing resolves. Webhooks (`json://`, `form://`, `xml://`) get `alert`, `status` and
`level` as fields. All others get a message that starts with `Resolved:`.
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
"""Seconds for one service; the notifying object is not reconciled meanwhile."""
LONGEST_KEY = 200
"""Characters of an alert key that every pager accepts."""

_REFUSED = {400, 401, 403, 404, 405, 410, 413, 422}
"""HTTP statuses that a retry of the same request would get again."""
_STATUS = re.compile(r"\berror=(\d{3})\b")
"""How Apprise's services log a refusal; the rest of the line may contain parts of the address."""

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
            f"cannot notify {scheme}://...: it is not the address of a service that Apprise knows; "
            "see `apprise --details` for the form of each"
        )
    if status == "info" and _key_argument(service):
        log.info(
            "pagers are not sent notifications that are no alerts",
            alert=alert,
            to=f"{scheme}://...",
        )
        return
    title, body, form = _said(service, incident, status, alert)
    apprise = Apprise(service, asset=_asset())
    result = apprise.notify(body, title, notify_type=_kind(incident, status), body_format=form)
    if not result:
        raise _failure(f"{service.service_name} ({scheme}://...)", result)


def _service(url: str, alert: str) -> Any:
    """The service at `url`, set up to resolve the alert that it fired if it can do so.

    None if Apprise knows no such service. Untyped, as each service has its own attributes.
    """
    from apprise import Apprise

    service: Any = Apprise.instantiate(url, asset=_asset())
    if service is None:
        return None
    name = _key_argument(service)
    if name is None:
        return service
    key = alert if len(alert) <= LONGEST_KEY else digest(alert.encode())
    given = service.parse_url(url)["qsd"]  # what the address sets explicitly is kept
    more = {k: v for k, v in ((name, key), ("action", "map")) if k not in given}
    mark = "&" if "?" in url else "?"
    return Apprise.instantiate(f"{url}{mark}{urlencode(more)}" if more else url, asset=_asset())


def _key_argument(service: Any) -> str | None:
    """The name of a pager's argument for the alert key; None for services without one."""
    if "map" not in service.template_args.get("action", {}).get("values", ()):
        return None
    return next((name for name in ("dedup", "entity_id") if name in service.template_args), None)


def _said(service: Any, incident: Incident, status: Status, alert: str) -> tuple[str, str, str]:
    """Title, body and body format, as it suits the service."""
    from apprise import NotifyFormat, OverflowMode

    service.overflow_mode = OverflowMode.TRUNCATE  # what matters most comes first
    title = render.subject(incident, status)
    text = render.text(incident, status, alert)
    if "payload" in service.template_kwargs:  # a webhook
        fields = render.as_json(incident, status, alert)
        if service.service_name != "JSON":  # forms and XML can only hold text
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
    """Why it was not delivered, without any part of the address."""
    lines = [entry.message for one in result.results for attempt in one for entry in attempt.logs]
    found = [int(code) for line in lines for code in _STATUS.findall(line)]
    if not found:
        return TryAgain(f"{name} could not be reached or did not accept the notification")
    if found[-1] in _REFUSED:
        return NeedsHuman(
            f"{name} refuses notifications with HTTP {found[-1]}; check its address in `notify`, "
            "and the secrets that it names"
        )
    return TryAgain(f"{name} answered HTTP {found[-1]}")


def _scheme(url: str) -> str:
    """The only part of an address that may be shown."""
    found = re.match(r"[a-z][a-z0-9]{0,20}(?=://)", url, re.IGNORECASE)
    return found[0] if found else "?"


@cache
def _asset() -> "AppriseAsset":
    """How Apprise presents itself. Its own logging is silenced, as it may contain addresses."""
    from apprise import AppriseAsset

    logger = logging.getLogger("apprise")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it logs paths, including tokens
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
