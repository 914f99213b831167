"""The full texts of notifications, as the machines produce them, reviewed by a person.

After a wanted change: `HEADGATE_GOLDEN=write pytest tests/controller/notify/test_texts.py`, and
read `git diff` like somebody who was just woken up.
"""

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from controller.cli import main
from controller.machine import stall
from controller.machine.actions import (
    Background,
    Incident,
    Moment,
    Notify,
    Origin,
    Propose,
    SignalEvidence,
)
from controller.machine.core import InboxMessage, Key
from controller.machine.environments.environment import ObservedEnvironment
from controller.machine.messages import Recovered, Stalled
from controller.notify import render
from controller.notify.protocol import Status
from controller.notify.save_monitor import ALERT
from controller.notify.save_monitor import incident as saving
from deployers.protocol import Deployed, Silence
from tests.controller.machine.kit import sha, version
from tests.controller.machine.site import Site, running
from tests.validators.canary.test_latency_tail import slowed
from tests.validators.canary.traffic import history

GOLDEN = Path(__file__).parent / "golden"
ON = ("rollback", "gate_failed", "stuck", "promoted", "run_failed", "approval_needed", "refused")
EVERYTHING = [{"to": "json://on-call", "on": list(ON)}]
CANARY = {
    "steps": ["50%"],
    "signals": {"errors": {"not_worse_by": "0.5%"}, "latency_p99": {"not_worse_by": "20%"}},
    "minimum_bake": "2s",
}


@dataclass
class Told(Site):
    """A site whose versions come of commits that are known, and differ."""

    log: str = ""
    """What the end of a server's log says that does not get ready."""
    hung: bool = False
    """Whether what is alive and not ready hangs."""
    hung_router: str = ""
    """How long the router has answered nobody."""
    proposes: bool = False
    """Whether an approval is asked for by a pull request."""

    def observe(self) -> ObservedEnvironment:
        seen = super().observe()
        origins = {
            n: Origin(commit=sha(f"c{n}"), author="Ada Lovelace", subject="Serve by two workers")
            for n in self.needs(seen.branch).origins
        }
        servers = tuple(
            one if one.ready else one.model_copy(update={"detail": self.log, "hung": self.hung})
            for one in seen.deployed.servers
        )
        deployed = seen.deployed.model_copy(update={"servers": servers})
        if self.hung_router:
            silent = {"servers": servers, "hung_router": self.hung_router}
            deployed = Deployed.model_validate(silent)
        more = {"origins": origins, "deployed": deployed, "proposes": self.proposes}
        return seen.model_copy(update=more)


def told(name: str = "production", **changes: Any) -> Told:
    more = [(path.replace("__", "."), value) for path, value in changes.items()]
    known = {
        n: version(n, ("params", {"depth": 5 + n, "unused": 1}), ("notify", EVERYTHING), *more)
        for n in range(1, 6)
    }
    return Told(known, name=name, now=1_764_428_400.0)


def rolled_back() -> Told:
    one = running(told(), 1)
    one.faulty = {2}
    one.release(2)
    one.run(20)
    return one


@cache
def slow() -> Told:
    """p99 itself is within its limit: what convicts is further out."""
    signals = {"latency_p99": {"not_worse_by": "20%"}}
    limits = {"steps": ["20%"], "signals": signals, "deadline": "30m", "minimum_bake": "20m"}
    one = running(told(release__production__canary=limits), 1)
    one.load = 0
    began = one.now + 3.0
    one.exchanges = [each._replace(at=one.now + each.at) for each in history()]
    one.exchanges = [each._replace(seq=n) for n, each in enumerate(one.exchanges)]
    coming = [each._replace(at=began + each.at) for each in slowed(0.004, 50.0)]
    one.release(2)
    one.run(3)
    while one.env.rollout is not None and coming:
        due = [each for each in coming if each.at <= one.now + 10.0]
        coming = coming[len(due) :]
        one.exchanges += [each._replace(seq=len(one.exchanges) + n) for n, each in enumerate(due)]
        one.reconcile(10.0)
    one.run(3)
    return one


def did_not_start() -> Told:
    one = running(told(), 1)
    one.never_ready = {2}
    one.log = "it ended 6 times; the last time: exit code 1; its log ends:\nno module named xgb"
    one.release(2)
    one.run(80)
    return one


def nothing_before() -> Told:
    one = told()
    one.never_ready = {1}
    one.log = "it ended once; the last time: exit code 1; it wrote no log"
    one.release(1)
    one.run(80)
    return one


def held() -> Told:
    """Two requests a second show nothing of half a per cent within the deadline."""
    one = running(told(release__production__canary={**CANARY, "deadline": "1m"}), 1)
    one.load = 2
    one.release(2)
    one.run(70)
    return one


def staging() -> Told:
    one = told("staging")
    one.fails_smoke = {1}
    one.release(1)
    one.run(10)
    return one


