"""Apprise, against a real webhook and a real mail server."""

import socket
from collections.abc import AsyncIterator, Iterator
from email.message import EmailMessage
from io import StringIO

import pytest

from controller.notify import AppriseNotifier
from specs.failures import NeedsHuman, TryAgain
from tests.contracts.notifier import INCIDENT, SECRET, NotifierContract, log
from tests.controller.notify.receivers import Mailbox, Webhook, mailbox, webhook

__all__ = ["log"]  # a fixture of the contract

# Apprise's reader of PGP keys imports it, whatever service is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Hook:
    """A webhook, as a place."""

    def __init__(self, here: Webhook) -> None:
        self.here = here
        self.url = f"json://ada:{SECRET}@127.0.0.1:{here.port}/hooks/{SECRET}"

    def received(self) -> list[str]:
        return [f"{body['title']}\n{body['message']}" for body in self.here.bodies]

    def refuse(self) -> None:
        self.here.answer = 503


class Mail:
    """A mail server, as a place. It wants no password; the secret is in the sender's address."""

    def __init__(self, here: Mailbox) -> None:
        self.here = here
        sender = f"headgate-{SECRET}@example.org"
        self.url = f"mailto://127.0.0.1:{here.port}?from={sender}&to=ada@example.org"

    def received(self) -> list[str]:
        return [f"{mail['Subject']}\n{_plain(mail)}" for mail in self.here.mails]

    def refuse(self) -> None:
        self.here.answer = f"451 try again later, {SECRET}"


def _plain(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


@pytest.fixture
def notifier() -> AppriseNotifier:
    return AppriseNotifier()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with webhook() as here:
        yield Hook(here)


class TestWebhook(NotifierContract):
    @pytest.fixture
    def place(self, hook: Hook) -> Hook:
        return hook


class TestMail(NotifierContract):
    @pytest.fixture
    async def place(self) -> AsyncIterator[Mail]:
        async with mailbox() as here:
            yield Mail(here)


async def test_a_webhook_gets_every_field_for_programs(
    notifier: AppriseNotifier, hook: Hook
) -> None:
    await notifier.send(hook.url, INCIDENT, "resolved", "flight-delay/production/rollback/3")
    (body,) = hook.here.bodies
    assert body["alert"] == "flight-delay/production/rollback/3"
    assert body["status"] == "resolved"
    assert body["incident"] == INCIDENT.plain()
    assert body["type"] == "success"


async def test_pagerduty_gets_one_page_per_alert_and_its_resolve(
    notifier: AppriseNotifier, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins import pagerduty

    # PagerDuty's own address is the only thing of it that is not real here.
    monkeypatch.setitem(
        pagerduty.PAGERDUTY_API_LOOKUP, "us", f"http://127.0.0.1:{hook.here.port}/v2/enqueue"
    )
    for status in ("firing", "resolved"):
        await notifier.send("pagerduty://R0UT1NG@T0K3N", INCIDENT, status, "p/production/stuck/1")
    firing, resolved = hook.here.bodies
    assert (firing["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    assert firing["dedup_key"] == resolved["dedup_key"] == "p/production/stuck/1"
    assert firing["payload"]["severity"] == "warning"
    assert firing["payload"]["summary"].startswith(INCIDENT.title)
    assert len(firing["payload"]["summary"]) <= 1024
    details = firing["payload"]["custom_details"]
    assert details["alert"] == "p/production/stuck/1"
    assert details["status"] == "firing"
    assert "Serves now: v4" in details["text"]


async def test_a_page_is_critical_only_where_somebody_has_to_get_up(
    notifier: AppriseNotifier, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins import pagerduty

    monkeypatch.setitem(
        pagerduty.PAGERDUTY_API_LOOKUP, "us", f"http://127.0.0.1:{hook.here.port}/v2/enqueue"
    )
    for needs_human in (True, False):
        incident = INCIDENT.model_copy(update={"needs_human": needs_human})
        await notifier.send("pagerduty://R0UT1NG@T0K3N", incident, "firing", "a")
    assert [body["payload"]["severity"] for body in hook.here.bodies] == ["critical", "warning"]


async def test_a_pager_gets_no_info_notification_as_nothing_would_resolve_it(
    notifier: AppriseNotifier, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins import pagerduty

    monkeypatch.setitem(
        pagerduty.PAGERDUTY_API_LOOKUP, "us", f"http://127.0.0.1:{hook.here.port}/v2/enqueue"
    )
    await notifier.send("pagerduty://R0UT1NG@T0K3N", INCIDENT, "info", "a")
    assert hook.here.bodies == []
    await notifier.send(hook.url, INCIDENT, "info", "a")
    (body,) = hook.here.bodies
    assert (body["type"], body["level"]) == ("info", "info")


async def test_a_key_of_somebodys_own_in_the_address_stays(
    notifier: AppriseNotifier, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins import pagerduty

    monkeypatch.setitem(
        pagerduty.PAGERDUTY_API_LOOKUP, "us", f"http://127.0.0.1:{hook.here.port}/v2/enqueue"
    )
    await notifier.send("pagerduty://R0UT1NG@T0K3N?dedup=ours", INCIDENT, "firing", "a")
    assert hook.here.bodies[0]["dedup_key"] == "ours"


@pytest.mark.parametrize("answer", [401, 404, 422])
async def test_a_refusal_for_good_needs_a_human(
    notifier: AppriseNotifier, hook: Hook, answer: int
) -> None:
    hook.here.answer = answer
    with pytest.raises(NeedsHuman, match=f"HTTP {answer}") as failure:
        await notifier.send(hook.url, INCIDENT, "firing", "a")
    assert SECRET not in str(failure.value)


@pytest.mark.parametrize("answer", [429, 500, 503])
async def test_a_failing_server_is_tried_again(
    notifier: AppriseNotifier, hook: Hook, answer: int
) -> None:
    hook.here.answer = answer
    with pytest.raises(TryAgain, match=f"HTTP {answer}"):
        await notifier.send(hook.url, INCIDENT, "firing", "a")


async def test_where_nobody_listens_it_is_tried_again(notifier: AppriseNotifier) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        url = f"json://127.0.0.1:{taken.getsockname()[1]}/{SECRET}"
        with pytest.raises(TryAgain, match="could not be reached") as failure:
            await notifier.send(url, INCIDENT, "firing", "a")
    assert SECRET not in str(failure.value)


@pytest.mark.parametrize(
    "url", [f"carrier-pigeon://{SECRET}", f"pagerduty://{SECRET}", "json://", SECRET, ""]
)
async def test_an_address_of_no_service_needs_a_human(
    notifier: AppriseNotifier, url: str, log: StringIO
) -> None:
    with pytest.raises(NeedsHuman, match="not the address of a service") as failure:
        await notifier.send(url, INCIDENT, "firing", "a")
    assert SECRET not in str(failure.value)
    assert SECRET not in log.getvalue()


async def test_a_mail_is_plain_text_whatever_an_incident_holds(notifier: AppriseNotifier) -> None:
    hostile = INCIDENT.model_copy(update={"what": '<img src="http://x/"> & <b>bold</b>'})
    async with mailbox() as here:
        await notifier.send(Mail(here).url, hostile, "firing", "a")
    (mail,) = here.mails
    assert mail.get_body(("html",)) is None
    assert mail["Subject"] == INCIDENT.title
    assert '<img src="http://x/"> & <b>bold</b>' in _plain(mail)
