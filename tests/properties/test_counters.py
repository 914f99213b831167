"""However a gateway is scraped and whenever pages are cut, each request counts once at most."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from deployers.counting.eras import Era
from deployers.counting.series import SETTLED, Question, Series, windows
from specs.counters import CounterNames
from specs.traffic import Arm, TrafficWindow

NAMES = CounterNames(
    server="default",
    requests="requests_total",
    status="code",
    backend="backend",
    stable="{server}",
    canary="{server}",
    latency="seconds",
)
BOUNDS = (0.1, 1.0, float("inf"))
LAST = 400_000
"""Milliseconds that a story takes."""
ERAS = (
    Era(start=0.0, end=90.0, stable="v1", weight=0.0),
    Era(start=92.0, end=200.5, stable="v1", canary="v2", weight=0.25),
    Era(start=201.0, end=400.0, stable="v1", canary="v2", weight=0.5),
)


@dataclass(frozen=True)
class Request:
    at: int
    backend: str
    code: str
    latency: float


@dataclass(frozen=True)
class Target:
    """A gateway's process: what it answered, when it was scraped, when it was restarted."""

    name: str
    requests: Sequence[Request]
    scrapes: Sequence[int]
    restarts: Sequence[int] = field(default=())

    def series(self) -> list[Series]:
        """Its counters: none before its first request, and all gone with a restart."""
        found: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
        for at in self.scrapes:
            began = max((one for one in self.restarts if one < at), default=-1)
            for labels, value in self._values([r for r in self.requests if began < r.at <= at]):
                found.setdefault(labels, []).append((at, float(value)))
        return [Series(dict(labels), samples) for labels, samples in found.items()]

    def _values(self, seen: Sequence[Request]) -> list[tuple[tuple[tuple[str, str], ...], int]]:
        counts: dict[tuple[tuple[str, str], ...], int] = {}
        for one in seen:
            labels = (("instance", self.name), ("backend", one.backend), ("code", one.code))
            name = (("__name__", "requests_total"), *labels)
            counts[name] = counts.get(name, 0) + 1
            for bound in BOUNDS:
                bucket = (("__name__", "seconds_bucket"), *labels, ("le", str(bound)))
                counts[bucket] = counts.get(bucket, 0) + (one.latency <= bound)
        return list(counts.items())

    def covered(self, arm: Arm) -> list[tuple[int, int]]:
        """The times between two scrapes within one era that has that arm."""
        began = [at for at in self.scrapes if any(r.at <= at for r in self.requests)]
        spans = pairwise(began)
        return [
            (since, at)
            for since, at in spans
            if any(
                e.start + SETTLED <= since / 1000 and at / 1000 <= (e.end or 0)
                for e in ERAS
                if arm is Arm.STABLE or e.canary is not None
            )
        ]

    def within(self, spans: Sequence[tuple[int, int]]) -> list[Request]:
        return [r for r in self.requests if any(since < r.at <= at for since, at in spans)]


def paged(targets: Sequence[Target], cuts: Sequence[int]) -> list[TrafficWindow]:
    """The windows, read page by page."""
    series = [one for target in targets for one in target.series()]
    found: list[TrafficWindow] = []
    for after, until in zip([0, *cuts], [*cuts, LAST + 1], strict=True):
        seen = [
            Series(one.labels, [(at, value) for at, value in one.samples if at <= until])
            for one in series
        ]
        asked = Question(
            names=NAMES, errors=("no_answer", "5xx"), eras=ERAS, after=after, until=until
        )
        found += windows(seen, asked)
    return found


def total(found: Sequence[TrafficWindow], arm: Arm) -> tuple[int, int]:
    both = [one.canary if arm is Arm.CANARY else one.stable for one in found]
    return sum(one.requests for one in both), sum(one.errors for one in both)


def times(chance: Random, most: int) -> list[int]:
    return sorted(chance.sample(range(1, LAST), chance.randint(0, most)))


def story(seed: int, *, most: int = 3, restarts: int = 0) -> tuple[list[Target], list[int]]:
    """Gateways, and where pages are cut. By a seed, as examples of this size are slow to draw."""
    chance = Random(seed)
    gateways = [
        Target(
            name=f"g{number}",
            requests=[
                Request(
                    at=at,
                    backend=chance.choice(["v1", "v1", "v2", "another"]),
                    code=chance.choice(["200", "200", "404", "500", "0"]),
                    latency=chance.choice([0.05, 0.5, 5.0]),
                )
                for at in times(chance, 300)
            ],
            scrapes=times(chance, 60),
            restarts=times(chance, restarts),
        )
        for number in range(chance.randint(1, most))
    ]
    return gateways, times(chance, 8)


SEEDS = st.integers(min_value=0, max_value=2**32)


@settings(max_examples=60)
@given(seed=SEEDS)
def test_all_windows_together_are_what_the_counters_grew_by(seed: int) -> None:
    targets, cuts = story(seed)
    found = paged(targets, cuts)
    for arm, server in ((Arm.STABLE, "v1"), (Arm.CANARY, "v2")):
        real = [r for target in targets for r in target.within(target.covered(arm))]
        own = [r for r in real if r.backend == server]
        assert total(found, arm) == (len(own), sum(r.code in ("0", "500") for r in own))


@settings(max_examples=60)
@given(seed=SEEDS)
def test_nothing_counts_twice_whenever_a_gateway_restarts(seed: int) -> None:
    targets, cuts = story(seed, restarts=3)
    found = paged(targets, cuts)
    for arm, server in ((Arm.STABLE, "v1"), (Arm.CANARY, "v2")):
        real = [r for target in targets for r in target.within(target.covered(arm))]
        requests, errors = total(found, arm)
        own = [r for r in real if r.backend == server]
        assert requests <= len(own)
        assert errors <= sum(r.code in ("0", "500") for r in own)


@settings(max_examples=60)
@given(seed=SEEDS)
def test_a_window_of_one_gateway_is_what_it_answered_in_that_time_with_that_weight(
    seed: int,
) -> None:
    (target,), cuts = story(seed, most=1)
    found = paged([target], cuts)
    assert [one.seq for one in found] == sorted({one.seq for one in found})
    for one in found:
        (era,) = (e for e in ERAS if e.weight == one.weight)
        assert era.start + SETTLED <= one.start < one.end <= (era.end or 0)
        own = target.within([(round(one.start * 1000), round(one.end * 1000))])
        for arm, server in ((one.stable, "v1"), (one.canary, "v2")):
            if server == "v2" and era.canary is None:
                continue
            assert arm.requests == sum(r.backend == server for r in own)
            answered = [r for r in own if r.backend == server and r.code not in ("0", "500")]
            assert arm.timed is None or arm.timed <= len(answered)
            if arm.timed == len(answered):  # the first of an era are left out
                places = [bisect_left(BOUNDS, r.latency) for r in answered]
                assert [each.count for each in arm.latencies] == [
                    places.count(place) for place in range(len(BOUNDS))
                ]
