"""How often the canary judge is wrong, how soon it is right, and what it costs.

    python -m benchmarks.judge [--seconds 150] [false-rollback detection promotion limit cost]

Simulated canaries of 30 minutes, judged every second. Evidence is computed for all seconds of a
canary at once, and for the first canary of each row compared with what the product itself says.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Row
from specs.traffic import Arm, Exchange
from validators.canary import CanaryPolicy, CanaryState, Latency, begin, judge, latency, update
from validators.canary import signal_bets as families
from validators.canary.betting import RATIOS, ScoreCount, ratio
from validators.canary.forecast import outlook
from validators.canary.policy import STATUSES

Floats = NDArray[np.float64]

MINUTES = 30
SECONDS = 60 * MINUTES
ALPHA = 0.01
CENTRE, SPREAD = -3.0, 0.5
"""Of the logarithm of the latency: a median of 50 ms, a 99 % quantile of 160 ms."""


class World(NamedTuple):
    """How requests arrive and end."""

    rate: float
    shares: tuple[float, ...]
    """The canary's share, each for an equal part of the time."""
    errors: tuple[float, float] = (0.001, 0.001)
    """Rates of stable and canary."""
    slower: float = 1.0
    tail: float = 1.0
    """Factor on the canary's slowest two percent."""
    drift: bool = False
    """Whether errors and latency of both arms rise and fall, by five times and by half."""
    since: float = 0.0
    """Seconds until the canary begins to differ."""


class Traffic(NamedTuple):
    """One canary's requests, in order."""

    at: Floats
    share: Floats
    canary: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    latency: Floats


def simulate(world: World, random: np.random.Generator) -> Traffic:
    """Draw the traffic of one canary."""
    count = random.poisson(world.rate * SECONDS)
    at = np.sort(random.uniform(0, SECONDS, count))
    share = np.asarray(world.shares)[(at * len(world.shares) / SECONDS).astype(int)]
    canary = random.random(count) < share
    worse = canary & (at >= world.since)
    wave = np.sin(at / 200) if world.drift else np.zeros(count)
    rate = np.where(worse, world.errors[1], world.errors[0]) * 5.0**wave
    normal = random.standard_normal(count)
    taken = np.exp(CENTRE + SPREAD * normal) * 1.5**wave
    factor = np.where(worse, world.slower, 1.0) * np.where(
        worse & (normal > 2.0537), world.tail, 1.0
    )
    return Traffic(at, share, canary, random.random(count) < rate, taken * factor)


def records(traffic: Traffic) -> list[Exchange]:
    """The same as the router's records."""
    return [
        Exchange(
            i, float(at), Arm.CANARY if canary else Arm.STABLE, float(share),
            500 if failed else 200, float(taken),
        )
        for i, (at, share, canary, failed, taken) in enumerate(zip(*traffic, strict=True))
    ]  # fmt: skip


def start(policy: CanaryPolicy, random: np.random.Generator) -> CanaryState:
    """A canary after an uneventful past."""
    known = np.exp(CENTRE + SPREAD * random.standard_normal(5000))
    past = (Exchange(i, -1.0, Arm.STABLE, 0.0, 200, float(y)) for i, y in enumerate(known))
    return begin(policy, list(past), 0.0).model_copy(update={"base_errors": 0.001})


