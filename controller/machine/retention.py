"""PURE. What has to be kept in the home folder and in the store, and until when the rest is.

Everything stored is named by a digest, and every state that may need it has the digest, or the
number of the model version. So states are searched for names, as a conservative garbage collector
searches a stack: whatever looks like a name is kept. What is not named is kept for `keep` seconds
after its last use, so the results of an ended run remain in the cache for that long.

The same states say which ended runs are kept in the store: the last ones of each branch, those of
the versions that serve or may serve again, and those that pending work is about. Model versions and
rollouts are the release history, and are kept for ever.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from controller.machine.core import Key, Value
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.run import Run
from controller.machine.runs.step_nodes import image_of

MARGIN = 3600.0
"""Seconds before a run's creation in which its inputs may have been listed."""
DAY = 86_400.0
REPEATED = 4 * DAY
"""Seconds for which a consumed message is remembered, in case it is sent again.

Machines and effects send in the transaction that saves why they do, and commands under a new id
each time: these never repeat themselves. Two senders do. GitHub delivers a webhook again, under the
id that it had, for three days. A schedule whose clock is set back comes due again. The fourth day
is for a clock that is a day off, which is also all that a new controller's clock believes.
"""

_NAME = re.compile(r"(?<![0-9a-z])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-z])")
_RUN = re.compile(r'"([a-z0-9](?:[a-z0-9-]*[a-z0-9])?-[0-9]+)"')
_VERSION = re.compile(r'"(?:version|to|stable|canary)":([0-9]+)')


class Stated(NamedTuple):
    """What a state, or a pending action or message, says."""

    pipeline: str
    """Whose it is; empty where it is no pipeline's."""
    text: str
    """As compact JSON."""


class StoredReferences(Value):
    """What the store has. It is read in the order in which work moves through it, so that nothing
    that moves on between two reads is missed."""

    runs: tuple[Run, ...]
    """Live runs, and those that pending messages and actions are about."""
    stated: tuple[Stated, ...] = ()
    """By the graphs of these runs, pending actions and messages, pipelines and environments."""
    versions: tuple[ModelVersion, ...] = ()
    """The model versions that `versions_of` finds in this."""


class Kept(Value):
    """What is kept."""

    before: float
    """Only what was last used before this moment may be deleted; seconds since the epoch."""
    runs: frozenset[str]
    """Ids of the runs whose attempts are kept."""
    history: frozenset[str]
    """Ids of the runs that are kept in the store, whenever they ended."""
    names: frozenset[str]
    """Digests of artifacts, dataset versions and folders that images are built from, and commits;
    hexadecimal."""
    versions: tuple[ModelVersion, ...]
    """Model versions that serve, may be rolled back to, or are being released."""


def what_to_keep(stored: StoredReferences, keep: float, now: float) -> Kept:
    """What is kept; `keep` is in seconds, `now` in seconds since the epoch."""
    began = [run.created - MARGIN for run in stored.runs if run.live]
    texts = [run.model_dump_json() for run in stored.runs]
    texts += [each.text for each in stored.stated]
    names = {name for text in texts for name in _NAME.findall(text)}
    runs = frozenset(run.id for run in stored.runs)
    history = {id_ for text in texts for id_ in _RUN.findall(text)}
    for one in stored.versions:  # without its data, as it is not trained again
        history.add(one.run)
        needs = (one.model, *one.reports.values(), one.source.commit)
        names.update(each.rpartition(":")[2] for each in needs)
        _, build = image_of(one.spec, one.source, None)
        names |= {build.digest.rpartition(":")[2]} if build else set()
    return Kept(
        before=min([now - keep, *began]),
        runs=runs,
        history=runs | history,
        names=frozenset(names),
        versions=stored.versions,
    )


def versions_of(stated: Iterable[Stated]) -> set[str]:
    """The names in the store (`flights/3`) of the versions that are meant. One too many may be
    found, which only costs a folder."""
    return {
        f"{each.pipeline}/{number}" for each in stated for number in _VERSION.findall(each.text)
    }


def pipeline_of(key: Key) -> str:
    """The name of the pipeline that an object is of; empty if it is of none."""
    if key.kind in ("run", "graph"):
        return key.name.rpartition("-")[0]
    return key.name.partition("/")[0] if key.kind in ("pipeline", "environment") else ""


def runs_of(pending: Sequence[Mapping[str, Any]]) -> set[str]:
    """The ids of the runs that pending messages and actions are about."""
    found: set[str] = set()
    for body in pending:
        attempt = body.get("attempt")
        run = attempt.get("run") if isinstance(attempt, Mapping) else body.get("run")
        found |= {run} if isinstance(run, str) else set()
        found |= {attempt.partition(".")[0]} if isinstance(attempt, str) else set()
    return found
