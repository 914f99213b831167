"""The table of alerts: what each says, how urgent it is, and how it ends."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from controller.notify.render import level
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running


class Life(NamedTuple):
    """One kind of alert of `mean/production`."""

    alert: str
    level: str
    begin: Callable[[Site], None]
    """From v1 in production."""
    end: Callable[[Site], None]


def release(site: Site, times: int) -> None:
    site.release(2)
    site.run(times)


def rolls_back(site: Site) -> None:
    site.faulty = {2}
    site.release(2)
    while not site.alerts("firing"):
        site.reconcile()


def does_not_start(site: Site) -> None:
    site.never_ready = {2}
    release(site, 80)


def next_is_good(site: Site) -> None:
    running(site, 3)


def is_held(site: Site) -> None:
    site.load = 0
    release(site, 70)


def is_decided(site: Site) -> None:
    site.send("promote", by="ada")
    site.run(4)


def is_overtaken(site: Site) -> None:
    site.load = 20
    running(site, 3)


def disk_is_full(site: Site) -> None:
    site.refuses_deploys = True
    release(site, 5)


def disk_is_mended(site: Site) -> None:
    site.refuses_deploys = False
    site.send("retry", by="ada")
    site.run(20)


def machine_restarts(site: Site) -> None:
    site.ready.clear()
    site.deployed = None
    site.refuses_deploys = True
    site.run(5)


def deploys_again(site: Site) -> None:
    site.refuses_deploys = False
    site.run(70)


def git_refuses(site: Site) -> None:
    site.writes = "is refused"
    release(site, 20)


def git_is_mended(site: Site) -> None:
    site.writes = "works"
    site.send("retry", by="ada")
    site.run(5)


def stable_hangs(site: Site) -> None:
    site.never_ready = {1}
    site.run(40)


def stable_answers(site: Site) -> None:
    site.never_ready = set()
    site.run(3)


def wants_back(site: Site) -> None:
    site.send("rollback", by="ada")
    site.now = float(int(site.now))
    site.run(1)


def asks_for_approval(site: Site) -> None:
    asks = version(2, ("release.production.approval", "pull-request"))
    site.versions = {**site.versions, 2: asks}
    release(site, 3)


def is_approved(site: Site) -> None:
    site.send("approve", by="ada")
    site.run(20)


def wait_a_little(site: Site) -> None:
    site.run(5)


LIVES = {
    "rollback": Life("rollback/mean-production-2", "warning", rolls_back, wait_a_little),
    "failed to start": Life(
        "gate_failed/mean-production-2", "warning", does_not_start, next_is_good
    ),
    "held": Life("stuck/mean-production-2", "critical", is_held, is_decided),
    "held, and overtaken": Life("stuck/mean-production-2", "critical", is_held, is_overtaken),
    "stuck": Life("stuck/stable", "critical", stable_hangs, stable_answers),
    "cannot be brought up": Life(
        "stuck/mean-production-2", "critical", disk_is_full, disk_is_mended
    ),
    "cannot be deployed": Life("stuck/deploy", "critical", machine_restarts, deploys_again),
    "refused by git": Life("stuck/write_environment", "critical", git_refuses, git_is_mended),
    "refused": Life("refused/rollback/", "critical", wants_back, next_is_good),
    "waits": Life("approval_needed/mean-production-2", "critical", asks_for_approval, is_approved),
}


@pytest.mark.parametrize("kind", LIVES)
def test_an_alert_is_open_for_as_long_as_what_it_says_is_so(kind: str) -> None:
    site = running(Site({n: version(n) for n in range(1, 6)}), 1)
    life = LIVES[kind]
    life.begin(site)
    (fired,) = [n for n in site.notified if n.status == "firing"]
    assert fired.alert.startswith(f"mean/production/{life.alert}")
    assert level(fired.incident, "firing") == life.level
    assert list(site.env.alerts) == [fired.alert]
    life.end(site)
    first, *rest = [n for n in site.notified if n.alert == fired.alert]
    assert first == fired
    (resolved,) = rest
    assert resolved.status == "resolved"
    assert resolved.to == fired.to, "to whom was told of its beginning"
    assert not resolved.incident.needs_human
    assert not site.env.alerts
    assert not site.env.notified
