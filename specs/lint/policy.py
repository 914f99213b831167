"""Lint of triggers, gates, releases and notifications."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from specs.cron import cron_fault
from specs.lint.datasets import lint_idle
from specs.lint.gate import lint_gate
from specs.lint.images import lint_images
from specs.lint.kserve import lint_kserve
from specs.lint.limits import lint_limits
from specs.loading.explain import nearest
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.model import Pipeline
from specs.references import SECRET
from specs.release import Canary, Production
from specs.schedule import ScheduleTrigger
from specs.values import format_duration, format_percent


def lint_policy(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """Problems with triggers, the model gate, the release and notifications."""
    yield from lint_images(loaded, pipeline)
    yield from lint_kserve(loaded, pipeline)
    yield from _data_trigger(loaded, pipeline)
    yield from _schedules(loaded, pipeline)
    if pipeline.gates.model is not None:
        yield from lint_gate(loaded, pipeline, pipeline.gates.model)
        yield from lint_limits(loaded, pipeline.gates.model)
    if pipeline.release is not None:
        yield from _release(loaded, pipeline)
        yield from _strategy(loaded, pipeline.release.production)
        yield from _canary(loaded, pipeline.release.production.canary)
    yield from _notify(loaded, pipeline)


def _data_trigger(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    data = pipeline.triggers.data
    if data is None:
        return
    names = loaded.names("datasets")
    for place, name in enumerate(data.datasets):
        here = ("triggers", "data", "datasets", place)
        if name not in names:
            message = f"there is no dataset `{name}`"
            yield loaded.problem("unknown-reference", here, message, nearest=nearest(name, names))
        elif name in data.datasets[:place]:
            yield loaded.problem("duplicate", here, f"`{name}` is listed twice")
    if data.marker is not None and "quiet" in data.model_fields_set:
        message = "`quiet` has no effect with `marker`, which says when data is complete"
        path = ("triggers", "data", "quiet")
        yield loaded.problem("no-effect", path, message, severity="warning", at_key=True)


def _schedules(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    batch = pipeline.release.batch if pipeline.release is not None else None
    places: dict[YamlPath, ScheduleTrigger | None] = {
        ("triggers", "schedule"): pipeline.triggers.schedule,
        ("release", "batch", "schedule"): batch.schedule if batch is not None else None,
    }
    for path, schedule in places.items():
        if schedule is not None:
            yield from _schedule(loaded, pipeline, path, schedule)


def _schedule(
    loaded: LoadedSpec, pipeline: Pipeline, path: YamlPath, schedule: ScheduleTrigger
) -> Iterator[Problem]:
    fault = cron_fault(schedule.cron)
    if fault is not None:
        message = f"`{schedule.cron}` is not a valid schedule: {fault}"
        yield loaded.problem("cron", (*path, "cron"), message)
    try:
        ZoneInfo(schedule.timezone)
    except (KeyError, ValueError, OSError):
        yield loaded.problem(
            "timezone",
            (*path, "timezone"),
            f"there is no time zone `{schedule.timezone}`",
            expected="an IANA name such as Europe/Berlin",
            nearest=nearest(schedule.timezone, sorted(available_timezones())),
        )
        return
    if fault is None and path[0] == "triggers":
        yield from lint_idle(loaded, pipeline)


def _release(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    if "model" not in loaded.names():
        message = "`release` needs `model`, the output that is the model"
        yield loaded.problem("missing-key", ("release",), message, at_key=True)
    if "model" not in loaded.names("gates"):
        message = "no gate judges the model before it is released"
        yield loaded.problem("no-gate", ("release",), message, severity="warning", at_key=True)
    release = pipeline.release
    used = (release.serve or release.batch) if release is not None else None
    where = release.where if release is not None else ""
    for name in used.secrets if used is not None else ():
        if used is not None and name in used.env:
            message = f"{name} is both in `env` and in `secrets` of `release.{where}`"
            path = ("release", where, "env", name)
            yield loaded.problem("duplicate", path, message, at_key=True)


def _strategy(loaded: LoadedSpec, production: Production) -> Iterator[Problem]:
    """Settings of a strategy that is not used."""
    path = ("release", "production")
    for key, strategy in (("canary", "canary"), ("blue_green", "blue-green")):
        if key in production.model_fields_set and production.strategy != strategy:
            message = f"`{key}` has no effect with `strategy: {production.strategy}`"
            expected = f"`strategy: {strategy}`, or no `{key}`"
            here = (*path, key)
            yield loaded.problem("no-effect", here, message, expected=expected, at_key=True)


def _canary(loaded: LoadedSpec, canary: Canary) -> Iterator[Problem]:
    path = ("release", "production", "canary")
    for place, weight in enumerate(canary.steps):
        if not 0 < weight < 1:
            message = f"a canary cannot have {format_percent(weight)} of the traffic"
            yield loaded.problem(
                "weight", (*path, "steps", place), message, expected="more than 0%, less than 100%"
            )
    for place, (before, weight) in enumerate(pairwise(canary.steps), start=1):
        if weight <= before:
            message = (
                f"the weights do not increase: {format_percent(weight)} after "
                f"{format_percent(before)}"
            )
            yield loaded.problem("weight", (*path, "steps", place), message)
    counts = canary.signals.errors.counts if canary.signals.errors is not None else ()
    for place, status in enumerate(counts):
        here = (*path, "signals", "errors", "counts", place)
        if status in counts[:place]:
            yield loaded.problem("duplicate", here, f"`{status}` is listed twice")
        elif status[0].isdigit() and not status.endswith("xx") and f"{status[0]}xx" in counts:
            message = f"`{status}` is one of `{status[0]}xx`, which already counts as an error"
            yield loaded.problem("no-effect", here, message, severity="warning")
    if canary.deadline < canary.minimum_bake:
        yield loaded.problem(
            "deadline",
            (*path, "deadline" if "deadline" in canary.model_fields_set else "minimum_bake"),
            f"the deadline ({format_duration(canary.deadline)}) is shorter than the minimum bake "
            f"({format_duration(canary.minimum_bake)}), so no canary could be promoted",
        )


_PASSWORD: Final = re.compile(r"://[^/@]*:[^/@]+@")


def _notify(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    for place, notification in enumerate(pipeline.notify):
        path = ("notify", place, "to")
        rest = SECRET.sub("", notification.to)
        if "$" in rest:
            message = "this `$` is not part of a secret's name"
            yield loaded.problem("secret", path, message, expected="${NAME} for a secret")
        elif _PASSWORD.search(rest):
            message = "the file contains a password, which everybody who can read the repository "
            "has"
            yield loaded.problem("secret", path, message, expected="${NAME} for a secret")
    counts = Counter(notification.to for notification in pipeline.notify)
    for place, notification in enumerate(pipeline.notify):
        if counts[notification.to] > 1 and notification in pipeline.notify[:place]:
            message = "this notification is listed twice"
            yield loaded.problem("duplicate", ("notify", place), message)
