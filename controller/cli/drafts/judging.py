"""PURE. What the model gate can be asked: columns, task, and limits that a model should meet."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from controller.cli.drafts.samples import Sample, key_of, label_of, task_of
from controller.cli.drafts.values import Judged, Script
from specs.gates import Task

_SCORE = re.compile(r"^(p|prob|proba|probability|score)(_|$)|_(score|prob|proba)$")
_SAID = re.compile(r"(^|_)(pred|predicted|prediction|yhat|y_hat|y_pred)(_|$)")
_PLAIN = {"0", "1", "-1", "0.0", "1.0", "true", "false", "yes", "no", "positive", "negative"}
"""Labels that say themselves which of two is the positive one."""
_TRUE = ("label", "target", "y", "y_true", "actual", "truth", "true_label")


def judged(
    evaluate: Script, scripts: Sequence[Script], sample: Sample, named: Mapping[str, str]
) -> Judged:
    """What is known of the predictions that `evaluate` writes. `named` are texts by the names that
    modules give them, such as KEY."""
    columns = [named.get(name[1:], "") if name.startswith("?") else name
               for name in evaluate.columns]  # fmt: skip
    columns = [name for name in columns if name]
    said = [label for script in scripts for label in script.labels]
    label = label_of(sample, said)
    found = _found(columns, [*([label] if label else []), *said, *_TRUE])
    task, why = task_of(sample.get(label, ())) if label else (None, "")
    if label is None or task is None:
        task, why = _by_code(scripts, found)
    else:
        why = f"{label}: {why}"
    limits = _limits(task, sample.get(label or "", ()))
    sure = {"key", "label"} <= found.keys() and len(found) >= 3
    if not sure:
        other = "score" if task in (None, "binary") else "prediction"
        usual = {"key": key_of(sample) or "id", "label": label or "label", other: other}
        found = usual | found
    positive = _positive(sample.get(label or "", ())) if task == "binary" else None
    return Judged(found, sure, task, why, positive, limits)


def _found(columns: Sequence[str], labels: Iterable[str]) -> dict[str, str]:
    key = key_of(columns)
    score = next((name for name in columns if _SCORE.search(name.lower())), None)
    said = next((name for name in columns if _SAID.search(name.lower())), None)
    label = next((name for name in labels if name in columns and name not in (key, score)), None)
    rest = [name for name in columns if name not in (key, score, said)]
    if label is None and score is not None:
        ends = [name for name in rest if name and score.endswith(name)]  # late, of p_late
        label = ends[0] if ends else None
    columns_by = {"key": key, "label": label, "score": score, "prediction": said}
    return {name: column for name, column in columns_by.items() if column is not None}


def _by_code(scripts: Sequence[Script], found: Mapping[str, str]) -> tuple[Task | None, str]:
    calls = {call for script in scripts for call in script.calls}
    for call in sorted(calls):
        if call.endswith("Regressor") or call in ("LinearRegression", "Ridge", "Lasso", "SVR"):
            return "regression", f"by {call}"
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


def _limits(task: Task | None, values: Sequence[str]) -> Mapping[str, float]:
    """What a model that knows nothing gets, so that each should be better."""
    there = [value for value in values if value.strip()]
    if task == "multiclass" and there:
        most = Counter(there).most_common(1)[0][1] / len(there)
        return {"accuracy": _round(most)}
    if task == "regression" and there:
        try:
            numbers = [float(value) for value in there]
        except ValueError:
            return {}
        middle = median(numbers)
        return {"mean_absolute_error": _round(sum(abs(n - middle) for n in numbers) / len(numbers))}
    return {}


def _round(value: float) -> float:
    return float(f"{value:.2g}")
