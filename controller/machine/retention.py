"""PURE. What of the home folder has to stay, and until when the rest does.

Everything that is stored is named by a digest, and everything that may need it says the digest, or
the number of the model version, somewhere in its state. So the state is searched for names, as a
garbage collector searches a stack: whatever looks like one is kept. What nobody names stays for
`keep` after its last use, so the steps of a run that ended remain in the cache for that long.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from controller.machine.core import Value
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.run import Run
from controller.machine.runs.step_nodes import image_of
from specs.digests import canonical_json

MARGIN = 3600.0
"""Seconds before its creation in which a run may have looked at what it reads."""

_NAME = re.compile(r"(?<![0-9a-z])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-z])")


class StoredReferences(Value):
    """What the store says, read in the order in which work travels: what moves on between two
    reads is met again further on."""

    runs: tuple[Run, ...]
    """Those that go on, and those that letters and owed actions are about."""
    graphs: tuple[Mapping[str, Any], ...] = ()
    """Of these runs."""
    pending: tuple[Mapping[str, Any], ...] = ()
    """The bodies of owed actions, and of letters that nobody heeded yet."""
    objects: tuple[Mapping[str, Any], ...] = ()
    """Of environments and pipelines."""
    versions: tuple[ModelVersion, ...] = ()
    """All there are."""


class Kept(Value):
    """What stays."""

    before: float
    """Only what was used last before this moment may go; seconds since the epoch."""
    runs: frozenset[str]
    """Whose attempts stay, by id."""
    names: frozenset[str]
    """Digests of artifacts, dataset versions and folders that images are built from, and commits;
    hexadecimal."""
    versions: tuple[ModelVersion, ...]
    """Model versions that serve, may be rolled back to, or are on their way."""


def what_to_keep(stored: StoredReferences, keep: float, now: float) -> Kept:
    """What stays; `keep` is in seconds, `now` in seconds since the epoch."""
    began = [run.created - MARGIN for run in stored.runs if run.live]
    runs = [run.plain() for run in stored.runs]
    names = set(_names((*runs, *stored.graphs, *stored.pending, *stored.objects)))
    numbers = {number for body in stored.pending for number in _numbers(body)}
    versions = [
        one
        for one in stored.versions
        if one.digest.partition(":")[2] in names or one.number in numbers
    ]
    for one in versions:  # not its data: nobody trains it again
        needs = (one.model, *one.reports.values(), one.source.commit)
        names.update(each.rpartition(":")[2] for each in needs)
        _, build = image_of(one.spec, one.source, None)
        names |= {build.digest.rpartition(":")[2]} if build else set()
    return Kept(
        before=min([now - keep, *began]),
        runs=frozenset(run.id for run in stored.runs),
        names=frozenset(names),
        versions=tuple(versions),
    )


def runs_of(pending: Sequence[Mapping[str, Any]]) -> set[str]:
    """The ids of the runs that letters and owed actions are about."""
    found: set[str] = set()
    for body in pending:
        attempt = body.get("attempt")
        run = attempt.get("run") if isinstance(attempt, Mapping) else body.get("run")
        found |= {run} if isinstance(run, str) else set()
        found |= {attempt.partition(".")[0]} if isinstance(attempt, str) else set()
    return found


def _names(bodies: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for body in bodies:
        yield from _NAME.findall(canonical_json(body).decode())


def _numbers(body: Mapping[str, Any]) -> Iterator[int]:
    """Numbers of versions, of whatever pipeline: to keep one too many costs a folder."""
    for field in ("version", "to", "stable", "canary"):
        if isinstance(body.get(field), int):
            yield body[field]