class Paths:
    """Logarithms of the evidence at the end of each second of one canary."""

    def __init__(self, state: CanaryState, traffic: Traffic) -> None:
        self.state, self.traffic = state, traffic
        self.second = np.minimum(traffic.at.astype(int), SECONDS - 1)

    def errors(self) -> Floats:
        """The wealth of the bet on errors, one column per expert."""
        total = np.zeros((SECONDS, len(RATIOS)))
        for i in np.flatnonzero(self.traffic.failed):
            share, canary = float(self.traffic.share[i]), bool(self.traffic.canary[i])
            total[self.second[i]] += _error_gains(share, canary)
        return np.cumsum(total, axis=0)

    def latency(self) -> Floats:
        """The wealth of the bet on latency."""
        bins = self.state.bins
        assert bins is not None
        traffic, size = self.traffic, len(bins.reference)
        scale = np.where(traffic.canary, 1 + self.state.policy.latencies[0].margin, 1.0)
        place = np.searchsorted(bins.edges, traffic.latency / scale) + size * traffic.canary
        total = np.zeros((SECONDS, latency.EXPERTS))
        for share in np.unique(traffic.share):
            chosen = (traffic.share == share) & ~traffic.failed
            counts = np.bincount(
                self.second[chosen] * 2 * size + place[chosen], minlength=SECONDS * 2 * size
            ).reshape(SECONDS, 2 * size)
            total += counts @ _latency_gains(bins, float(share))
        for i in np.flatnonzero(traffic.failed):
            passed = latency.passed(bins, float(traffic.latency[i] / scale[i]))
            arm = bool(traffic.canary[i])
            total[self.second[i]] += _failed_gains(bins, float(traffic.share[i]), arm, passed)
        return np.cumsum(total, axis=0)

    def evidence(self, wealth: Floats, signal: str) -> Floats:
        """log E of a signal: half from the start, half over restarts."""
        weights = np.asarray(families.prior(self.state, signal))
        plain = _log_sum(weights + wealth)
        planned = self.state.policy.restarts
        if not planned:
            return plain
        begun = np.full((SECONDS, wealth.shape[1]), -np.inf)
        minutes = np.arange(1, MINUTES)
        begun[60 * minutes] = -wealth[60 * minutes - 1]
        begun = np.logaddexp.accumulate(begun, axis=0)
        with np.errstate(divide="ignore"):
            ahead = np.log(planned - np.arange(SECONDS) // 60)
        restarted = np.logaddexp(_log_sum(weights + wealth + begun), ahead) - np.log(planned)
        both: Floats = np.logaddexp(plain, restarted) - np.log(2)
        return both

    def worse(self) -> Floats:
        """log of the mean E over the policy's signals, as the policy weighs them."""
        policy = self.state.policy
        paths = [self.evidence(self.wealth(signal), signal) for signal in policy.signals]
        weights = np.log(np.asarray(policy.weights) / sum(policy.weights))
        mean: Floats = _log_sum(np.stack(paths, axis=1) + weights)
        return mean

    def wealth(self, signal: str) -> Floats:
        """The wealth of the bet on a signal; no request is refused here."""
        if signal in STATUSES:
            return np.zeros((SECONDS, len(RATIOS)))
        return self.errors() if signal == "errors" else self.latency()

    def check(self) -> None:
        """Compare with the product at the end of the canary."""
        product = judge(update(self.state, records(self.traffic)), float(SECONDS)).log_worse
        assert abs(product - self.worse()[-1]) < 1e-6, (product, self.worse()[-1])


@lru_cache
def _error_gains(share: float, canary: bool) -> Floats:
    return np.asarray(ratio([ScoreCount(share, canary, 1.0, 1)]))


@lru_cache
def _latency_gains(bins: latency.Bins, share: float) -> Floats:
    """The gain of each expert (columns) from one answer in each bin, stable's bins first."""
    size = len(bins.reference)
    ends = np.eye(2 * size, dtype=int).tolist()
    return np.asarray([latency.wealth(bins, [(share, e[:size], e[size:])]) for e in ends])


@lru_cache(maxsize=256)
def _failed_gains(bins: latency.Bins, share: float, canary: bool, passed: int) -> Floats:
    """The gain of each expert from one failed request whose age has passed so many thresholds."""
    end = [int(i == passed) for i in range(latency.PASSES)]
    none = [0] * latency.PASSES
    unended = (share, none, end) if canary else (share, end, none)
    return np.asarray(latency.wealth(bins, [], [unended]))


def _log_sum(logs: Floats) -> Floats:
    top = np.maximum(logs.max(axis=1), -1e300)
    with np.errstate(divide="ignore"):
        total: Floats = top + np.log(np.exp(logs - top[:, None]).sum(axis=1))
    return total


def canaries(world: World, policy: CanaryPolicy, budget: float, seed: int = 0) -> Iterator[Paths]:
    """Canaries of one world until the CPU seconds are used up; at least twenty."""
    random, spent = np.random.default_rng(seed), time.process_time() + budget
    state = start(policy, random)
    for i in range(100_000):
        if i >= 20 and time.process_time() > spent:
            return
        paths = Paths(state, simulate(world, random))
        if i == 0:
            paths.check()
        yield paths


BOTH = CanaryPolicy(latencies=(Latency(statistic="p99", margin=0.0),), deadline=SECONDS)
MARGIN = CanaryPolicy(deadline=SECONDS)
ERRORS = CanaryPolicy(latencies=(), deadline=SECONDS)
ALONE = ERRORS.model_copy(update={"refusals_margin": None, "others_margin": None})
PLAIN = CanaryPolicy(latencies=(), deadline=60)
TAIL = CanaryPolicy(
    errors_margin=None, latencies=(Latency(statistic="p99", margin=0.0),), deadline=SECONDS
)
MEAN = CanaryPolicy(
    errors_margin=None, latencies=(Latency(statistic="mean", margin=0.0),), deadline=SECONDS
)


def first(path: Floats, limit: float) -> int | None:
    """The first second at which a path reaches a limit."""
    reached = np.flatnonzero(path >= limit)
    return int(reached[0]) + 1 if len(reached) else None


def naive(paths: Paths) -> int | None:
    """The decisions of a two-proportion z-test that is evaluated every second."""
    sums = [
        np.cumsum(np.bincount(paths.second[mask], minlength=SECONDS))
        for arm in (paths.traffic.canary, ~paths.traffic.canary)
        for mask in (arm, arm & paths.traffic.failed)
    ]
    n1, e1, n0, e0 = (total.astype(float) for total in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (e1 + e0) / (n1 + n0)
        z = (e1 / n1 - e0 / n0) / np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n0))
    return first(np.nan_to_num(z), 2.326)


