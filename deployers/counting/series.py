"""From samples of counters to windows of counts. PURE.

Prometheus scrapes a target now and then and keeps what its counters said. What a counter grew by
between two scrapes of one target is what happened in that time, exactly: no rate is formed and
nothing is extrapolated. Both arms are read from the same scrapes, so a window covers the same time
of both, and since each window is of one target and of one era, each of its requests was drawn with
its weight. A window belongs to the page of traffic that its last scrape falls into, so however
pages are cut, every request is counted once at most.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from math import inf, log
from typing import Final, NamedTuple

from deployers.counting.eras import Era
from specs.counters import CounterNames
from specs.traffic import Arm, ArmWindow, LatencyBucket, TrafficWindow

SETTLED: Final = 15.0
"""Seconds after a change before requests are counted: gateways take a moment to hear of it, and
requests that were drawn before it are counted when they end."""
CELL: Final = 15_000
"""Milliseconds. The scrapes of several targets that fall into one of these make one window."""
_TURNS: Final = 3
"""How often two counters that are never scraped together take turns, if two jobs scrape them."""
_CERTAIN: Final = log(1e-6)
"""The log probability below which nothing but a mistake explains what is seen."""


class UncountableError(ValueError):
    """The series cannot be compared; the message says why, and what to do."""


class Series(NamedTuple):
    """One counter: its labels with `__name__`, and its samples, oldest first."""

    labels: Mapping[str, str]
    samples: Sequence[tuple[int, float]]
    """Milliseconds since the epoch, and the value."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What to count: the scrapes from `after` on and before `until`, in milliseconds."""

    names: CounterNames
    errors: Sequence[str]
    """What counts as an error: classes of statuses, single ones, and `no_answer`."""
    eras: Sequence[Era]
    """By Prometheus' clock. The last one ends when it was last observed."""
    after: int
    until: int


@dataclass(frozen=True)
class _Role:
    """What a series counts."""

    backend: str
    error: bool = False
    up_to: float | None = None
    """For a bucket of latencies: its bound, in seconds, or infinity; None: it counts requests."""


@dataclass
class _Scrape:
    """What the counters of one target grew by until a scrape."""

    since: int
    """The scrape before, or the last one that had all of these counters."""
    at: int
    prior: int | None = None
    """The scrape before `since`, if it is known."""
    grown: list[tuple[_Role, int]] = field(default_factory=list)


@dataclass
class _Counts:
    """What one arm answered."""

    requests: int = 0
    errors: int = 0
    up_to: dict[float, int] = field(default_factory=dict)
    mixed: bool = False
    """Whether targets have different buckets."""


