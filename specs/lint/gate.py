"""Lint of the model gate."""

from collections.abc import Iterable, Iterator

from specs.gates import AbsoluteCheck, Check, ModelGate, PairedCheck
from specs.loading.explain import nearest
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlKey
from specs.metrics import METRICS, OWN, Task, is_own, tasks_of
from specs.model import Pipeline
from specs.references import StepReference

_GATE = ("gates", "model")


def lint_gate(loaded: LoadedSpec, pipeline: Pipeline, gate: ModelGate) -> Iterator[Problem]:
    """Problems with the gate that judges the candidate."""
    yield from _slices(loaded, gate)
    for place, check in enumerate(gate.checks):
        here = (*_GATE, "checks", place)
        if check in gate.checks[:place]:
            message = f"this check of {check.metric} is listed twice"
            yield loaded.problem("duplicate", here, message, severity="warning")
        if is_own(check.metric):
            yield from _own_number(loaded, gate, check, here)
        else:
            yield from _measured(loaded, gate, check, here)
    if all(check.severity == "warn" for check in gate.checks):
        message = "all checks only warn, so this gate cannot stop a model"
        yield loaded.problem(
            "no-effect", (*_GATE, "checks"), message, severity="warning", at_key=True
        )
    yield from _evidence(loaded, gate)
    yield from _task(loaded, gate)
    yield from _baseline(loaded, pipeline, gate)


def _slices(loaded: LoadedSpec, gate: ModelGate) -> Iterator[Problem]:
    for place, column in enumerate(gate.slices):
        if column in gate.slices[:place]:
            message = f"the slice `{column}` is listed twice"
            yield loaded.problem("duplicate", (*_GATE, "slices", place), message)


def _measured(
    loaded: LoadedSpec, gate: ModelGate, check: Check, here: tuple[YamlKey, ...]
) -> Iterator[Problem]:
    """A check of a metric that the gate measures itself."""
    metric = METRICS[check.metric]
    if check.slice is not None and check.slice not in gate.slices:
        message = f"`{check.slice}` is not among the gate's slices"
        near = nearest(check.slice, gate.slices)
        yield loaded.problem("unknown-reference", (*here, "slice"), message, nearest=near)
    if gate.predictions is None:
        message = f"{check.metric} needs `gates.model.predictions`, which is missing"
        near = f"{OWN}{check.metric}"
        expected = f"predictions, or {OWN}NAME for a number in `gates.model.metrics`"
        yield loaded.problem(
            "missing-key", (*here, "metric"), message, expected=expected, nearest=near
        )
    elif gate.columns and metric.columns and not set(metric.columns) & set(gate.columns.named):
        lacks = " or ".join(f"`gates.model.columns.{name}`" for name in metric.columns)
        message = f"{check.metric} needs {lacks}"
        yield loaded.problem("missing-column", (*here, "metric"), message)
    if isinstance(check, PairedCheck) and check.better is not None:
        known = check.better == metric.better
        message = f"{check.metric} is always better when {metric.better}: leave `better` out"
        yield loaded.problem(
            "no-effect" if known else "better",
            (*here, "better"),
            message,
            severity="warning" if known else "error",
        )
    if isinstance(check, AbsoluteCheck) and _is_reversed(check):
        better = f"{check.metric} is better when {metric.better}"
        message = f"{better}: this limit only stops good models"
        yield loaded.problem("reversed-limit", here, message, severity="warning")


def _own_number(
    loaded: LoadedSpec, gate: ModelGate, check: Check, here: tuple[YamlKey, ...]
) -> Iterator[Problem]:
    """A check of a number that a step wrote, about which only the spec says anything."""
    if gate.metrics is None:
        message = f"{check.metric} is a number in `gates.model.metrics`, which is missing"
        name = check.metric.removeprefix(OWN)
        yield loaded.problem(
            "missing-key",
            (*here, "metric"),
            message,
            expected="`metrics`, the output that is a JSON file of numbers",
            nearest=name if name in METRICS else nearest(name, METRICS),
        )
    if check.slice is not None:
        message = f"{check.metric} is one number and cannot be sliced by `{check.slice}`"
        expected = f"a number per value, such as {check.metric}.VALUE, with a check for each"
        yield loaded.problem("slice", (*here, "slice"), message, expected=expected, at_key=True)
    if not isinstance(check, PairedCheck):
        return
    if check.better is None:
        message = f"`better` is missing: is {check.metric} better when higher or lower?"
        yield loaded.problem("better", here, message, expected="better: higher, or better: lower")
    if "confidence" in check.model_fields_set:
        message = f"{check.metric} has no interval, so `confidence` has no effect"
        path = (*here, "confidence")
        yield loaded.problem("no-effect", path, message, severity="warning", at_key=True)