def false_rollback(budget: float) -> None:
    """Canaries like stable."""
    print(f"\nFalse rollbacks at alpha = {ALPHA:.0%}, looking every second for 30 minutes")
    print(f"{'':44}{'canaries':>9}{'judge':>16}{'naive z-test':>14}")
    worlds = [
        (f"{rate:g}/s, {share:.0%}, errors {error:.1%}", World(rate, (share,), (error, error)))
        for rate in (10.0, 100.0)
        for share in (0.05, 0.5)
        for error in (0.001, 0.02)
    ]
    ramp = (0.05, 0.25, 0.5)
    worlds += [
        ("10/s, 5 -> 25 -> 50 %, drifting", World(10.0, ramp, (0.01, 0.01), drift=True)),
        ("100/s, 5 -> 25 -> 50 %, drifting", World(100.0, ramp, (0.01, 0.01), drift=True)),
    ]
    total = wrong = 0
    for name, world in worlds:
        found = [
            (first(paths.worse(), np.log(1 / ALPHA)), naive(paths))
            for paths in canaries(world, BOTH, budget / len(worlds), seed=1)
        ]
        ours, theirs = (float(np.mean([pair[i] is not None for pair in found])) for i in (0, 1))
        total, wrong = total + len(found), wrong + sum(pair[0] is not None for pair in found)
        error = (max(ours, 1 / len(found)) / len(found)) ** 0.5
        print(f"{name:44}{len(found):>9}{ours:>8.2%} +-{error:>5.2%}{theirs:>14.0%}")
    print(f"{'all':44}{total:>9}{wrong / total:>8.2%} +-{(wrong + 1) ** 0.5 / total:>5.2%}")


