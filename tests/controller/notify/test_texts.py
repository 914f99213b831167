"""What a woken person reads, whole: the machine tells, and each text is approved by eye.

After a wanted change: `HEADGATE_GOLDEN=write pytest tests/controller/notify/test_texts.py`, and
read what `git diff` shows as somebody would who was asleep.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from controller.machine.actions import Background, Evidence, Incident, Moment, Notify, Origin
from controller.machine.environments.environment import Observed
from controller.notify import render
from tests.controller.machine.kit import sha, version
from tests.controller.machine.site import Site, running
from tests.validators.canary.test_tail import slowed
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

    def observe(self) -> Observed:
        seen = super().observe()
        origins = {
            n: Origin(commit=sha(f"c{n}"), author="Ada Lovelace", subject="Serve by two workers")
            for n in self.versions
        }
        servers = tuple(
            one if one.ready else one.model_copy(update={"detail": self.log})
            for one in seen.deployed.servers
        )
        deployed = seen.deployed.model_copy(update={"servers": servers})
        return seen.model_copy(update={"origins": origins, "deployed": deployed})


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
        one.turn(10.0)
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
    one.say("rollback", by="ada", reason="it smells")
    one.run(80)
    return one


def back_by_hand() -> Told:
    one = running(told(), 1, 2)
    one.say("rollback", by="ada", reason="it smells")
    one.run(10)
    return one


def refused() -> Told:
    one = rolled_back()
    one.release(2)
    one.run(3)
    return one


def no_way_back() -> Told:
    one = running(told(), 1)
    one.say("rollback", by="ada")
    one.run(3)
    return one


def before_any_traffic() -> Told:
    one = running(told(), 1)
    one.never_ready = {2}
    one.release(2)
    one.run(3)
    one.say("rollback", by="ada", reason="it was pushed by mistake")
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
    "git-refuses": git_refuses,
}


def page(notify: Notify) -> str:
    """One notification as it is sent."""
    incident = notify.incident.model_copy(update={"controller": "deploy-1"})
    level = render.level(incident, notify.status)
    subject = render.subject(incident, notify.status)
    return f"[{level}] {subject}\n\n{render.text(incident, notify.status, notify.alert)}"


@pytest.mark.parametrize("name", STORIES)
def test_what_is_told_reads_as_it_was_approved(name: str) -> None:
    one = STORIES[name]()
    promoted = name == "brought-back-by-hand"
    pages = [page(n) for n in one.told if promoted or n.event != "promoted"]
    text = f"{'-' * 80}\n".join(pages[-2:])
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("HEADGATE_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_a_p99_that_is_within_its_limit_and_rolled_back_names_the_tail() -> None:
    (rollback,) = [
        n.incident for n in slow().told if n.event == "rollback" and n.status == "firing"
    ]
    (line,) = rollback.evidence
    assert line.note.startswith("slower beyond p99.9: ")
    assert "latency_p99 (beyond p99.9)" in rollback.what
    assert rollback.background is not None
    assert "answers of the canary took longer than" in rollback.background.hurt


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
    assert "**Callers hurt:** 14 of 412 requests failed" in said
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
        evidence=(Evidence(signal=long, observed=long, note=long),),
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
