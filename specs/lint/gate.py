"""What is wrong with the model gate although its form is right."""

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
    """Problems of what judges the candidate."""
    yield from _slices(loaded, gate)
    for place, check in enumerate(gate.checks):
        here = (*_GATE, "checks", place)
        if check in gate.checks[:place]:
            message = f"this check of {check.metric} is listed twice"
            yield loaded.problem("duplicate", here, message, severity="warning")
        if is_own(check.metric):
            yield from _own(loaded, gate, check, here)
        else:
            yield from _measured(loaded, gate, check, here)
    if all(check.severity == "warn" for check in gate.checks):
        message = "every check only warns: this gate cannot stop a model"
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
        message = f"{check.metric} is measured on `gates.model.predictions`, which is not there"
        near = f"{OWN}{check.metric}"
        expected = f"predictions, or {OWN}NAME for a number of `gates.model.metrics`"
        yield loaded.problem(
            "missing-key", (*here, "metric"), message, expected=expected, nearest=near
        )
    elif gate.columns and metric.columns and not set(metric.columns) & set(gate.columns.named):
        lacks = " or ".join(f"`gates.model.columns.{name}`" for name in metric.columns)
        message = f"{check.metric} needs {lacks}"
        yield loaded.problem("missing-column", (*here, "metric"), message)
    if isinstance(check, PairedCheck) and check.better is not None:
        known = check.better == metric.better
        message = f"{check.metric} is better when {metric.better}, which need not be said"
        yield loaded.problem(
            "no-effect" if known else "better",
            (*here, "better"),
            message,
            severity="warning" if known else "error",
        )
    if isinstance(check, AbsoluteCheck) and _is_reversed(check):
        better = f"{check.metric} is better when {metric.better}"
        message = f"{better}: this limit stops good models only"
        yield loaded.problem("reversed-limit", here, message, severity="warning")


def _own(
    loaded: LoadedSpec, gate: ModelGate, check: Check, here: tuple[YamlKey, ...]
) -> Iterator[Problem]:
    """A check of a number of the team's own, of which nothing is known but what the spec says."""
    if gate.metrics is None:
        message = f"{check.metric} is a number of `gates.model.metrics`, which is not there"
        name = check.metric.removeprefix(OWN)
        yield loaded.problem(
            "missing-key",
            (*here, "metric"),
            message,
            expected="`metrics`, the output with the JSON file of numbers",
            nearest=name if name in METRICS else nearest(name, METRICS),
        )
    if check.slice is not None:
        message = f"{check.metric} has no rows that could be sliced by `{check.slice}`"
        expected = f"a number for each value, such as {check.metric}.VALUE, and a check of each"
        yield loaded.problem("slice", (*here, "slice"), message, expected=expected, at_key=True)
    if not isinstance(check, PairedCheck):
        return
    if check.better is None:
        message = f"nothing says which way {check.metric} is better"
        yield loaded.problem("better", here, message, expected="better: higher, or better: lower")
    if "confidence" in check.model_fields_set:
        message = f"{check.metric} has no interval, so that no `confidence` goes for it"
        path = (*here, "confidence")
        yield loaded.problem("no-effect", path, message, severity="warning", at_key=True)


def _evidence(loaded: LoadedSpec, gate: ModelGate) -> Iterator[Problem]:
    """What is named and judged by no check, or says something of what is not named."""
    named = any(is_own(check.metric) for check in gate.checks)
    if gate.metrics is not None and gate.predictions is not None and not named:
        message = f"no check names a number of `metrics`: {OWN}NAME"
        path = (*_GATE, "metrics")
        yield loaded.problem("no-effect", path, message, severity="warning", at_key=True)
    if gate.predictions is not None:
        return
    for name in ("columns", "task", "positive", "slices", "threshold", "minimum_slice_rows"):
        if name in gate.model_fields_set:
            path = (*_GATE, name)
            message = f"`{name}` goes for `gates.model.predictions`, which is not there"
            yield loaded.problem("no-effect", path, message, severity="warning", at_key=True)