def detection(budget: float) -> None:
    """Canaries that are worse."""
    print("\nDetection: share found, median seconds [errors served by the canary]")
    traffics = [("10/s, 5 %", 10.0, 0.05), ("10/s, 50 %", 10.0, 0.5), ("100/s, 5 %", 100.0, 0.05)]
    print(f"{'':44}" + "".join(f"{name:>22}" for name, _, _ in traffics))
    late = {"errors": (0.001, 0.01), "since": 900.0}
    rows: list[tuple[str, CanaryPolicy, dict[str, Any]]] = [
        ("errors 0.1 -> 1 %", ERRORS, {"errors": (0.001, 0.01)}),
        ("errors 0.1 -> 1 %, no statuses watched", ALONE, {"errors": (0.001, 0.01)}),
        ("errors 0.1 -> 1 %, with latency", MARGIN, {"errors": (0.001, 0.01)}),
        ("errors 0.1 -> 5 %", ERRORS, {"errors": (0.001, 0.05)}),
        ("slowest 2 % + 50 % (margin 0)", TAIL, {"tail": 1.5}),
        ("all + 20 % (latency_mean, margin 0)", MEAN, {"slower": 1.2}),
        ("all + 50 % (latency_p99, margin 20 %)", MARGIN, {"slower": 1.5}),
        ("errors 0.1 -> 1 % at minute 15, no restarts", PLAIN, late),
        ("errors 0.1 -> 1 % at minute 15, restarts", ERRORS, late),
    ]
    for name, policy, worse in rows:
        cells = []
        for _, rate, share in traffics:
            world = World(rate, (share,), **worse)
            each = budget / len(rows) / len(traffics)
            cells.append(_detected(canaries(world, policy, each, seed=2), world.since))
        print(f"{name:44}" + "".join(f"{cell:>22}" for cell in cells))


def _detected(runs: Iterator[Paths], since: float) -> str:
    times, served, count = [], [], 0
    for paths in runs:
        count += 1
        second = first(paths.worse(), np.log(1 / ALPHA))
        if second is not None and second > since:
            errors = paths.traffic.canary & paths.traffic.failed
            times.append(second - since)
            served.append(int(np.sum(errors & (paths.traffic.at < second))))
        else:
            times.append(float("inf"))
    found = [value for value in times if value < float("inf")]
    middle = median(times)
    shown = f"{middle:.0f} s" if middle < float("inf") else "-"
    return f"{len(found) / count:.0%} {shown} [{median(served) if served else 0:.0f}] n={count}"


def promotion(budget: float) -> None:
    """Canaries like stable, until their errors are shown to be within the margin."""
    print("\nPromotion by errors within 0.5 points, no difference at 0.1 %: median seconds")
    for chance in (0.01, 0.05):
        policy = ERRORS.model_copy(update={"false_promotion": chance})
        for name, rate, share in (("100/s, 5 %", 100.0, 0.05), ("100/s, 50 %", 100.0, 0.5)):
            times = [
                _promoted(paths, policy)
                for paths in canaries(World(rate, (share,)), policy, budget / 4, seed=3)
            ]
            state = start(policy, np.random.default_rng(0))
            needed = outlook(state, rate, (share,)).needed
            print(
                f"  false promotion {chance:.0%}, {name:12} {median(times):>6.0f} s"
                f"   forecast {(needed or 0) / rate:.0f} s   n={len(times)}"
            )


def _promoted(paths: Paths, policy: CanaryPolicy) -> float:
    state = start(policy, np.random.default_rng(0))
    share = float(paths.traffic.share[0])
    ends = [(canary, score) for canary in (False, True) for score in (1.0, 0.0)]
    gains = np.asarray(
        [families.safety(state, "errors", [ScoreCount(share, c, y, 1)]) for c, y in ends]
    )
    kind = 2 * paths.traffic.canary + ~paths.traffic.failed
    counts = np.bincount(paths.second * 4 + kind, minlength=SECONDS * 4).reshape(SECONDS, 4)
    wealth = np.cumsum(counts, axis=0) @ gains
    path = _log_sum(np.asarray(families.safety_prior(state, "errors")) + wealth)
    return first(path, -np.log(policy.false_promotion)) or float("inf")


