"""One notification per address, through the real loop, store and webhooks."""

from collections.abc import Sequence
from typing import Literal

import pytest
from structlog.testing import capture_logs

from controller.config.secrets import Secrets
from controller.machine.actions import Incident, Notify, NotifyStatus
from controller.machine.core import Decision, Key, Message, Value
from controller.machine.decision_builder import DecisionBuilder
from controller.machine.messages import ActionFailed
from controller.notify import AppriseNotifier, NotifyApplier
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.reconciler import Reconciler
from controller.reconcile.workqueue import Backoff
from controller.store.protocol import Store
from specs.failures import NeedsHuman, TryAgain
from specs.notifications import Notification
from tests.contracts.notifier import INCIDENT
from tests.controller.notify.receivers import Webhook, webhook
from tests.controller.reconcile.toys import running, tell, toy, until

# Apprise's reader of PGP keys imports it, whatever service is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

KEY = Key("alarm", "flight-delay")


class Ring(Message):
    """To an alarm: tell those at the addresses."""

    type: Literal["ring"] = "ring"
    status: NotifyStatus
    to: tuple[str, ...]


class Alarm(Value):
    heard: tuple[str, ...] = ()


def alarm(everyone: Sequence[Notification]) -> Reconciler[Alarm, None]:
    """Notifies for each message, and writes down what fails for good."""

    def machine(
        _: Key, state: Alarm | None, inbox: Sequence[Message], __: float
    ) -> Decision[Alarm]:
        state, out = state or Alarm(), DecisionBuilder(everyone)
        for message in inbox:
            match message:
                case ActionFailed(reason=reason):
                    state = Alarm(heard=(*state.heard, reason))
                case Ring(status=status, to=to):
                    out.notify("rollback", status, "a/1", to, INCIDENT)
        return Decision(state=state, actions=tuple(out.actions))

    return toy(Alarm, machine, handles=(ActionFailed, Ring))


def notify(
    to: str | None, *, status: NotifyStatus = "firing", incident: Incident = INCIDENT
) -> Notify:
    return Notify(event="rollback", status=status, alert="a/1", to=to, incident=incident)


def loop_of(store: Store, everyone: Sequence[Notification] = (), **secrets: str) -> Loop:
    applier = NotifyApplier(AppriseNotifier(), Secrets(secrets))
    policy = RuntimePolicy(backoff=Backoff(first=0.01, most=0.02))
    reconcilers = {"alarm": alarm(everyone)}
    return Loop(store, reconcilers, {Notify: applier.apply}, policy=policy, listen=0.01)


def statuses(here: Webhook) -> list[str]:
    return [body["status"] for body in here.bodies]


async def test_a_failing_address_neither_delays_nor_repeats_the_others(store: Store) -> None:
    with webhook() as sick, webhook() as well:
        sick.answer = 500
        to = [f"json://127.0.0.1:{sick.port}/sick", f"json://127.0.0.1:{well.port}/well"]
        async with running(loop_of(store)):
            await tell(store, KEY, Ring(status="firing", to=tuple(to)))
            await until(lambda: well.bodies and len(sick.bodies) >= 3)
            await tell(store, KEY, Ring(status="resolved", to=tuple(to)))
            await until(lambda: len(well.bodies) == 2)
            assert set(statuses(sick)) == {"firing"}, "its resolve waits for its firing"
            tried = len(sick.bodies)
            sick.answer = 200
            await until(lambda: statuses(sick)[-1:] == ["resolved"])
        assert statuses(well) == ["firing", "resolved"]
        assert set(statuses(sick)[tried:-1]) == {"firing"}
        assert await store.outbox() == []


async def test_the_settings_addressees_are_told_of_every_pipeline_each_once(store: Store) -> None:
    with webhook() as theirs, webhook() as ours:
        spec = f"json://127.0.0.1:{theirs.port}/${{TOKEN}}"
        more = f"json://127.0.0.1:{ours.port}/"
        everyone = [
            Notification(to=more),
            Notification(to=spec),
            Notification(to=f"{more}promotions", on=("promoted",)),
        ]
        async with running(loop_of(store, everyone, TOKEN="s3cr3t")):
            await tell(store, KEY, Ring(status="firing", to=(spec,)))
            await until(lambda: theirs.bodies and ours.bodies)
        assert theirs.paths == ["/s3cr3t"]
        assert ours.paths == ["/"]


