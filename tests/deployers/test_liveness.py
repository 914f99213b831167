"""When a running server counts as hung: probes, silence, and signs of life."""

import pytest

from deployers.liveness import Patience, Signs, hangs, look

PATIENCE = Patience(hung_after=30, startup=60)

Looks = list[tuple[float, bool, int]]
"""Time, whether the ready path answered, and number of responses to callers."""


def seen(looks: Looks) -> Signs:
    signs = None
    for now, ready, answers in looks:
        signs = look(signs, now, ready=ready, answers=answers)
    assert signs is not None
    return signs


@pytest.mark.parametrize(
    ("looks", "now", "hung"),
    [
        pytest.param([(0, True, 0)], 1000, False, id="nobody looked since it answered"),
        pytest.param([(0, True, 0), (9, False, 0)], 1000, False, id="one slow answer"),
        pytest.param(
            [(0, True, 0), (9, False, 0), (50, False, 0)], 50, False, id="two, however long"
        ),
        pytest.param(
            [(0, True, 0), (1, False, 0), (2, False, 0), (3, False, 0), (29, False, 0)],
            29,
            False,
            id="many looks in a short time",
        ),
        pytest.param(
            [(0, True, 0), (10, False, 0), (20, False, 0), (30, False, 0)], 30, True, id="hung"
        ),
        pytest.param(
            [(0, True, 0), (10, False, 0), (20, True, 0), (30, False, 0), (40, False, 0)],
            40,
            False,
            id="it answered between",
        ),
        pytest.param(
            [(0, True, 5), (10, False, 6), (20, False, 7), (30, False, 8), (40, False, 9)],
            40,
            False,
            id="its callers are answered",
        ),
        pytest.param(
            [(0, True, 5), (10, False, 6), (20, False, 6), (30, False, 6), (40, False, 6)],
            40,
            True,
            id="its callers were answered, and are no more",
        ),
        pytest.param(
            [(0, False, 0), (10, False, 0), (20, False, 0), (45, False, 0)],
            45,
            False,
            id="it starts and loads its model",
        ),
        pytest.param(
            [(0, False, 0), (20, False, 0), (40, False, 0), (60, False, 0)],
            60,
            True,
            id="it never woke up",
        ),
    ],
)
def test_a_server_hangs_after_three_looks_and_its_time(
    looks: Looks, now: float, hung: bool
) -> None:
    assert hangs(seen(looks), PATIENCE, now) is hung
