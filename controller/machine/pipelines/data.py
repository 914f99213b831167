"""PURE. Which version of each dataset is there, and whether it is complete."""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from controller.machine.core import Blocked, Value
from specs.digests import digest, short
from specs.figures import duration
from specs.globs import ROOT
from specs.model import Dataset
from specs.model import Pipeline as Spec

LISTING_INTERVAL = 60.0
"""Seconds between listings of a dataset that lacks its marker or was found changed, if no source
hints."""
UNSETTLED_INTERVAL = 1.0
"""Seconds between listings of a dataset that is still being written."""


class DatasetListing(Value):
    """What a dataset holds now."""

    digest: str | None = None
    settled: bool = True
    """False while an object is being written."""
    marked: bool = False
    """Whether the marker file is there, and no object is newer."""
    unmarked: str = ""
    """Why the marker does not count, as a clause that names it and the newer object."""
    problem: str | None = None
    waits: Blocked | None = None
    """The store that cannot be reached or refuses, if that is the problem."""
    at: float | None = None
    """When the listing began, in seconds since the epoch; None: just now."""
    whole: bool = False
    """Whether it is complete in itself: a commit of a table, or a query's version."""


class SeenDataset(Value):
    """What is known of a dataset, from all listings so far."""

    current: str
    """The newest version listed."""
    since: float
    """When that version was first listed, in seconds since the epoch."""
    ready: str | None = None
    """The newest version that is complete: quiet for long enough, or marked."""
    doubted: float | None = None
    """When a run found that objects of the current version were replaced."""


def place(spec: Spec, name: str, commit: str) -> str:
    """Identifies a dataset across commits: its name, its location, and what makes it complete.

    So a branch with another location or completeness rule does not affect the other branches. Data
    in the repository has a place of its own at each commit.
    """
    uri = _where(spec.datasets[name])
    if is_committed(spec.datasets[name]):
        return f"{name} at {commit}:{uri}"
    trigger = spec.triggers.data
    if trigger is None or name not in trigger.datasets:
        return f"{name} at {uri}"
    if trigger.marker is not None and spec.datasets[name].query is None:
        return f"{name} at {uri} once marked by {trigger.marker}"
    return f"{name} at {uri} once quiet for {duration(trigger.quiet.total_seconds())}"


def origin(spec: Spec, name: str) -> str:
    """Identifies a dataset by its name and location alone, whatever makes it complete."""
    return f"{name} at {_where(spec.datasets[name])}"


def origins(spec: Spec) -> dict[str, str]:
    """The `origin` of each dataset, by name."""
    return {name: origin(spec, name) for name in spec.datasets}


def update_seen(
    data: Mapping[str, SeenDataset],
    specs: Mapping[str, Spec],
    listings: Mapping[str, Mapping[str, DatasetListing]],
    now: float,
) -> tuple[dict[str, SeenDataset], float | None]:
    """What is known after these listings, by place, and the seconds until the next listing is due;
    None if only a hint of a source can change anything.

    `specs` are by commit, `listings` by commit and dataset.
    """
    found: dict[str, SeenDataset] = {}
    wait: float | None = None
    for commit, spec in specs.items():
        for name in versioned(spec):
            here = place(spec, name, commit)
            listing = listings.get(commit, {}).get(name, DatasetListing())
            seen = found.get(here) or data.get(here)
            if listing.digest is not None:
                at = now if listing.at is None else min(listing.at, now)
                if seen is None or seen.current != listing.digest:
                    ready = seen.ready if seen else None
                    seen = SeenDataset(current=listing.digest, since=at, ready=ready)
                if seen.since > now:  # the clock was set back
                    seen = seen.model_copy(update={"since": now})
                if seen.doubted is not None and seen.doubted > now:
                    seen = seen.model_copy(update={"doubted": now})
                if seen.ready != seen.current:
                    remaining = _incomplete_for(spec, name, listing, seen, at)
                    soon = remaining if at == now else max(remaining, UNSETTLED_INTERVAL)
                    wait = soonest(wait, soon if remaining else None)
                    if remaining <= 0:
                        seen = seen.model_copy(update={"ready": seen.current, "doubted": None})
            if not listing.settled and (seen is not None or listing.problem is None):
                # What is still being written is not part of a version. Where nothing is yet, only
                # a requested run looks.
                wait = soonest(wait, UNSETTLED_INTERVAL)
            if seen is not None:
                found[here] = seen
    return found, wait