def limit(budget: float) -> list[Row]:
    """Mean requests until an error regression is found, over what any valid test needs."""
    print("\nMean requests to find it, as a multiple of log(1/alpha) / I(A; Y)")
    cases = [(0.05, 0.001, 0.01), (0.5, 0.001, 0.01), (0.05, 0.001, 0.05), (0.5, 0.01, 0.03)]
    random = np.random.default_rng(4)
    rows = []
    for share, base, worse in cases:
        least = np.log(1 / ALPHA) / informed(share, base, worse)
        found: list[int] = []
        spent = time.process_time() + budget / len(cases)
        while len(found) < 20 or time.process_time() < spent:
            found.append(_requests_needed(share, base, worse, random))
        print(
            f"  {base:.1%} -> {worse:.0%} at {share:.0%}: {np.mean(found):>8,.0f} requests"
            f"   {np.mean(found) / least:.2f} x the limit   n={len(found)}"
        )
        rows.append(
            Row(
                f"judge, {base:.1%} -> {worse:.0%} errors at {share:.0%}",
                float(np.mean(found)),
                "requests",
                "any valid test's least",
                float(least),
            )
        )
    return rows


def informed(rho: float, base: float, worse: float) -> float:
    """I(A; Y): the information of an outcome about its arm, in nats; `rho` is the canary's share.

    A test that errs with a chance of alpha whatever the common rate needs at least
    log(1 / alpha) / I requests on average.
    """
    mixed = rho * worse + (1 - rho) * base
    return rho * _divergence(worse, mixed) + (1 - rho) * _divergence(base, mixed)


def _divergence(p: float, q: float) -> float:
    terms = ((p, q), (1 - p, 1 - q))
    return sum(a * float(np.log(a / b)) for a, b in terms if a > 0)


def _requests_needed(share: float, base: float, worse: float, random: np.random.Generator) -> int:
    canary = np.asarray(ratio([ScoreCount(share, True, 1.0, 1)]))
    stable = np.asarray(ratio([ScoreCount(share, False, 1.0, 1)]))
    chance = share * worse + (1 - share) * base
    wealth, requests = np.zeros(len(canary)), 0
    while np.log(np.mean(np.exp(wealth))) < np.log(1 / ALPHA):
        requests += random.geometric(chance)
        wealth += canary if random.random() < share * worse / chance else stable
    return requests


def cost(budget: float) -> None:
    """Time per record and per judgement of the product itself, and the size of its state."""
    random = np.random.default_rng(5)
    state = start(MARGIN, random)
    traffic = records(simulate(World(100.0, (0.05,)), random))
    print("\nCost")
    _timed("one record at a time", 2000, lambda: _one_by_one(state, traffic[:2000]))
    _timed("batches of a thousand", len(traffic), lambda: update(state, traffic))
    full = update(state, traffic)
    looks = max(10, min(500, int(budget * 100)))
    _timed("judge, per look", looks, lambda: [judge(full, 1800.0) for _ in range(looks)])
    print(f"  state after {len(traffic):,} records: {len(full.model_dump_json()):,} bytes of JSON")


def _one_by_one(state: CanaryState, traffic: Sequence[Exchange]) -> None:
    for each in traffic:
        state = update(state, [each])


def _timed(name: str, count: int, work: Callable[[], object]) -> None:
    began = time.process_time()
    work()
    print(f"  {name:24} {(time.process_time() - began) / count * 1e6:>8.2f} us")


PARTS: dict[str, Callable[[float], list[Row] | None]] = {
    "false-rollback": false_rollback,
    "detection": detection,
    "promotion": promotion,
    "limit": limit,
    "cost": cost,
}
SHARES = {"false-rollback": 0.4, "detection": 0.4, "promotion": 0.1, "limit": 0.08, "cost": 0.02}


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.judge", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all by default")
    parser.add_argument("--seconds", type=float, default=150.0, help="CPU time to spend, about")
    chosen = parser.parse_args(argv)
    parts = chosen.parts or list(PARTS)
    whole = sum(SHARES[part] for part in parts)
    rows: list[Row] = []
    for part in parts:
        rows += PARTS[part](chosen.seconds * SHARES[part] / whole) or []
    return rows


if __name__ == "__main__":
    main()
