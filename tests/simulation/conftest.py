"""Which schedules are played: `SCHEDULES=10000 pytest tests/simulation`, or `SEED=17` for one."""

import os
from collections.abc import Iterator

import pytest
import structlog

BLOCK = 10
"""Schedules that one test plays."""


def blocks() -> list[range]:
    """The seeds, a range for each test."""
    if "SEED" in os.environ:
        seed = int(os.environ["SEED"])
        return [range(seed, seed + 1)]
    count = int(os.environ.get("SCHEDULES", "300"))
    return [range(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        every = blocks()
        names = [f"{each.start}-{each.stop - 1}" for each in every]
        metafunc.parametrize("seeds", every, ids=names)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Logs nothing: what goes wrong is what these tests are about."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)
