"""Steps whose results may be reused only for a while, or never."""

from typing import Any

import pytest

from controller.machine.core import parsed
from controller.machine.messages import StartRun
from controller.machine.pipelines.plan import forecast
from controller.machine.runs.reasons import EarlierRun
from controller.machine.runs.run import CachedResult, Run, Trigger
from tests.controller.machine.kit import fields, sha
from tests.controller.machine.lab import Lab, lab
from tests.controller.machine.team import Team, began

NEVER = ("steps.train.cache", "never")
A_DAY = ("steps.train.cache", {"for": "24h"})
DAY = 86_400.0


def again(first: Lab, *changes: tuple[str, Any], after: float, fresh: bool = False) -> Lab:
    """A later run with the cache of the first one."""
    later = lab(*changes, cache=first.cache, now=first.now + after)
    start = later.inbox[0].message
    assert isinstance(start, StartRun)
    run = start.run.model_copy(update={"fresh": fresh})
    later.inbox[0] = later.inbox[0].model_copy(update={"message": StartRun(run=run)})
    return later


@pytest.mark.parametrize(
    ("policy", "after", "ran"),
    [
        (NEVER, 0.0, ["train"]),
        (A_DAY, DAY - 60.0, []),
        (A_DAY, DAY + 60.0, ["train"]),
        (("steps.train.cache", "always"), 100 * DAY, []),
    ],
)
def test_a_result_is_reused_for_as_long_as_its_policy_allows(
    policy: tuple[str, Any], after: float, ran: list[str]
) -> None:
    first = lab(policy)
    first.finish(dt=1.0)
    later = again(first, policy, after=after)
    later.finish(dt=1.0)
    assert later.order == ran  # it made the same, so what reads it is cached
    assert later.run.outcome == "passed"


def test_the_keys_after_a_step_that_always_runs_depend_on_the_content_of_its_result() -> None:
    first = lab(NEVER)
    first.finish(dt=1.0)
    later = again(first, NEVER, after=1.0)
    later.contents = lambda attempt, output: f"sha256:other {attempt.node} {output}"
    later.finish(dt=1.0)
    assert later.order == ["train", "evaluate", "gate.model"]


def test_a_fresh_run_runs_everything_and_caches_its_results() -> None:
    first = lab()
    first.finish(dt=1.0)
    made = {hit.made for hit in first.cache.values()}
    fresh = again(first, after=1.0, fresh=True)
    fresh.finish(dt=1.0)
    assert fresh.order == ["gate.data.numbers", "train", "evaluate", "gate.model"]
    assert {hit.made for hit in fresh.cache.values()}.isdisjoint(made)


def test_an_undated_result_of_an_older_controller_is_too_old_for_an_age_limit() -> None:
    old = parsed(CachedResult, {"run": "mean-1", "outputs": {}, "verdict": None, "seconds": 2.0})
    assert old.is_reusable(None, 1e9)
    assert not old.is_reusable(DAY, 1e9)


def test_reuse_does_not_make_a_result_younger() -> None:
    first = lab(A_DAY)
    first.finish(dt=1.0)
    made = first.run.nodes["train"].made
    later = again(first, A_DAY, after=DAY / 2)
    later.finish(dt=1.0)
    assert later.run.nodes["train"].made == made
    assert fields(later.messages[-1])["stale_at"] == made + DAY  # type: ignore[operator]  # it ran


@pytest.mark.parametrize(("policy", "runs"), [((), 1), ((NEVER,), 2), ((A_DAY,), 1)])
def test_a_schedule_starts_a_run_only_if_some_result_may_not_be_reused(
    policy: tuple[tuple[str, Any], ...], runs: int
) -> None:
    team = scheduled(*policy)
    due(team)
    assert len(team.runs) == runs


def test_the_next_schedule_after_a_result_became_too_old_starts_a_run() -> None:
    team = scheduled(A_DAY)
    due(team)
    assert list(team.runs) == ["mean-1"]
    team.turn(DAY)
    due(team)
    assert team.last_run.trigger == Trigger(
        kind="schedule", why="the schedule was due at 2026-01-05T04:00:00+00:00"
    )


def test_a_commit_that_changes_nothing_starts_no_run_even_so() -> None:
    team = scheduled(NEVER)
    team.push("c2", NEVER, README__md="better words")
    team.turn()
    assert list(team.runs) == ["mean-1"]


def test_a_commit_before_the_scheduled_run_begins_does_not_cancel_the_schedule() -> None:
    team = scheduled(NEVER)
    team.say("schedule_due", {"at": "2026-01-05T04:00:00+00:00"})
    team.push("c2", NEVER, README__md="better words")
    team.turn()
    assert team.last_run.commit == sha("c2")


def test_a_person_may_ask_for_a_fresh_run() -> None:
    team = began()
    body = {"kind": "manual", "why": "ada asked", "fresh": True}
    team.say("run_requested", body)
    team.turn()
    assert team.last_run.fresh
    assert not team.runs["mean-1"].fresh
    record = team.runs["mean-1"].plain()
    del record["fresh"]  # as an older controller wrote it
    assert not parsed(Run, record).fresh


def test_a_plan_says_which_steps_always_run() -> None:
    first = lab(NEVER)
    first.finish(dt=1.0)
    earlier = EarlierRun(run="mean-1", graph=first.graph, datasets=first.datasets)
    hits = first.cache
    wanted: frozenset[str] = frozenset()
    cache: dict[str, CachedResult | None] = {}
    while True:
        planned, wanted = forecast(first.graph, first.datasets, cache, earlier, first.now)
        if not wanted:
            break
        cache |= {key: hits.get(key) for key in wanted}
    train = next(one for one in planned if one.name == "train")
    assert (train.what, train.reasons) == ("run", ("it runs in every run",))


def scheduled(*policy: tuple[str, Any]) -> Team:
    """A team whose run passed and said until when its results may be reused."""
    team = Team()
    team.push("c1", *policy)
    team.turn()
    team.turn(30.0)
    team.end(stale_at=team.now if NEVER in policy else team.now + DAY if policy else None)
    team.turn()
    return team


def due(team: Team) -> None:
    team.say("schedule_due", {"at": "2026-01-05T04:00:00+00:00"})
    team.turn()