def windows(series: Iterable[Series], question: Question) -> tuple[TrafficWindow, ...]:
    """The windows that the samples show, oldest first. Raises UncountableError."""
    cells: dict[tuple[int, int], list[_Scrape]] = defaultdict(list)
    targets: dict[int, list[dict[Arm, _Counts]]] = defaultdict(list)
    arms = [_Arms(question.names, era) for era in question.eras]
    for group in _by_target(series, question).values():
        total: dict[int, dict[Arm, _Counts]] = defaultdict(dict)
        for scrape in _scrapes(group):
            number = _era_of(scrape, question.eras)
            if number is None or not question.after <= scrape.at < question.until:
                continue
            cells[scrape.at // CELL, number].append(scrape)
            _add(total[number], scrape, arms[number], question.eras[number])
        for number, counts in total.items():
            targets[number].append(counts)
    for number, each in targets.items():
        _check_together(each, question.eras[number].weight)
    found: list[TrafficWindow] = []
    for cell, number in sorted(cells):
        scrapes, counts = cells[cell, number], dict[Arm, _Counts]()
        for scrape in scrapes:
            _add(counts, scrape, arms[number], question.eras[number])
        found.append(_window(scrapes, counts, question.eras[number], found[-1:]))
    return tuple(found)


class _Arms:
    """Tells the arms of an era apart by the label of the backend."""

    def __init__(self, names: CounterNames, era: Era) -> None:
        pairs = ((Arm.STABLE, names.stable, era.stable), (Arm.CANARY, names.canary, era.canary))
        self._patterns = [
            (arm, re.compile(names.arm_pattern(pattern, server), re.DOTALL))
            for arm, pattern, server in pairs
            if server is not None
        ]
        self._label = names.backend
        self._known: dict[str, Arm | None] = {}

    def of(self, backend: str) -> Arm | None:
        """The arm that a backend's requests belong to, or None."""
        if backend not in self._known:
            found = [arm for arm, pattern in self._patterns if pattern.fullmatch(backend)]
            if len(found) > 1:
                raise UncountableError(
                    f"the counters with {self._label}={backend!r} match both `stable` and "
                    "`canary`: make their patterns more exact"
                )
            self._known[backend] = found[0] if found else None
        return self._known[backend]


def _by_target(
    series: Iterable[Series], question: Question
) -> dict[str, list[tuple[_Role, Series]]]:
    """The series by the target that Prometheus scraped them from."""
    groups: dict[str, list[tuple[_Role, Series]]] = defaultdict(list)
    for one in series:
        role = _role(one.labels, question)
        if role is not None and one.samples:
            groups[one.labels.get("instance", "")].append((role, one))
    for instance, group in groups.items():
        _check_scraped_once(instance, group, question.names)
    return groups


def _role(labels: Mapping[str, str], question: Question) -> _Role | None:
    names = question.names
    name, backend = labels.get("__name__", ""), labels.get(names.backend, "")
    status = labels.get(names.status)
    error = _is_error(status or "", question)
    if name == names.requests:
        return _Role(backend, error=error)
    if not names.latency or name != f"{names.latency}_bucket":
        return None
    if status is not None and error:
        return None  # latencies are those of requests that did not fail, if that is known
    try:
        bound = float(labels["le"])
    except (KeyError, ValueError):
        return None
    return _Role(backend, up_to=inf if bound == inf else round(bound * names.unit, 9))


def _is_error(status: str, question: Question) -> bool:
    counts = question.errors
    if status in ("", "0"):
        return "no_answer" in counts
    unanswered = "no_answer" in counts and status in question.names.unanswered
    return unanswered or status in counts or f"{status[0]}xx" in counts


def _check_scraped_once(
    instance: str, group: Sequence[tuple[_Role, Series]], names: CounterNames
) -> None:
    """Raises UncountableError for a counter that two jobs scrape: requests would count twice."""
    alike: dict[tuple[_Role, str | None], list[Series]] = defaultdict(list)
    for role, one in group:
        if role.up_to is None and len(one.samples) > 1:
            alike[role, one.labels.get(names.status)].append(one)
    for twins in alike.values():
        for one, other in combinations(twins, 2):
            times = [{at for at, _ in each.samples} for each in (one, other)]
            merged = sorted(times[0] | times[1])
            turns = sum((a in times[0]) != (b in times[0]) for a, b in pairwise(merged))
            if times[0].isdisjoint(times[1]) and turns >= _TURNS:
                differ = sorted(
                    name
                    for name in one.labels.keys() | other.labels.keys()
                    if one.labels.get(name) != other.labels.get(name)
                )
                raise UncountableError(
                    f"the counters of the target {instance!r} are scraped more than once, at "
                    "different times, so each request would be counted twice: choose one scrape "
                    f"with `where`, by {' or '.join(differ)}"
                )


def _scrapes(group: Sequence[tuple[_Role, Series]]) -> Iterator[_Scrape]:
    """What grew until each scrape of a target but the first, oldest first."""
    samples: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for number, (_, one) in enumerate(group):
        for at, value in one.samples:
            samples[at].append((number, value))
    last: dict[int, tuple[int, float]] = {}
    before: int | None = None
    prior: int | None = None
    for at in sorted(samples):
        restarted = False
        scrape = _Scrape(since=at if before is None else before, at=at, prior=prior)
        for number, value in samples[at]:
            # A counter that was not there at the scrape before began at 0 since. One that had been
            # there earlier went on, unless it is lower now.
            seen, was = last.get(number, (scrape.since, 0.0))
            restarted |= value < was
            scrape.since = min(scrape.since, seen)
            last[number] = (at, value)
            role, one = group[number]
            if value > was or role.up_to is not None:  # every bucket, also one that is empty
                scrape.grown.append((role, _whole(value - was, one)))
        if before is not None and not restarted:  # what was counted before a restart is lost
            yield scrape
        prior, before = before, at


def _whole(growth: float, series: Series) -> int:
    count = round(growth)
    if abs(growth - count) > 0.01:
        raise UncountableError(
            f"{series.labels.get('__name__')} grew by {growth:g}, which is no number of requests: "
            "name the gateway's own counter, not a rate of it"
        )
    return count


def _era_of(scrape: _Scrape, eras: Sequence[Era]) -> int | None:
    """The number of the era that all its requests were drawn in."""
    since, at = scrape.since / 1000, scrape.at / 1000
    for number, era in enumerate(eras):
        if era.start + SETTLED <= since and at <= (inf if era.end is None else era.end):
            return number
    return None


def _add(counts: dict[Arm, _Counts], scrape: _Scrape, arms: _Arms, era: Era) -> None:
    # Some gateways add latencies a scrape later: the first ones of an era may be of the last.
    timed = scrape.prior is not None and era.start + SETTLED <= scrape.prior / 1000
    buckets: dict[Arm, dict[float, int]] = defaultdict(dict)
    for role, grown in scrape.grown:
        arm = arms.of(role.backend)
        if arm is None:
            continue
        own = counts.setdefault(arm, _Counts())
        if role.up_to is None:
            own.requests += grown
            own.errors += grown * role.error
        elif timed:
            buckets[arm][role.up_to] = buckets[arm].get(role.up_to, 0) + grown
    for arm, found in buckets.items():
        own = counts[arm]
        own.mixed |= bool(own.up_to) and own.up_to.keys() != found.keys()
        own.up_to = {up_to: own.up_to.get(up_to, 0) + grown for up_to, grown in found.items()}


def _check_together(targets: Sequence[Mapping[Arm, _Counts]], weight: float) -> None:
    """Raises UncountableError if one target counts the canary's requests and another stable's: they
    are scraped at different times, so errors of one arm are known before those of the other."""
    if not 0 < weight < 1:
        return
    seen = [
        {arm: counts.requests for arm, counts in each.items() if counts.requests}
        for each in targets
    ]
    alone = sum(each[Arm.CANARY] for each in seen if each.keys() == {Arm.CANARY})
    both = any(len(each) == 2 for each in seen)
    stable = any(each.keys() == {Arm.STABLE} for each in seen)
    if stable and not both and alone * log(weight) < _CERTAIN:
        raise UncountableError(
            "stable's requests and the canary's are counted by different targets, which are "
            "scraped at different times: name counters of the gateway, or of those who send the "
            "requests, so that each target counts both"
        )


def _window(
    scrapes: Sequence[_Scrape],
    counts: Mapping[Arm, _Counts],
    era: Era,
    before: Sequence[TrafficWindow],
) -> TrafficWindow:
    end = max(scrape.at for scrape in scrapes)
    start = min(scrape.since for scrape in scrapes) / 1000
    if before:  # other targets' scrapes overlap those of the window before
        start = max(start, before[0].end)
    stable, canary = (_arm(counts.get(arm, _Counts())) for arm in Arm)
    if canary.latencies and stable.latencies and _edges(canary) != _edges(stable):
        canary = canary.model_copy(update={"latencies": (), "timed": None})
        stable = stable.model_copy(update={"latencies": (), "timed": None})
    return TrafficWindow(
        seq=end, start=start, end=end / 1000, weight=era.weight, stable=stable, canary=canary
    )


def _arm(counts: _Counts) -> ArmWindow:
    bounds, below = sorted(counts.up_to), 0
    ascends = all(counts.up_to[a] <= counts.up_to[b] for a, b in pairwise(bounds))
    if not bounds or bounds[-1] != inf or not ascends or counts.mixed:
        return ArmWindow(requests=counts.requests, errors=counts.errors)
    buckets: list[LatencyBucket] = []
    for bound in bounds:
        edge = None if bound == inf else bound
        buckets.append(LatencyBucket(up_to=edge, count=counts.up_to[bound] - below))
        below = counts.up_to[bound]
    return ArmWindow(
        requests=counts.requests, errors=counts.errors, latencies=tuple(buckets), timed=below
    )


def _edges(arm: ArmWindow) -> list[float | None]:
    return [bucket.up_to for bucket in arm.latencies]
