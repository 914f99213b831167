"""What is wrong with triggers, gates, the canary or notifications although the form is right."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from specs.cron import cron_fault
from specs.explain import nearest
from specs.gates import (
    LOWER_IS_BETTER,
    NEEDS_PREDICTION,
    NEEDS_SCORE,
    AbsoluteCheck,
    ModelGate,
    PairedCheck,
    tasks_of,
)
from specs.lint_images import lint_images
from specs.lint_limits import lint_limits
from specs.load import Loaded
from specs.model import Pipeline
from specs.problems import Problem
from specs.references import SECRET, StepReference
from specs.release import Canary
from specs.values import format_duration, format_percent


def lint_policy(loaded: Loaded, pipeline: Pipeline) -> Iterator[Problem]:
    """Problems of what starts a run, judges a model, releases it, and tells people."""
    yield from lint_images(loaded, pipeline)
    yield from _data_trigger(loaded, pipeline)
    yield from _schedule(loaded, pipeline)
    if pipeline.gates.model is not None:
        yield from _gate(loaded, pipeline.gates.model)
        yield from lint_limits(loaded, pipeline.gates.model)
        yield from _task(loaded, pipeline.gates.model)
        yield from _baseline(loaded, pipeline, pipeline.gates.model)
    if pipeline.release is not None:
        yield from _release(loaded, pipeline)
        yield from _canary(loaded, pipeline.release.production.canary)
    yield from _notify(loaded, pipeline)


def _data_trigger(loaded: Loaded, pipeline: Pipeline) -> Iterator[Problem]:
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
        message = "`quiet` does nothing beside `marker`: the marker says when data is complete"
        path = ("triggers", "data", "quiet")
        yield loaded.problem("no-effect", path, message, severity="warning", at_key=True)


def _schedule(loaded: Loaded, pipeline: Pipeline) -> Iterator[Problem]:
    schedule = pipeline.triggers.schedule
    if schedule is None:
        return
    fault = cron_fault(schedule.cron)
    if fault is not None:
        path = ("triggers", "schedule", "cron")
        yield loaded.problem("cron", path, f"`{schedule.cron}` is no schedule: {fault}")
    try:
        ZoneInfo(schedule.timezone)
    except (KeyError, ValueError, OSError):
        yield loaded.problem(
            "timezone",
            ("triggers", "schedule", "timezone"),
            f"there is no time zone `{schedule.timezone}`",
            expected="an IANA name such as Europe/Berlin",
            nearest=nearest(schedule.timezone, sorted(available_timezones())),
        )


def _gate(loaded: Loaded, gate: ModelGate) -> Iterator[Problem]:
    path = ("gates", "model")
    for place, column in enumerate(gate.slices):
        if column in gate.slices[:place]:
            message = f"the slice `{column}` is listed twice"
            yield loaded.problem("duplicate", (*path, "slices", place), message)
    for place, check in enumerate(gate.checks):
        here = (*path, "checks", place)
        if check in gate.checks[:place]:
            message = f"this check of {check.metric} is listed twice"
            yield loaded.problem("duplicate", here, message, severity="warning")
        if check.slice is not None and check.slice not in gate.slices:
            message = f"`{check.slice}` is not among the gate's slices"
            near = nearest(check.slice, gate.slices)
            yield loaded.problem("unknown-reference", (*here, "slice"), message, nearest=near)
        lacks = (check.metric in NEEDS_SCORE and gate.columns.score is None and "score") or (
            check.metric in NEEDS_PREDICTION and gate.columns.prediction is None and "prediction"
        )
        if lacks:
            message = f"{check.metric} needs `gates.model.columns.{lacks}`"
            yield loaded.problem("missing-column", (*here, "metric"), message)
        if isinstance(check, AbsoluteCheck) and _is_reversed(check):
            better = "lower" if check.metric in LOWER_IS_BETTER else "higher"
            message = f"{check.metric} is better when {better}: this limit stops good models only"
            yield loaded.problem("reversed-limit", here, message, severity="warning")
    if all(check.severity == "warn" for check in gate.checks):
        message = "every check only warns: this gate cannot stop a model"
        yield loaded.problem(
            "no-effect", (*path, "checks"), message, severity="warning", at_key=True
        )


def _task(loaded: Loaded, gate: ModelGate) -> Iterator[Problem]:
    """What the gate says of the task against its metrics and columns."""
    path = ("gates", "model")
    stated = gate.task or ("binary" if gate.positive is not None else None)
    if gate.positive is not None and stated != "binary":
        message = f"`positive` names a class of binary classification, and the task is {stated}"
        yield loaded.problem("task", (*path, "positive"), message, at_key=True)
    if stated in ("multiclass", "regression") and gate.columns.prediction is None:
        message = f"{stated} needs `gates.model.columns.prediction`: a score is of two classes"
        yield loaded.problem("missing-column", (*path, "task"), message)
    for place, check in enumerate(gate.checks):
        first = gate.checks[0].metric
        fits, possible = tasks_of(check.metric), (stated,) if stated else tasks_of(first)
        if set(possible).isdisjoint(fits):
            why = f"{first} {_either(possible)}"
            if stated:
                source = "the task is" if gate.task else "`positive` makes the task"
                why = f"{source} {_either([stated])}"
            message = f"{check.metric} measures {_either(fits)}, and {why}"
            yield loaded.problem("task", (*path, "checks", place, "metric"), message)


def _either(tasks: Iterable[str]) -> str:
    """The tasks as a person says them."""
    return " or ".join(task if task == "regression" else f"{task} classification" for task in tasks)


def _is_reversed(check: AbsoluteCheck) -> bool:
    if check.metric in LOWER_IS_BETTER:
        return check.at_most is None
    return check.at_least is None


def _baseline(loaded: Loaded, pipeline: Pipeline, gate: ModelGate) -> Iterator[Problem]:
    """The baseline is judged by running the step that makes the predictions on its model."""
    paired = [i for i, check in enumerate(gate.checks) if isinstance(check, PairedCheck)]
    step = pipeline.steps.get(gate.predictions.step)
    if not paired and "model" in loaded.names():
        yield from _another(loaded, pipeline, gate)
    if not paired or step is None or "model" not in loaded.names():
        if paired and "model" not in loaded.names():
            message = "a comparison with the baseline needs `model`, the output that is the model"
            yield loaded.problem("missing-key", ("gates", "model", "checks", paired[0]), message)
        return
    inputs = loaded.names("steps", gate.predictions.step, "inputs")
    if pipeline.model is not None and not (
        pipeline.model in step.inputs.values() or len(inputs) > len(step.inputs)
    ):
        yield loaded.problem(
            "baseline",
            ("gates", "model", "checks", paired[0]),
            f"`steps.{gate.predictions.step}` does not read `{pipeline.model}`, so it cannot be "
            "run for the baseline",
            expected=f"a step that makes {gate.predictions} and has {pipeline.model} as an input",
        )


def _another(loaded: Loaded, pipeline: Pipeline, gate: ModelGate) -> Iterator[Problem]:
    """One model would be judged, and another released."""
    model, steps = pipeline.model, [gate.predictions.step]
    for name in steps:  # it grows: all that the predictions come from
        step = pipeline.steps.get(name)
        inputs = loaded.names("steps", name, "inputs")
        if model is None or step is None or len(inputs) > len(step.inputs):
            return  # what is missing is told elsewhere
        if name == model.step or model in step.inputs.values():
            return
        read = [one.step for one in step.inputs.values() if isinstance(one, StepReference)]
        steps += [one for one in read if one not in steps]
    yield loaded.problem(
        "another-model",
        ("gates", "model", "predictions"),
        f"`{gate.predictions}` does not come from `{model}`, the model that is released",
        expected=f"predictions of a step that has {model} as an input",
    )


def _release(loaded: Loaded, pipeline: Pipeline) -> Iterator[Problem]:
    if "model" not in loaded.names():
        message = "`release` needs `model`, the output that is the model"
        yield loaded.problem("missing-key", ("release",), message, at_key=True)
    if "model" not in loaded.names("gates"):
        message = "no gate judges the model before it is released"
        yield loaded.problem("no-gate", ("release",), message, severity="warning", at_key=True)
    serve = pipeline.release.serve if pipeline.release is not None else None
    for name in serve.secrets if serve is not None else ():
        if serve is not None and name in serve.env:
            message = f"{name} is both in `env` and in `secrets` of `release.serve`"
            path = ("release", "serve", "env", name)
            yield loaded.problem("duplicate", path, message, at_key=True)


def _canary(loaded: Loaded, canary: Canary) -> Iterator[Problem]:
    path = ("release", "production", "canary")
    for place, weight in enumerate(canary.steps):
        if not 0 < weight < 1:
            message = f"{format_percent(weight)} of the traffic is no canary"
            yield loaded.problem(
                "weight", (*path, "steps", place), message, expected="more than 0%, less than 100%"
            )
    for place, (before, weight) in enumerate(pairwise(canary.steps), start=1):
        if weight <= before:
            message = (
                f"the weights do not grow: {format_percent(weight)} after {format_percent(before)}"
            )
            yield loaded.problem("weight", (*path, "steps", place), message)
    counts = canary.signals.errors.counts if canary.signals.errors is not None else ()
    for place, status in enumerate(counts):
        here = (*path, "signals", "errors", "counts", place)
        if status in counts[:place]:
            yield loaded.problem("duplicate", here, f"`{status}` is listed twice")
        elif status[0].isdigit() and not status.endswith("xx") and f"{status[0]}xx" in counts:
            message = f"`{status}` is one of `{status[0]}xx`, which counts as an error already"
            yield loaded.problem("no-effect", here, message, severity="warning")
    if canary.deadline < canary.minimum_bake:
        yield loaded.problem(
            "deadline",
            (*path, "deadline" if "deadline" in canary.model_fields_set else "minimum_bake"),
            f"the deadline ({format_duration(canary.deadline)}) is before the end of the minimum "
            f"bake ({format_duration(canary.minimum_bake)}): no canary could be promoted",
        )


_PASSWORD: Final = re.compile(r"://[^/@]*:[^/@]+@")


def _notify(loaded: Loaded, pipeline: Pipeline) -> Iterator[Problem]:
    for place, notification in enumerate(pipeline.notify):
        path = ("notify", place, "to")
        rest = SECRET.sub("", notification.to)
        if "$" in rest:
            message = "a `$` here is not part of a secret's name"
            yield loaded.problem("secret", path, message, expected="${NAME} for a secret")
        elif _PASSWORD.search(rest):
            message = "a password stands in the file; everybody who reads the repository has it"
            yield loaded.problem("secret", path, message, expected="${NAME} for a secret")
    counts = Counter(notification.to for notification in pipeline.notify)
    for place, notification in enumerate(pipeline.notify):
        if counts[notification.to] > 1 and notification in pipeline.notify[:place]:
            message = "this notification is listed twice"
            yield loaded.problem("duplicate", ("notify", place), message)
