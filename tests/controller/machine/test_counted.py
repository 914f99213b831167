"""A canary of a target that gives counts: what of them is judged, and what is not decided."""

from typing import Any

from controller.machine.environments.rollout import (
    Rollout,
    begin_canary,
    blocks_undecided,
    watch,
)
from deployers.protocol import Traffic
from specs.traffic import ArmWindow, Split, TrafficWindow
from tests.controller.machine.kit import version
from validators.canary import CanaryDecision

BEGAN = 1000.0


def window(seq: int, errors: int = 0, weight: float = 0.5) -> TrafficWindow:
    """Fifteen seconds; those from number 100 on are the canary's."""
    start = BEGAN + 15.0 * (seq - 100)
    return TrafficWindow(
        seq=seq,
        start=start,
        end=start + 15,
        weight=weight,
        stable=ArmWindow(requests=100, errors=1),
        canary=ArmWindow(requests=95 + seq % 11, errors=errors),
    )


def begun(split: Split = "draw", history: Any = ()) -> Rollout:
    two = version(2)
    rollout = Rollout(
        id="mean-production-2", version=two.ref, kind="release", why="it passed", by="headgate",
        asked=BEGAN,
    )  # fmt: skip
    seen = Traffic(epoch="e", counted=True, split=split, windows=tuple(history))
    return begin_canary(rollout, two, seen, BEGAN)


def watched(rollout: Rollout, *windows: TrafficWindow) -> Rollout:
    seen = Traffic(epoch="e", counted=True, split="draw", windows=windows)
    return watch(rollout, seen, windows[-1].end)


def test_windows_from_before_the_canary_tell_of_stable_alone() -> None:
    early = [window(seq, errors=90) for seq in range(90, 99)]
    rollout = begun(history=early)
    assert rollout.judge is not None
    assert rollout.judge.base_errors == 0.01
    same = watched(rollout, *early)
    assert same.judgement is not None
    assert (same.judgement.canary.requests, same.first_failed) == (0, None)


def test_a_bad_canary_is_rolled_back_by_windows_and_it_is_known_since_when_it_failed() -> None:
    rollout = watched(begun(), window(100), window(101, errors=20), window(102, errors=30))
    assert rollout.judgement is not None
    assert rollout.judgement.decision is CanaryDecision.ROLLBACK
    assert rollout.first_failed == BEGAN + 15
    assert rollout.judgement.basis == "counts in 3 windows of 15 s, 591 requests in all"


def test_what_was_not_compared_is_not_promoted_undecided() -> None:
    assert blocks_undecided(watched(begun(), window(100), window(101))) is None
    taken = watched(begun("turns"), window(100), window(101))
    why = blocks_undecided(taken)
    assert why is not None
    assert why.startswith("it could not be compared with stable: the target assigns requests in")


def test_a_controller_that_died_finds_what_it_knew_of_windows() -> None:
    rollout = watched(begun(), window(100), window(101, errors=3))
    assert Rollout.model_validate_json(rollout.model_dump_json()) == rollout


def test_a_target_that_could_not_be_asked_at_first_is_judged_as_it_splits() -> None:
    two = version(2)
    rollout = Rollout(
        id="mean-production-2", version=two.ref, kind="release", why="it passed", by="headgate",
        asked=BEGAN,
    )  # fmt: skip
    late = Traffic(epoch="e", counted=True, split="turns", windows=(window(100),))
    judged = watch(begin_canary(rollout, two, None, BEGAN), late, BEGAN + 15)
    assert judged.judge is not None
    assert (judged.judge.counted, judged.judge.split) == (True, "turns")
    assert judged.judge.windows == 1