async def test_a_missing_secret_is_named_to_the_owner_and_the_others_are_told(store: Store) -> None:
    with webhook() as well:
        to = ["slack://tok-written-out/${SLACK}", f"json://127.0.0.1:{well.port}/"]
        async with running(loop_of(store)):
            await tell(store, KEY, Ring(status="firing", to=tuple(to)))

            async def heard() -> str:
                record = await store.get(KEY)
                return str(record.body["heard"]) if record else ""

            async def failed() -> bool:
                return "SLACK" in await heard()

            await until(failed)
            await until(lambda: well.bodies)
        said = await heard()
    assert "cannot notify slack://...: the secret SLACK is not set" in said
    assert "HEADGATE_SECRET_SLACK" in said
    assert "written-out" not in said


async def test_without_any_address_the_incident_is_in_the_log() -> None:
    applier = NotifyApplier(AppriseNotifier(), Secrets({}))
    with capture_logs() as logs:
        await applier.apply(KEY, notify(None))
    assert logs[0]["log_level"] == "warning"
    assert logs[0]["event"] == "flight-delay: production rolled back v5"
    assert "Serves now: v4 (cdcdcdcdcdcd)" in logs[0]["text"]
    assert "`notify`" in logs[0]["notified"]


async def test_good_news_that_nobody_is_told_is_one_line_in_the_log() -> None:
    applier = NotifyApplier(AppriseNotifier(), Secrets({}))
    with capture_logs() as logs:
        await applier.apply(KEY, notify(None, status="info"))
    assert logs[0]["log_level"] == "info"
    assert logs[0]["event"].startswith("flight-delay: ")
    assert "text" not in logs[0]


async def test_a_secret_in_an_incident_is_hidden_wherever_it_stands() -> None:
    leaky = INCIDENT.model_copy(
        update={"what": "password=hunter2!", "commands": ("curl -u ada:hunter2!",)}
    )
    with webhook() as here:
        applier = NotifyApplier(AppriseNotifier(), Secrets({"DB": "hunter2!"}))
        await applier.apply(KEY, notify(f"json://127.0.0.1:{here.port}/", incident=leaky))
    assert "hunter2" not in str(here.bodies)
    assert here.bodies[0]["incident"]["what"] == "password=***"


@pytest.mark.parametrize(
    ("to", "shown"), [("json://h/${NONE}", "json://..."), ("${NONE}", "?://...")]
)
async def test_of_an_address_only_the_scheme_is_shown(to: str, shown: str) -> None:
    with pytest.raises(NeedsHuman) as failure:
        await NotifyApplier(AppriseNotifier(), Secrets({})).apply(KEY, notify(to))
    assert str(failure.value).startswith(f"cannot notify {shown}: the secret NONE")


def test_an_alert_that_fires_again_is_enqueued_again_with_the_same_id_in_the_same_lane() -> None:
    one, other = notify("json://h/"), notify("json://h/", status="info")
    again = notify("json://h/")
    assert one.id_for(KEY) == again.id_for(KEY) != other.id_for(KEY)
    elsewhere = notify("json://g/")
    assert one.lane == other.lane != elsewhere.lane


async def test_what_is_sent_what_is_tried_again_and_what_fails_for_good_is_counted() -> None:
    applier = NotifyApplier(AppriseNotifier(), Secrets({}))
    with webhook() as here:
        to = f"json://127.0.0.1:{here.port}/"
        await applier.apply(KEY, notify(to))
        here.answer = 500
        with pytest.raises(TryAgain):
            await applier.apply(KEY, notify(to))
    with pytest.raises(NeedsHuman):
        await applier.apply(KEY, notify("json://h/${NONE}"))
    expected = {("rollback", "sent"): 1, ("rollback", "postponed"): 1, ("rollback", "failed"): 1}
    assert applier.counts == expected
