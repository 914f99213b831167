"""Durations while the wall clock is stepped."""

import pytest

from deployers.clock import NEVER_SET, SLEW, Steady

HOUR = 3600.0
NOON = 1_800_000_000.0


class Machine:
    """A wall clock that can be set, and time that passes."""

    def __init__(self) -> None:
        self.wall, self.passed = NOON, 50.0
        self.clock = Steady(wall=lambda: self.wall, passed=lambda: self.passed)

    def wait(self, seconds: float) -> float:
        """Let time pass; returns the duration by the steady clock."""
        before = self.clock()
        self.wall += seconds
        self.passed += seconds
        return self.clock() - before


@pytest.mark.parametrize("step", [0.0, 1.0, -1.0, 3 * HOUR, -2 * HOUR, 48 * HOUR, -NEVER_SET * 9])
def test_a_step_is_no_duration_and_a_minute_stays_one(step: float) -> None:
    machine = Machine()
    machine.wait(60)
    before = machine.clock()
    machine.wall += step
    assert machine.clock() == before
    assert machine.wait(60) == pytest.approx(60, rel=SLEW + 1e-6)


@pytest.mark.parametrize("step", [3 * HOUR, -2 * HOUR])
def test_a_step_is_made_up_for_in_twenty_times_as_long(step: float) -> None:
    machine = Machine()
    machine.wall += step
    lasts = int(abs(step) / SLEW)
    for _ in range(0, lasts + 60, 60):
        assert machine.wait(60) > 0
    assert machine.clock() == pytest.approx(machine.wall, abs=1e-3)


def test_small_drifts_of_the_wall_clock_are_followed() -> None:
    machine = Machine()
    for _ in range(1000):
        machine.wall += 0.0005  # it is fast by half a millisecond a second
        machine.wait(1.0)
    assert machine.clock() == pytest.approx(machine.wall, abs=0.01)


def test_a_clock_that_had_never_been_set_is_believed_once_it_is() -> None:
    machine = Machine()
    machine.wall += NEVER_SET + 1
    assert machine.clock() == machine.wall


def test_the_next_life_begins_no_earlier_than_the_last_ended() -> None:
    """The wall clock was set back two hours while no controller ran."""
    passed = [0.0]
    clock = Steady(NOON + 2 * HOUR, wall=lambda: NOON, passed=lambda: passed[0])
    assert clock() == NOON + 2 * HOUR
    passed[0] = 60.0
    assert clock() - (NOON + 2 * HOUR) == pytest.approx(60, rel=2 * SLEW)