def _evidence(loaded: LoadedSpec, gate: ModelGate) -> Iterator[Problem]:
    """Evidence that no check uses, and settings for evidence that is not given."""
    named = any(is_own(check.metric) for check in gate.checks)
    if gate.metrics is not None and gate.predictions is not None and not named:
        message = f"no check uses a number of `metrics`, which would be called {OWN}NAME"
        path = (*_GATE, "metrics")
        yield loaded.problem("no-effect", path, message, severity="warning", at_key=True)
    if gate.predictions is not None:
        return
    for name in ("columns", "task", "positive", "slices", "threshold", "minimum_slice_rows"):
        if name in gate.model_fields_set:
            path = (*_GATE, name)
            message = f"`{name}` applies to `gates.model.predictions`, which is missing"
            yield loaded.problem("no-effect", path, message, severity="warning", at_key=True)


def _task(loaded: LoadedSpec, gate: ModelGate) -> Iterator[Problem]:
    """Whether the task, the metrics and the columns fit each other."""
    columns = gate.columns
    if columns is None:
        return
    stated = gate.task or ("binary" if gate.positive is not None else None)
    if gate.positive is not None and stated != "binary":
        message = f"`positive` is for binary classification, but the task is {stated}"
        yield loaded.problem("task", (*_GATE, "positive"), message, at_key=True)
    told = columns.prediction or (stated == "multiclass" and columns.scores)
    if stated in ("multiclass", "regression") and not told:
        lacks = "`gates.model.columns.prediction`"
        needed = f"{lacks} or `scores`" if stated == "multiclass" else lacks
        message = f"{stated} needs {needed}: `score` is for two classes"
        yield loaded.problem("missing-column", (*_GATE, "task"), message)
    if stated in ("binary", "regression") and columns.scores is not None:
        message = f"`scores` is for several classes, but the task is {stated}"
        yield loaded.problem("task", (*_GATE, "columns", "scores"), message, at_key=True)
        return
    fit = {at: tasks_of(c.metric, columns.named) for at, c in _measured_checks(gate)}
    if not fit:
        return
    at_first = min(fit)
    for place, check in _measured_checks(gate):
        possible: tuple[str, ...] = (stated,) if stated else fit[at_first]
        if not set(possible).isdisjoint(fit[place]):
            continue
        why = f"{gate.checks[at_first].metric} {_in_words(possible)}"
        if stated:
            source = "the task is" if gate.task else "`positive` makes the task"
            why = f"{source} {_in_words([stated])}"
        message = f"{check.metric} measures {_in_words(fit[place])}, but {why}"
        yield loaded.problem("task", (*_GATE, "checks", place, "metric"), message)


def _measured_checks(gate: ModelGate) -> list[tuple[int, Check]]:
    """The checks of metrics that the gate measures itself, with their places."""
    return [(at, check) for at, check in enumerate(gate.checks) if not is_own(check.metric)]


def _in_words(tasks: Iterable[str]) -> str:
    """The tasks in words."""
    return " or ".join(Task(task).words for task in tasks)


def _is_reversed(check: AbsoluteCheck) -> bool:
    if METRICS[check.metric].greater_is_better:
        return check.at_least is None
    return check.at_most is None


def _baseline(loaded: LoadedSpec, pipeline: Pipeline, gate: ModelGate) -> Iterator[Problem]:
    """To judge the baseline, the steps that make the evidence have to be run on its model."""
    paired = [i for i, check in enumerate(gate.checks) if isinstance(check, PairedCheck)]
    if "model" not in loaded.names():
        if paired:
            message = "a comparison with the baseline needs `model`, the output that is the model"
            yield loaded.problem("missing-key", (*_GATE, "checks", paired[0]), message)
        return
    for name, made in gate.evidence.items():
        compared = [at for at in paired if is_own(gate.checks[at].metric) == (name == "metrics")]
        if not compared:
            yield from _other_model(loaded, pipeline, name, made)
            continue
        step = pipeline.steps.get(made.step)
        inputs = loaded.names("steps", made.step, "inputs")
        if step is None or pipeline.model is None or len(inputs) > len(step.inputs):
            continue  # reported elsewhere
        if pipeline.model not in step.inputs.values():
            yield loaded.problem(
                "baseline",
                (*_GATE, "checks", compared[0]),
                f"`steps.{made.step}` does not read `{pipeline.model}`, so it cannot be run on the "
                "baseline",
                expected=f"a step that makes {made} and has {pipeline.model} as an input",
            )


def _other_model(
    loaded: LoadedSpec, pipeline: Pipeline, evidence: str, made: StepReference
) -> Iterator[Problem]:
    """Evidence that comes from another model than the one to release."""
    model, steps = pipeline.model, [made.step]
    for name in steps:  # grows to all steps that the evidence depends on
        step = pipeline.steps.get(name)
        inputs = loaded.names("steps", name, "inputs")
        if model is None or step is None or len(inputs) > len(step.inputs):
            return  # reported elsewhere
        if name == model.step or model in step.inputs.values():
            return
        read = [one.step for one in step.inputs.values() if isinstance(one, StepReference)]
        steps += [one for one in read if one not in steps]
    yield loaded.problem(
        "another-model",
        (*_GATE, evidence),
        f"`{made}` does not depend on `{model}`, the model to release",
        expected=f"{evidence} from a step that has {model} as an input",
    )
