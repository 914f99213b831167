"""PURE. Drafts the model gate: columns, task, and the limits that a model should meet."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import floor, isfinite, log10
from statistics import median
from typing import Final

from controller.cli.write.drafts.samples import Sample, key_of, label_of, task_of
from controller.cli.write.drafts.values import DraftGate, Script
from specs.gates import TaskName

_SCORE = re.compile(r"^(p|prob|proba|probability|score)(_|$)|_(score|prob|proba)$")
_SAID = re.compile(r"(^|_)(pred|predicted|prediction|yhat|y_hat|y_pred)(_|$)")
_PLAIN = {"0", "1", "-1", "0.0", "1.0", "true", "false", "yes", "no", "positive", "negative"}
"""Labels that make clear which of two is the positive class."""
_TRUE = ("label", "target", "y", "y_true", "actual", "truth", "true_label")


def judged(
    evaluate: Script, scripts: Sequence[Script], sample: Sample, named: Mapping[str, str]
) -> DraftGate:
    """Draft the gate for the predictions that `evaluate` writes. `named` are string constants by
    name, such as KEY."""
    columns = [named.get(name[1:], "") if name.startswith("?") else name
               for name in evaluate.columns]  # fmt: skip
    columns = [name for name in columns if name]
    said = [label for script in scripts for label in script.labels]
    found = _found(columns, said, sample)
    label = found.get("label") or label_of(sample, said)
    task, why = task_of(sample.get(label, ())) if label else (None, "")
    if task is None:
        task, why = _by_code(scripts, found)
    else:
        why = f"{label}: {why}"
    sure = {"key", "label"} <= found.keys() and len(found) >= 3
    if task in ("multiclass", "regression") and not found.keys() & _SAYS[task]:
        sure = False
        found.pop("score", None)
    if not sure:
        other = "score" if task in (None, "binary") else "prediction"
        usual = {"key": key_of(sample) or "id", "label": label or "label"}
        says = found.keys() & {"score", "scores", "prediction"}
        found = {**usual, **found} if says else {**usual, **found, other: other}
    values = sample.get(label or "", ())
    positive = _positive(values) if task == "binary" else None
    return DraftGate(found, sure, task, why, positive, _limits(task, values))


_SAYS: Final[Mapping[TaskName, set[str]]] = {
    "binary": {"score", "prediction"},
    "multiclass": {"scores", "prediction"},
    "regression": {"prediction"},
}
"""The prediction columns of each task, of which at least one is needed."""


def _found(columns: Sequence[str], said: Iterable[str], sample: Sample) -> dict[str, str]:
    key = key_of(columns)
    scores = next((name for name in columns if name.endswith("*")), None)
    plain = [name for name in columns if not name.endswith("*")]
    score = next((name for name in plain if _SCORE.search(name.lower())), None)
    guess = next((name for name in plain if _SAID.search(name.lower())), None)
    rest = [name for name in plain if name not in (key, score, guess)]
    # `late` of `p_late`; else the label that a script names, or a usual name
    named = [name for name in rest if score is not None and score.endswith(name)]
    label = next((name for name in (*named, *said, *_TRUE) if name in rest), None)
    label = label or label_of({name: () for name in rest if name in sample}, ())
    if key is None and plain and plain[0] not in (label, score, guess):
        key = plain[0]  # the first column usually identifies the row
    columns_by = {"key": key, "label": label, "score": score, "scores": scores, "prediction": guess}
    return {name: column for name, column in columns_by.items() if column is not None}


def _by_code(scripts: Sequence[Script], found: Mapping[str, str]) -> tuple[TaskName | None, str]:
    calls = {call for script in scripts for call in script.calls}
    for call in sorted(calls):
        if call.endswith("Regressor") or call in ("LinearRegression", "Ridge", "Lasso", "SVR"):
            return "regression", f"by {call}"
    if "scores" in found:
        return "multiclass", f"by the columns {found['scores']}"
    if "score" in found:
        return "binary", f"by the column {found['score']}"
    for call in sorted(calls):
        if call.endswith("Classifier") or call in ("LogisticRegression", "SVC"):
            return "binary", f"by {call}; TODO: multiclass, if there are more than two classes"
    return None, ""


def _positive(values: Sequence[str]) -> str | None:
    kinds = sorted({value for value in values if value.strip()})
    plain = {kind.lower() for kind in kinds} <= _PLAIN
    return kinds[-1] if len(kinds) == 2 and not plain else None


def _limits(task: TaskName | None, values: Sequence[str]) -> Mapping[str, float]:
    """The metrics of a constant prediction, which every model should beat."""
    there = [value for value in values if value.strip()]
    if task == "multiclass" and there:
        classes = Counter(there)
        most = classes.most_common(1)[0][1] / len(there)
        f1 = 2 * most / (1 + most) / len(classes)  # of always predicting the most frequent class
        return {"accuracy": two_digits(most), "f1_macro": two_digits(f1)}
    if task == "regression" and there:
        try:
            numbers = [float(value) for value in there]
        except ValueError:
            return {}
        middle = median(numbers)
        return {
            "mean_absolute_error": two_digits(sum(abs(n - middle) for n in numbers) / len(numbers))
        }
    return {}


def two_digits(value: float) -> float:
    """The value rounded to two significant digits."""
    return round(value, 1 - floor(log10(abs(value)))) if value and isfinite(value) else value