def _task(loaded: LoadedSpec, gate: ModelGate) -> Iterator[Problem]:
    """What the gate says of the task against its metrics and columns."""
    columns = gate.columns
    if columns is None:
        return
    stated = gate.task or ("binary" if gate.positive is not None else None)
    if gate.positive is not None and stated != "binary":
        message = f"`positive` names a class of binary classification, and the task is {stated}"
        yield loaded.problem("task", (*_GATE, "positive"), message, at_key=True)
    told = columns.prediction or (stated == "multiclass" and columns.scores)
    if stated in ("multiclass", "regression") and not told:
        lacks = "`gates.model.columns.prediction`"
        either = f"{lacks} or `scores`" if stated == "multiclass" else lacks
        message = f"{stated} needs {either}: a score is of two classes"
        yield loaded.problem("missing-column", (*_GATE, "task"), message)
    if stated in ("binary", "regression") and columns.scores is not None:
        message = f"`scores` are of several classes, and the task is {stated}"
        yield loaded.problem("task", (*_GATE, "columns", "scores"), message, at_key=True)
        return
    fit = {at: tasks_of(c.metric, columns.named) for at, c in _asked(gate)}
    if not fit:
        return
    at_first = min(fit)
    for place, check in _asked(gate):
        possible: tuple[str, ...] = (stated,) if stated else fit[at_first]
        if not set(possible).isdisjoint(fit[place]):
            continue
        why = f"{gate.checks[at_first].metric} {_either(possible)}"
        if stated:
            source = "the task is" if gate.task else "`positive` makes the task"
            why = f"{source} {_either([stated])}"
        message = f"{check.metric} measures {_either(fit[place])}, and {why}"
        yield loaded.problem("task", (*_GATE, "checks", place, "metric"), message)


def _asked(gate: ModelGate) -> list[tuple[int, Check]]:
    """The checks of what the gate measures itself, with their places."""
    return [(at, check) for at, check in enumerate(gate.checks) if not is_own(check.metric)]


def _either(tasks: Iterable[str]) -> str:
    """The tasks as a person says them."""
    return " or ".join(Task(task).words for task in tasks)


def _is_reversed(check: AbsoluteCheck) -> bool:
    if METRICS[check.metric].greater_is_better:
        return check.at_least is None
    return check.at_most is None


def _baseline(loaded: LoadedSpec, pipeline: Pipeline, gate: ModelGate) -> Iterator[Problem]:
    """The baseline is judged by running the steps that make the evidence on its model."""
    paired = [i for i, check in enumerate(gate.checks) if isinstance(check, PairedCheck)]
    if "model" not in loaded.names():
        if paired:
            message = "a comparison with the baseline needs `model`, the output that is the model"
            yield loaded.problem("missing-key", (*_GATE, "checks", paired[0]), message)
        return
    for name, made in gate.evidence.items():
        compared = [at for at in paired if is_own(gate.checks[at].metric) == (name == "metrics")]
        if not compared:
            yield from _another(loaded, pipeline, name, made)
            continue
        step = pipeline.steps.get(made.step)
        inputs = loaded.names("steps", made.step, "inputs")
        if step is None or pipeline.model is None or len(inputs) > len(step.inputs):
            continue  # what is missing is told elsewhere
        if pipeline.model not in step.inputs.values():
            yield loaded.problem(
                "baseline",
                (*_GATE, "checks", compared[0]),
                f"`steps.{made.step}` does not read `{pipeline.model}`, so it cannot be run for "
                "the baseline",
                expected=f"a step that makes {made} and has {pipeline.model} as an input",
            )


def _another(
    loaded: LoadedSpec, pipeline: Pipeline, evidence: str, made: StepReference
) -> Iterator[Problem]:
    """One model would be judged, and another released."""
    model, steps = pipeline.model, [made.step]
    for name in steps:  # it grows: all that the evidence comes from
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
        (*_GATE, evidence),
        f"`{made}` does not come from `{model}`, the model that is released",
        expected=f"{evidence} of a step that has {model} as an input",
    )