def cannot_be_brought_up() -> Told:
    one = running(told(), 1)
    one.refuses_deploys = True
    one.release(2)
    one.run(5)
    return one


def cannot_go_back() -> Told:
    one = running(told(), 1, 2)
    one.never_ready = {1}
    one.log = "/healthz answered 503"
    one.send("rollback", by="ada", reason="it smells")
    one.run(80)
    return one


def back_by_hand() -> Told:
    one = running(told(), 1, 2)
    one.send("rollback", by="ada", reason="it smells")
    one.run(10)
    return one


def refused() -> Told:
    one = rolled_back()
    one.release(2)
    one.run(3)
    return one


def no_way_back() -> Told:
    one = running(told(), 1)
    one.send("rollback", by="ada")
    one.run(3)
    return one


def before_any_traffic() -> Told:
    one = running(told(), 1)
    one.never_ready = {2}
    one.release(2)
    one.run(3)
    one.send("rollback", by="ada", reason="it was pushed by mistake")
    one.run(3)
    return one


def approval() -> Told:
    one = running(told(), 1)
    asks = ("release.production.approval", "pull-request")
    one.versions = {**one.versions, 2: version(2, ("notify", EVERYTHING), asks)}
    one.release(2)
    one.run(3)
    return one


def git_refuses() -> Told:
    one = told()
    one.writes = "is refused"
    one.release(1)
    one.run(10)
    return one


def declined_to_open() -> Told:
    """GitHub does not take the pull request that asks for an approval."""
    one = running(told(), 1)
    asks = ("release.production.approval", "pull-request")
    one.versions = {**one.versions, 2: version(2, ("notify", EVERYTHING), asks)}
    one.proposes = True
    one.release(2)
    asked = [action for _ in range(2) for action in one.reconcile().actions]
    (proposal,) = (action for action in asked if isinstance(action, Propose))
    one.send("action_failed", action=proposal.plain(), reason="GitHub answered 403")
    one.run(2)
    return one


def unwatched() -> Told:
    """The controller died under a canary that was well, and is back."""
    one = running(told(), 1)
    one.release(2)
    while one.env.rollout is None or one.env.rollout.step < 0:
        one.reconcile()
    one.now += 1
    one._live()
    one.now += 300
    one.silence = Silence(since=one.now - 270, limit=30.0)
    one.reconcile()
    return one


def turned_bad_unwatched() -> Told:
    """The same, and the canary failed before the router took its traffic away."""
    one = running(told(), 1)
    one.release(2)
    while one.env.rollout is None or one.env.rollout.step < 0:
        one.reconcile()
    one.faulty, one.load = {2}, 200
    one.now += 1
    one._live()
    one.now += 300
    one.silence = Silence(since=one.now - 270, limit=30.0)
    one.run(5)
    return one


def hung() -> Told:
    one = running(told(), 1, 2)
    one.never_ready, one.hung = {2}, True
    one.log = (
        "/healthz was not answered within 2 s; nothing was answered for 31 s; it is restarted "
        "after 30 s"
    )
    one.run(2)
    one.never_ready = set()
    one.run(3)
    return one


def hung_router() -> Told:
    one = running(told(), 1, 2)
    one.hung_router = "nothing was answered for 16 s; it is restarted after 15 s"
    one.run(2)
    one.hung_router = ""
    one.run(2)
    return one


def branch_deleted() -> Told:
    one = running(told(), 1)
    one.push_over(0)
    one.run(3)
    return one


def state_lost() -> Told:
    one = rolled_back()
    one.lose_the_state()
    one.run(3)
    return one


def state_lost_for_good() -> Told:
    one = running(told(), 1)
    one.lacking = {1: "its artifact is not in the store"}
    one.lose_the_state()
    one.run(3)
    return one


def lifted_by_hand() -> Told:
    one = rolled_back()
    one.edit(version=1, lifts=True)
    one.run(3)
    return one


STORIES: Mapping[str, Callable[[], Told]] = {
    "rolled-back": rolled_back,
    "rolled-back-slow": slow,
    "rolled-back-before-traffic": before_any_traffic,
    "did-not-start": did_not_start,
    "did-not-start-first": nothing_before,
    "held": held,
    "failed-in-staging": staging,
    "cannot-be-brought-up": cannot_be_brought_up,
    "cannot-go-back": cannot_go_back,
    "brought-back-by-hand": back_by_hand,
    "refused-release": refused,
    "refused-rollback": no_way_back,
    "approval": approval,
    "approval-without-pull-request": declined_to_open,
    "git-refuses": git_refuses,
    "unwatched": unwatched,
    "turned-bad-unwatched": turned_bad_unwatched,
    "hung": hung,
    "hung-router": hung_router,
    "branch-deleted": branch_deleted,
    "state-lost": state_lost,
    "state-lost-for-good": state_lost_for_good,
    "lifted-by-hand": lifted_by_hand,
}


