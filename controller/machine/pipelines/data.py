"""PURE. What is seen of datasets: which version is there, and whether it is complete."""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from controller.machine.core import Blocked, Value
from specs.digests import digest, short
from specs.figures import duration
from specs.globs import ROOT
from specs.model import Dataset
from specs.model import Pipeline as Spec

LISTING_INTERVAL = 60.0
"""Seconds after which a pipeline looks at its datasets, should no source have hinted."""
UNSETTLED_INTERVAL = 1.0
"""Seconds between looks at a dataset that is still being written."""


class DatasetListing(Value):
    """What a dataset holds now."""

    digest: str | None = None
    settled: bool = True
    """False while an object is being written."""
    marked: bool = False
    """Whether the marker file is there, and no object is newer."""
    unmarked: str = ""
    """Why it does not count, as a clause that names it and the newer object."""
    problem: str | None = None
    waits: Blocked | None = None
    """The object store that is away or refuses, if that is the problem."""
    at: float | None = None
    """When it was begun, in seconds since the epoch; None: just now."""
    whole: bool = False
    """Whether it is a commit of a table: no part of it is to come."""


class SeenDataset(Value):
    """What was seen of a dataset."""

    current: str
    """The newest version listed."""
    since: float
    """When that version was first listed."""
    ready: str | None = None
    """The newest version that was complete: quiet for long enough, or marked."""
    doubted: float | None = None
    """When a run found objects of the current version replaced."""


def place(spec: Spec, name: str, commit: str) -> str:
    """What a dataset is known by: its name, where it is, and what makes it complete.

    So a branch that reads elsewhere, or is content with less, decides nothing for the others.
    Data in the repository is another at each commit.
    """
    uri = _where(spec.datasets[name])
    if _in_repository(spec.datasets[name]):
        return f"{name} at {commit}:{uri}"
    trigger = spec.triggers.data
    if trigger is None or name not in trigger.datasets:
        return f"{name} at {uri}"
    if trigger.marker is not None and spec.datasets[name].query is None:
        return f"{name} at {uri} once marked by {trigger.marker}"
    return f"{name} at {uri} once quiet for {duration(trigger.quiet.total_seconds())}"


def update_seen(
    data: Mapping[str, SeenDataset],
    specs: Mapping[str, Spec],
    listings: Mapping[str, Mapping[str, DatasetListing]],
    now: float,
) -> tuple[dict[str, SeenDataset], float]:
    """What is seen by now, by place, of the datasets of the specs, and in how many seconds there
    can be more to see. Specs by commit, listings by commit and dataset."""
    found: dict[str, SeenDataset] = {}
    wait = LISTING_INTERVAL
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
                    wait = min(wait, soon if remaining else LISTING_INTERVAL)
                    if remaining <= 0:
                        seen = seen.model_copy(update={"ready": seen.current, "doubted": None})
            if not listing.settled:  # what is being written is in no version yet
                wait = min(wait, UNSETTLED_INTERVAL)
            if seen is not None:
                found[here] = seen
    return found, wait


def without_replaced(
    data: Mapping[str, SeenDataset], spec: Spec, commit: str, read: Mapping[str, str], now: float
) -> dict[str, SeenDataset]:
    """What is seen once a run found that the versions it read, by dataset, are there no more.

    None of them is complete any more. One that is still listed counts again if a listing says so
    that was begun `LOOK` later, so that a run never fails over it time and again at once.
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
    """What is seen once a run took newer versions, by dataset, than those it began with."""
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
    """What a run of this spec still waits for, in a sentence. For the datasets `besides` nobody
    looks."""
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
    """What was delivered and counts for nothing yet, for want of a marker: in a sentence."""
    found = []
    for name in versioned(spec):
        seen, listing = data.get(place(spec, name, commit)), listings.get(name, DatasetListing())
        if seen is not None and seen.ready != seen.current and listing.unmarked:
            found.append(f"dataset {name} has newer data, and {listing.unmarked}")
    return "; ".join(found) or None


def _incomplete_for(
    spec: Spec, name: str, listing: DatasetListing, seen: SeenDataset, at: float
) -> float:
    """Seconds from the listing, begun `at`, until the version can count as complete; 0 when it
    does."""
    if seen.doubted is not None and at < seen.doubted + LISTING_INTERVAL:
        return seen.doubted + LISTING_INTERVAL - at
    if not listing.settled:
        return UNSETTLED_INTERVAL
    trigger = spec.triggers.data
    dataset = spec.datasets[name]
    if trigger is None or name not in trigger.datasets or _in_repository(dataset):
        return 0.0
    if trigger.marker is not None and dataset.query is None:
        return 0.0 if listing.marked else LISTING_INTERVAL
    if listing.whole and "quiet" not in trigger.model_fields_set:
        return 0.0  # who says `quiet` wants to wait for several commits
    return max(0.0, seen.since + trigger.quiet.total_seconds() - at)


def versioned(spec: Spec) -> tuple[str, ...]:
    """The datasets whose version is known before a run begins."""
    return tuple(name for name, dataset in spec.datasets.items() if dataset.is_versioned)


def _where(dataset: Dataset) -> str:
    query = dataset.query
    if query is None:
        return dataset.uri or ""
    return f"{query.url}, {short(digest([query.sql, query.version]))}"


def _in_repository(dataset: Dataset) -> bool:
    uri = dataset.uri
    if uri is None or urlsplit(uri).scheme:
        return False
    return uri.startswith(ROOT) or not uri.startswith("/")