def soonest(*waits: float | None) -> float | None:
    """The shortest of these; None is for ever."""
    return min((wait for wait in waits if wait is not None), default=None)


def without_replaced(
    data: Mapping[str, SeenDataset], spec: Spec, commit: str, read: Mapping[str, str], now: float
) -> dict[str, SeenDataset]:
    """What is known after a run found that objects of the versions it read were replaced.

    `read` has these versions by dataset; they are no longer complete. If a version is still listed,
    it counts again after `LISTING_INTERVAL`, so that runs do not fail over it in quick succession.
    """
    found = dict(data)
    for name, version in read.items():
        here = place(spec, name, commit)
        seen = found.get(here)
        if seen is not None and seen.ready == version:
            doubted = now if seen.current == version else None
            found[here] = seen.model_copy(update={"ready": None, "doubted": doubted})
    return found


def with_newer(
    data: Mapping[str, SeenDataset], spec: Spec, commit: str, read: Mapping[str, str]
) -> dict[str, SeenDataset]:
    """What is known after a run took newer versions, by dataset, than those it was started with."""
    found = dict(data)
    for name, version in read.items():
        here = place(spec, name, commit)
        if here in found:
            found[here] = found[here].model_copy(update={"ready": version})
    return found


def complete_versions(data: Mapping[str, SeenDataset], spec: Spec, commit: str) -> dict[str, str]:
    """The newest complete version of each dataset that has one, by name."""
    seen = {name: data.get(place(spec, name, commit)) for name in versioned(spec)}
    return {name: one.ready for name, one in seen.items() if one and one.ready is not None}


def missing(
    data: Mapping[str, SeenDataset],
    spec: Spec,
    commit: str,
    listings: Mapping[str, DatasetListing],
    besides: Collection[str] = (),
) -> str | None:
    """What a run of this spec waits for, as a phrase; None if all datasets are complete. The
    datasets `besides` are not needed."""
    complete = complete_versions(data, spec, commit)
    for name in versioned(spec):
        if name not in complete and name not in besides:
            listing = listings.get(name, DatasetListing())
            why = f" ({listing.unmarked})" if listing.unmarked else ""
            return listing.problem or f"dataset {name} to be complete{why}"
    return None


def describe_unmarked(
    data: Mapping[str, SeenDataset], spec: Spec, commit: str, listings: Mapping[str, DatasetListing]
) -> str | None:
    """Which datasets have newer data that is not used because a marker is missing; None: none."""
    found = []
    for name in versioned(spec):
        seen, listing = data.get(place(spec, name, commit)), listings.get(name, DatasetListing())
        if seen is not None and seen.ready != seen.current and listing.unmarked:
            found.append(f"dataset {name} has newer data, and {listing.unmarked}")
    return "; ".join(found) or None


def _incomplete_for(
    spec: Spec, name: str, listing: DatasetListing, seen: SeenDataset, at: float
) -> float:
    """Seconds from the listing, which began `at`, until the version can be complete; 0 if it is."""
    if seen.doubted is not None and at < seen.doubted + LISTING_INTERVAL:
        return seen.doubted + LISTING_INTERVAL - at
    if not listing.settled:
        return UNSETTLED_INTERVAL
    trigger = spec.triggers.data
    dataset = spec.datasets[name]
    if trigger is None or name not in trigger.datasets or is_committed(dataset):
        return 0.0
    if trigger.marker is not None and dataset.query is None:
        return 0.0 if listing.marked else LISTING_INTERVAL
    if listing.whole and "quiet" not in trigger.model_fields_set:
        return 0.0  # an explicit `quiet` means to wait for several commits
    return max(0.0, seen.since + trigger.quiet.total_seconds() - at)


def versioned(spec: Spec) -> tuple[str, ...]:
    """The datasets whose version is known before a run starts."""
    return tuple(name for name, dataset in spec.datasets.items() if dataset.is_versioned)


def _where(dataset: Dataset) -> str:
    query = dataset.query
    if query is None:
        return dataset.uri or ""
    return f"{query.url}, {short(digest([query.sql, query.version]))}"


def is_committed(dataset: Dataset) -> bool:
    """Whether its data is part of the commit."""
    uri = dataset.uri
    if uri is None or urlsplit(uri).scheme:
        return False
    return uri.startswith(ROOT) or not uri.startswith("/")