def cannot_save() -> list[Notify]:
    """The disk is full, and then is not; told past the state by `SaveMonitor`."""
    reason = "The state cannot be written: the disk is full. Make room on it."
    told: Sequence[tuple[Status, Incident]] = (
        ("firing", saving(reason, over=False)),
        ("resolved", saving(reason, over=True)),
    )
    return [
        Notify(event="stuck", status=status, alert=ALERT, to=None, incident=incident)
        for status, incident in told
    ]


def no_way_in() -> list[Notify]:
    """A repository that cannot be read, and then can."""
    of, key = "repository/team", Key("stall", "repository/team")
    state, said = None, []
    reason = "git cannot read the repository: the token was refused. Renew it."
    for number, message in enumerate((Stalled(reason=reason, since=0.0), Recovered())):
        told = InboxMessage(
            number=number, to=key, id=str(number), message=message, at=float(number)
        )
        decision = stall.decide(of, state, stall.ObservedStall(repository="team"), [told])
        state = decision.state
        said += [action for action in decision.actions if isinstance(action, Notify)]
    return said


OTHERS: Mapping[str, Callable[[], list[Notify]]] = {
    "cannot-save": cannot_save,
    "repository-unreadable": no_way_in,
}


def page(notify: Notify) -> str:
    """One notification as it is sent."""
    incident = notify.incident.model_copy(update={"controller": "deploy-1"})
    level = render.level(incident, notify.status)
    subject = render.subject(incident, notify.status)
    return f"[{level}] {subject}\n\n{render.text(incident, notify.status, notify.alert)}"


def heard(name: str) -> list[Notify]:
    """The last that is told in a story."""
    if name in OTHERS:
        return OTHERS[name]()
    promoted = name == "brought-back-by-hand"
    return [n for n in STORIES[name]().notified if promoted or n.event != "promoted"][-2:]


EVERY = (*STORIES, *OTHERS)


@pytest.mark.parametrize("name", EVERY)
def test_every_command_that_is_offered_is_one_when_it_is_typed(name: str) -> None:
    for notify in heard(name):
        incident = notify.incident
        typed = re.findall(r"`(headgate [^`]*[^`-])`", incident.what)
        for line in (*incident.commands, *typed):
            program, command, *arguments = shlex.split(line)
            assert program == "headgate"
            with click.Context(main) as above:
                found = main.get_command(above, command)
            assert found is not None, line
            with found.make_context(command, arguments):  # it takes these arguments
                pass


@pytest.mark.parametrize("name", EVERY)
def test_what_is_told_reads_as_it_was_approved(name: str) -> None:
    text = f"{'-' * 80}\n".join(map(page, heard(name)))
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("HEADGATE_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_a_p99_that_is_within_its_limit_and_rolled_back_names_the_tail() -> None:
    (rollback,) = [
        n.incident for n in slow().notified if n.event == "rollback" and n.status == "firing"
    ]
    (line,) = rollback.evidence
    assert line.note.startswith("slower beyond p99.9: ")
    assert "latency_p99 (beyond p99.9)" in rollback.what
    assert rollback.background is not None
    assert "of the canary's answers took longer than" in rollback.background.hurt


def test_markdown_has_the_same_facts_and_no_mention_or_link_of_others() -> None:
    hostile = "@everyone <http://evil> [x](y) `rm -rf`"
    incident = Incident(
        pipeline="mean",
        title="mean: production rolled back v2",
        what="It was bad.",
        background=Background(
            rollout="mean-production-2",
            origin=Origin(commit=sha("c2"), author=hostile, subject=hostile),
            because=hostile,
            since=(Moment(what="canary began", at=0.0), Moment(what="rolled back", at=86_400.0)),
            hurt="14 of 412 requests failed",
            beside="v1 (ab)",
            differs=(hostile,),
        ),
        controller=hostile,
    )
    said = render.markdown(incident, "firing", "a")
    assert "**Impact:** 14 of 412 requests failed" in said
    assert "canary began 1970-01-01 00:00:00 UTC, rolled back 1970-01-02 00:00:00" in said
    for dangerous in ("@everyone", "<http", "](y)", "`rm"):
        assert dangerous not in said


def test_every_part_is_bounded_whatever_a_commit_says() -> None:
    long = "x" * 10_000
    incident = Incident(
        pipeline="mean",
        title=long,
        what=long,
        now=long,
        evidence=(SignalEvidence(signal=long, observed=long, note=long),),
        background=Background(
            rollout="mean-production-2",
            origin=Origin(commit=sha("c2"), author=long, subject=long),
            because=long,
            hurt=long,
            beside=long,
            differs=(long,) * 8,
        ),
        controller=long,
    )
    assert len(render.subject(incident, "firing")) <= 120
    assert len(render.text(incident, "firing", "a")) < 7_500
    assert len(render.markdown(incident, "firing", "a")) < 7_500
