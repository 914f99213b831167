"""How far a rollout is, in words that hold whatever the judge says."""

from typing import Any

import pytest

from controller.cli.terminal.views import environment_view
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running

STEPS = ("release.production.canary.steps", ["20%", "50%"])


def waiting(*, paused: bool, name: str = "production") -> Site:
    one = running(Site({n: version(n, STEPS) for n in (1, 2)}, name=name), 1)
    if paused:
        one.send("pause", by="ada")
    one.release(2)
    return one


def shown(one: Site) -> Any:
    return environment_view(one.env, one.versions[2]).rollout


def test_a_canary_that_the_judge_lets_pass_and_somebody_paused_is_said_to_be_paused() -> None:
    one = waiting(paused=True)
    one.run(20)
    assert one.env.rollout is not None
    assert one.env.rollout.judgement is not None
    assert one.env.rollout.judgement.decision == "promote"
    view = shown(one)
    assert view.headline.startswith("Paused by ada; continue with `headgate resume`. Every signal ")
    assert view.paused == "ada"


def test_a_canary_that_the_judge_lets_pass_at_its_first_weight_says_which_comes_next() -> None:
    one = waiting(paused=True)
    one.run(20)
    one.send("resume", by="ada")
    env = one.env.model_copy(update={"paused": None})  # as it is before the next look
    view = environment_view(env, one.versions[2]).rollout
    assert view is not None
    assert view.headline.startswith("Next step: 50 %. Every signal is shown to be within ")
    one.run(2)
    assert one.env.rollout is None or one.env.rollout.step == 1


@pytest.mark.parametrize("paused", [True, False])
def test_only_a_release_is_held_by_a_pause(paused: bool) -> None:
    one = running(Site({n: version(n, STEPS) for n in (1, 2)}), 1, 2)
    if paused:
        one.send("pause", by="ada")
    one.never_ready = {1}
    one.send("rollback", by="ada")
    one.run(3)
    view = environment_view(one.env, one.versions[1]).rollout
    assert view is not None
    assert view.paused is None


def test_a_canary_whose_traffic_cannot_be_read_says_why_it_is_not_judged() -> None:
    one = waiting(paused=False)
    while not (one.env.rollout and one.env.rollout.judgement):
        one.reconcile()
    rollout = one.env.rollout
    why = "Prometheus `default` has no samples of http_requests_total"
    blind = one.env.model_copy(update={"rollout": rollout.model_copy(update={"unheard": why})})
    view = environment_view(blind, one.versions[2]).rollout
    assert view is not None
    assert view.headline.startswith(f"Its requests are not known now: {why}. Waiting: ")
