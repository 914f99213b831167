"""Limits that every model meets, or none can meet."""

import math
from collections.abc import Iterator
from typing import Final

from specs.gates import AbsoluteCheck, ModelGate
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.metrics import METRICS

_ENDLESS: Final = 1e300
"""A limit this large is meant as no limit: no metric of real data reaches it."""


def lint_limits(loaded: LoadedSpec, gate: ModelGate) -> Iterator[Problem]:
    """Problems with the limits of checks."""
    for place, check in enumerate(gate.checks):
        here = ("gates", "model", "checks", place)
        least, most = _range(check.metric)
        if not isinstance(check, AbsoluteCheck):
            if check.not_worse_than_baseline_by >= min(most - least, _ENDLESS):
                yield _idle(loaded, here, "not_worse_than_baseline_by", check.metric)
            continue
        low, high = check.at_least, check.at_most
        if low is not None and (low <= least or low <= -_ENDLESS):
            yield _idle(loaded, here, "at_least", check.metric)
        if high is not None and (high >= most or high >= _ENDLESS):
            yield _idle(loaded, here, "at_most", check.metric)
        if low is not None and (low > most or low >= _ENDLESS):
            yield _out(loaded, here, "at_least", f"{check.metric} is never above {_shown(most)}")
        if high is not None and (high < least or high <= -_ENDLESS):
            yield _out(loaded, here, "at_most", f"{check.metric} is never below {_shown(least)}")


def _range(metric: str) -> tuple[float, float]:
    """The lowest and the highest value of a metric; unlimited for a number of the team's own."""
    known = METRICS.get(metric)
    return (known.lowest, known.highest) if known else (-math.inf, math.inf)


def _idle(loaded: LoadedSpec, here: tuple[str | int, ...], key: str, metric: str) -> Problem:
    message = f"this limit stops no model, whatever its {metric}: write the value that you expect"
    return loaded.problem("no-effect", (*here, key), message, severity="warning")


def _out(loaded: LoadedSpec, here: tuple[str | int, ...], key: str, why: str) -> Problem:
    return loaded.problem("out-of-range", (*here, key), f"no model can meet this limit: {why}")


def _shown(limit: float) -> str:
    return f"{limit:g}" if math.isfinite(limit) else f"{_ENDLESS:g}"
