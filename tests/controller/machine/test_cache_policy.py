"""Results that do not stand for ever: what runs again though nothing that it reads has changed."""

from typing import Any

import pytest

from controller.machine.core import parsed
from controller.machine.messages import StartRun
from controller.machine.runs.plan import forecast
from controller.machine.runs.reasons import Earlier
from controller.machine.runs.run import CachedResult, Run, Trigger
from tests.controller.machine.kit import fields, sha
from tests.controller.machine.lab import Lab, lab
from tests.controller.machine.team import Team, began

NEVER = ("steps.train.cache", "never")
A_DAY = ("steps.train.cache", {"for": "24h"})
DAY = 86_400.0


def again(first: Lab, *changes: tuple[str, Any], after: float, fresh: bool = False) -> Lab:
    """A later run with what the first one left in the cache."""
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
def test_a_result_is_reused_as_long_as_it_stands(
    policy: tuple[str, Any], after: float, ran: list[str]
) -> None:
    first = lab(policy)
    first.finish(dt=1.0)
    later = again(first, policy, after=after)
    later.finish(dt=1.0)
    assert later.order == ran  # it made the same, so what reads it is cached
    assert later.run.outcome == "passed"


def test_what_reads_a_step_that_always_runs_goes_by_its_content() -> None:
    first = lab(NEVER)
    first.finish(dt=1.0)
    later = again(first, NEVER, after=1.0)
    later.contents = lambda attempt, output: f"sha256:other {attempt.node} {output}"
    later.finish(dt=1.0)
    assert later.order == ["train", "evaluate", "gate.model"]


def test_a_run_without_the_cache_runs_everything_and_leaves_its_results_there() -> None:
    first = lab()
    first.finish(dt=1.0)
    made = {hit.made for hit in first.cache.values()}
    fresh = again(first, after=1.0, fresh=True)
    fresh.finish(dt=1.0)
    assert fresh.order == ["gate.data.numbers", "train", "evaluate", "gate.model"]
    assert {hit.made for hit in fresh.cache.values()}.isdisjoint(made)


def test_a_result_of_an_older_controller_is_too_old_where_age_counts() -> None:
    old = parsed(CachedResult, {"run": "mean-1", "outputs": {}, "verdict": None, "seconds": 2.0})
    assert old.counts(None, 1e9)
    assert not old.counts(DAY, 1e9)


def test_a_cached_result_keeps_the_age_that_it_had() -> None:
    first = lab(A_DAY)
    first.finish(dt=1.0)
    made = first.run.nodes["train"].made
    later = again(first, A_DAY, after=DAY / 2)
    later.finish(dt=1.0)
    assert later.run.nodes["train"].made == made
    assert fields(later.messages[-1])["stale_at"] == made + DAY  # type: ignore[operator]  # it ran


@pytest.mark.parametrize(("policy", "runs"), [((), 1), ((NEVER,), 2), ((A_DAY,), 1)])
def test_a_schedule_runs_what_may_end_otherwise_and_nothing_else(
    policy: tuple[tuple[str, Any], ...], runs: int
) -> None:
    team = scheduled(*policy)
    due(team)
    assert len(team.runs) == runs


def test_a_result_that_got_too_old_makes_the_next_schedule_run() -> None:
    team = scheduled(A_DAY)
    due(team)
    assert list(team.runs) == ["mean-1"]
    team.turn(DAY)
    due(team)
    assert team.last_run.trigger == Trigger(
        kind="schedule", why="the schedule was due at 2026-01-05T04:00:00+00:00"
    )


def test_a_commit_that_changes_nothing_still_runs_nothing() -> None:
    team = scheduled(NEVER)
    team.push("c2", NEVER, README__md="better words")
    team.turn()
    assert list(team.runs) == ["mean-1"]


def test_a_schedule_still_counts_where_a_commit_comes_before_its_run_begins() -> None:
    team = scheduled(NEVER)
    team.say("schedule_due", {"at": "2026-01-05T04:00:00+00:00"})
    team.push("c2", NEVER, README__md="better words")
    team.turn()
    assert team.last_run.commit == sha("c2")


def test_a_person_may_ask_for_everything_anew() -> None:
    team = began()
    body = {"kind": "manual", "why": "ada asked", "fresh": True}
    team.say("run_requested", body)
    team.turn()
    assert team.last_run.fresh
    assert not team.runs["mean-1"].fresh
    record = team.runs["mean-1"].plain()
    del record["fresh"]  # as an older controller wrote it
    assert not parsed(Run, record).fresh


def test_a_plan_says_what_runs_whatever_is_cached() -> None:
    first = lab(NEVER)
    first.finish(dt=1.0)
    earlier = Earlier(run="mean-1", graph=first.graph, datasets=first.datasets)
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
    """A team whose run passed, with what it said of how long its results stand."""
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
