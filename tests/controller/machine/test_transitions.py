"""Each line of the table of transitions happens, and no other transition."""

from typing import Any, get_args

from controller.machine import stall
from controller.machine.core import Key
from controller.machine.environments.rollout import EndedRollout, Phase
from controller.machine.runs.attempt import AttemptState
from controller.machine.runs.run import NodePhase, Outcome
from controller.machine.stall import ObservedStall, Stall
from controller.machine.transitions import NEW, TRANSITIONS, diagram
from tests.controller.machine import observed_transitions
from tests.controller.machine.kit import message, version
from tests.controller.machine.lab import Lab, lab
from tests.controller.machine.site import Site, running
from tests.controller.machine.test_batch import site as batches
from tests.controller.machine.test_strategies import BLUE_GREEN
from validators.verdict import Verdict

APPROVAL = ("release.production.approval", "pull-request")
NO_CANARY = ("release.production.strategy", "direct")


def finished(one: Lab) -> Lab:
    one.finish(dt=60.0)
    return one


def play_runs() -> None:
    """Runs that pass, fail, are stopped, are cancelled, are retried, are all in the cache."""
    first = finished(lab())
    again = lab(cache=first.cache)
    again.reconcile()
    assert again.run.outcome == "passed"
    finished(lab(verdicts={"gate.model": Verdict.FAIL}))
    finished(lab(endings={"train": [AttemptState.FAILED]}))
    later = lab(
        ("steps.train.retries", 1),
        ("steps.train.backoff", "10s"),
        endings={"train": [AttemptState.FAILED]},
    )
    later.finish(dt=1.0)
    cancelled = lab()
    cancelled.reconcile()
    cancelled.send("cancel_run", {"reason": "ada"})
    cancelled.reconcile()
    assert cancelled.run.outcome == "cancelled"


def staging(*changes: object, **more: object) -> Site:
    return Site({n: version(n) for n in (1, 2, 3)}, name="staging", **more)  # type: ignore[arg-type]  # a story's own


def production(**more: object) -> Site:
    return Site({n: version(n) for n in (1, 2, 3)}, **more)  # type: ignore[arg-type]  # a story's own


def asking() -> Site:
    one = Site({n: version(n, APPROVAL) for n in (1, 2, 3)})
    one.release(1)
    one.run(3)
    return one


def released(one: Site, number: int, turns: int) -> Site:
    one.release(number)
    one.run(turns)
    return one


def play_releases() -> None:
    """Releases that are promoted, turn bad, fail to start, fail their smoke requests."""
    running(production(), 1, 2)
    running(production(faulty={2}), 1).release(2)
    released(running(production(faulty={2}), 1), 2, 60)
    released(production(never_ready={1}), 1, 130)
    running(staging(), 1)
    switched = Site({1: version(1), 2: version(2, *BLUE_GREEN)})
    released(running(switched, 1, 2), 1, 3)
    gone = staging()
    gone.release(1)
    while gone.state is None or gone.env.rollout is None or gone.env.rollout.ready is None:
        gone.reconcile()
    gone.ready.clear()
    gone.run(3)
    released(staging(fails_smoke={1}), 1, 12)


def play_words() -> None:
    """People abort, approve, roll back, and release something newer, at every point."""
    for turns in range(1, 12):
        for make in (production, staging):
            for word in ("abort", "rollback", "release"):
                one = make()
                if make is production:
                    running(one, 1)
                released(one, 2, turns)
                one.release(3) if word == "release" else one.send(word, by="ada")
                one.run(3)
    unready = running(production(), 1)
    unready.never_ready = {2}
    released(unready, 2, 3).send("rollback", by="ada")
    unready.run(3)
    for word in ("approve", "abort", "release"):
        one = asking()
        one.release(2) if word == "release" else one.send(word, by="ada")
        one.run(3)


def play_at_once() -> None:
    """Messages that come together, or while git does not accept the promotion's commit."""
    for word in ("abort", "rollback", "release"):
        one = running(production(), 1)
        one.release(2)
        one.release(3) if word == "release" else one.send(word, by="ada")
        one.run(3)
    for word in ("abort", "release"):
        one = running(production(), 1)
        one.writes = "is down"
        released(one, 2, 30)
        one.send("abort", by="ada") if word == "abort" else one.release(3)
        one.run(3)
    bad = running(production(), 1)
    bad.writes = "is down"
    released(bad, 2, 30)
    bad.faulty = {2}
    bad.run(60)
    gone = running(production(), 1)
    gone.writes, gone.refuses_deploys = "is down", False
    released(gone, 2, 30)
    gone.refuses_deploys = True
    gone.ready.clear()
    gone.run(5)


def play_batches() -> None:
    """Releases of a command, which start no server."""
    one = batches()
    one.release(1)
    one.run(8)
    staged = batches(name="staging")
    staged.release(1)
    staged.run(8)


def play_stalls() -> None:
    """An object that stalls, recovers, and stalls again."""
    state: Stall | None = None
    firing: dict[str, Any] = {"reason": "no answer", "since": 1.0}
    told: tuple[tuple[str, dict[str, Any]], ...]
    told = (("stalled", firing), ("recovered", {}), ("stalled", firing))
    for number, (type_, body) in enumerate(told):
        inbox = (message(number, Key("stall", "run/mean-1"), type_, body),)
        after = stall.decide("run/mean-1", state, ObservedStall(), inbox).state
        observed_transitions.watch_stall(state, after)
        state = after


def test_every_transition_of_the_table_happens_and_no_other() -> None:
    observed_transitions.SEEN.clear()
    play_runs()
    play_releases()
    play_words()
    play_at_once()
    play_batches()
    play_stalls()
    table = {
        (subject, one.before, one.after) for subject, lines in TRANSITIONS.items() for one in lines
    }
    assert table - observed_transitions.SEEN == set()


def states(subject: str) -> set[str]:
    lines = TRANSITIONS[subject]  # type: ignore[index]  # one of its keys
    return {state for one in lines for state in (one.before, one.after)} - {NEW}


def test_the_table_has_every_state_that_the_machines_know() -> None:
    outcomes = get_args(EndedRollout.model_fields["outcome"].annotation)
    assert states("node") == set(get_args(NodePhase))
    assert states("run") == set(get_args(Outcome))
    assert states("rollout") == {*get_args(Phase), *outcomes}


def test_a_diagram_begins_at_what_is_new_and_ends_where_nothing_follows() -> None:
    lines = list(diagram("run"))
    assert lines[0] == "stateDiagram-v2"
    assert "    [*] --> running: its pipeline starts it" in lines
    assert "    stopped --> [*]" in lines
    assert "    running --> [*]" not in lines
