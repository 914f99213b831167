"""The task of a model, and its positive class: from the spec, or guessed from metrics, labels and
predictions. The report says what was guessed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from specs.base import Scalar
from specs.gates import ModelGate
from specs.metrics import Task, tasks_left
from validators.model.categories import names_of
from validators.model.classes import Values, alike, as_floats, as_numbers, shown
from validators.model.measure import EvaluatedRows, Floats
from validators.model.rows import Predictions, Unusable

MOST_CLASSES: Final = 100
_MOST_NAMED: Final = 20

_PAIRS: Final = (
    ("0.0", "1.0"),
    ("-1.0", "1.0"),
    ("no", "yes"),
    ("n", "y"),
    ("f", "t"),
    ("negative", "positive"),
    ("neg", "pos"),
)
"""Pairs whose second is obviously the positive class. Not 1 and 2: some use 1 for yes, others 2."""


@dataclass(frozen=True, slots=True)
class ModelTask:
    """How labels and predictions are read, for both models and every slice."""

    task: Task
    classes: tuple[object, ...] = ()
    """In order. In binary classification the last one is positive, and the only one if no other
    occurs; in regression there are none."""
    notes: tuple[str, ...] = ()
    """The guesses, as sentences."""

    @property
    def names(self) -> list[str]:
        """The names of the classes in reports."""
        return _names(self.classes)


def task_of(gate: ModelGate, file: str, tables: Sequence[Predictions]) -> ModelTask:
    """How to read the tables, which are `in_one_type` and start with the candidate's.

    Raises Unusable if the labels do not fit the task, or if the positive class is unclear.
    """
    place = f"under gates.model in {file}"
    task, why = _task(gate, tables)
    model_task = ModelTask(task)
    if task is Task.MULTICLASS:
        model_task = ModelTask(task, _several(tables))
    elif task is Task.BINARY:
        model_task = _binary(gate, place, tables)
    if not why:
        return model_task
    guess = f"The task was guessed to be {task.words}: {why}."
    fix = f"Confirm it with `task: {task}` {place}, or set another."
    return replace(model_task, notes=(f"{guess} {fix}", *model_task.notes))


def evaluated_rows(
    rows: Predictions, model_task: ModelTask, threshold: float, *, of_baseline: bool = False
) -> EvaluatedRows:
    """Predictions in the form that the metrics take. Scores of at least `threshold` count as the
    positive class. A class that a baseline does not know yet gets the score 0.

    Raises Unusable if a label or prediction is not one of the classes, or in regression not a
    number; or if only some classes of the labels have scores.
    """
    read = _number if model_task.task is Task.REGRESSION else _class
    label = read("label", rows.label, rows, model_task)
    said = (
        None if rows.prediction is None else read("prediction", rows.prediction, rows, model_task)
    )
    if model_task.task is Task.MULTICLASS:
        known = _with_unknown(rows) if of_baseline else rows
        return _of_several(label, said, known, model_task)
    if said is None and rows.score is not None:
        by_score = (rows.score >= threshold).astype(np.float64)
        said = by_score if model_task.task is Task.BINARY else rows.score
    if model_task.task is Task.REGRESSION:
        return EvaluatedRows(model_task.task, label, score=rows.score, said=said)
    *others, positive = model_task.names
    names = (others[0] if others else f"not {positive}", positive)
    return EvaluatedRows(model_task.task, label, score=rows.score, said=said, names=names)


def unscored(rows: Predictions) -> list[object]:
    """The classes of the labels without a score column, if there are score columns."""
    if rows.scored is None:
        return []
    known = set(rows.scored.tolist())
    return [one for one in np.unique(rows.label).tolist() if one not in known]


def _with_unknown(rows: Predictions) -> Predictions:
    """With a score of 0 in every row for classes without scores."""
    lacks = unscored(rows)
    if not lacks or rows.scored is None or rows.scores is None:
        return rows
    scored = np.concatenate([rows.scored, np.array(lacks, rows.scored.dtype)])
    return replace(rows, scored=scored, scores=np.pad(rows.scores, ((0, 0), (0, len(lacks)))))


def _of_several(
    label: Floats, said: Floats | None, rows: Predictions, model_task: ModelTask
) -> EvaluatedRows:
    """With the scores of each class, if there are any. Without predictions, the class with the
    highest score counts as predicted; of equal scores, the first."""
    names = tuple(model_task.names)
    if rows.scored is None or rows.scores is None:
        return EvaluatedRows(model_task.task, label, said=said, names=names)
    if without := unscored(rows):
        one = len(without) == 1
        raise Unusable(
            f"{listed(without)} {'is a label' if one else 'are labels'} without a score column; "
            f"there are score columns for {listed(rows.scored.tolist())}{rows.types}"
        )
    numbers = {one: number for number, one in enumerate(model_task.classes)}
    of_columns = np.array([numbers[one] for one in rows.scored.tolist()])
    order = np.argsort(of_columns)
    scored, scores = of_columns[order], rows.scores[:, order]
    if len(np.unique(scored)) < len(scored):
        raise Unusable(f"two score columns are for the same class: {listed(rows.scored.tolist())}")
    if said is None:
        said = scored[scores.argmax(axis=1)].astype(np.float64)
    return EvaluatedRows(
        model_task.task, label, said=said, scores=scores, scored=tuple(scored.tolist()), names=names
    )


def _task(gate: ModelGate, tables: Sequence[Predictions]) -> tuple[Task, str]:
    """The task, and the reason if it was guessed."""
    if gate.task is not None:
        return Task[gate.task.upper()], ""
    columns = gate.columns
    assert columns is not None, "there are predictions"
    if gate.positive is not None:
        return Task.BINARY, ""
    if columns.scores is not None:
        return Task.MULTICLASS, ""
    possible = tasks_left([check.metric for check in gate.checks], columns.named)
    if len(possible) == 1:
        return next(iter(possible)), ""
    if columns.prediction is None:
        return Task.BINARY, "there are scores, and no column of predictions"
    found = _occurring(tables)
    why = f"labels and predictions are {listed(found)}"
    if _usual(found) is not None:
        return Task.BINARY, why
    unclear = ", and nothing says which of the two is positive" if len(found) == 2 else ""
    return Task.MULTICLASS, why + unclear


def _occurring(tables: Sequence[Predictions]) -> tuple[object, ...]:
    """Every value that is a label or prediction or has scores, in order."""
    columns = [table.label for table in tables]
    for table in tables:
        columns += [each for each in (table.prediction, table.scored) if each is not None]
    return tuple(np.unique(np.concatenate([np.unique(values) for values in columns])).tolist())


def _several(tables: Sequence[Predictions]) -> tuple[object, ...]:
    """The classes of all tables, or of the candidate's if those are too many."""
    for some in (tables, tables[:1]):
        found = _occurring(some)
        if len(found) <= MOST_CLASSES:
            return found
    raise Unusable(f"there are {len(found):,} classes; at most {MOST_CLASSES} are judged")


def _binary(gate: ModelGate, place: str, tables: Sequence[Predictions]) -> ModelTask:
    everywhere = _occurring(tables)
    found = everywhere if len(everywhere) <= 2 else _occurring(tables[:1])
    if gate.positive is not None:
        positive = _stated(gate.positive, everywhere, place)
        others = [one for one in found if one != positive]
        _at_most_two(len(others) + 1, found, tables[0], place)
        return ModelTask(Task.BINARY, (*others, positive))
    _at_most_two(len(found), found, tables[0], place)
    pair = _usual(found)
    if pair is None:
        raise Unusable(
            f"nothing says which class is positive: there {_are(found)}. Set `positive:` {place}"
        )
    negative, positive = _names(pair)
    taken = (
        f"{positive} was taken as the positive class and {negative} as the other. Confirm it with "
        f"`positive: {positive}` {place}, or set another."
    )
    return ModelTask(Task.BINARY, pair, () if (negative, positive) == ("0", "1") else (taken,))


def _at_most_two(count: int, found: Sequence[object], rows: Predictions, place: str) -> None:
    if count > 2:
        raise Unusable(
            f"binary classification has two classes, but there {_are(found)}{rows.types}. Make the "
            f"step that writes them use two, or set `task: multiclass` {place} with metrics for it"
        )


def _stated(positive: Scalar, found: tuple[object, ...], place: str) -> object:
    """The value that `positive` means. Raises Unusable if it does not occur."""
    text = np.array([str(positive)], object)
    values = np.array(found, np.float64 if isinstance(found[0], float) else object)
    there, meant = alike(values, as_numbers(text))
    for value, one in zip(found, there, strict=True):
        if one == meant[0]:
            return value
    raise Unusable(
        f"`positive: {_names([positive])[0]}` {place} never occurs as a label or prediction: there "
        f"{_are(found)}"
    )


def _usual(found: Sequence[object]) -> tuple[object, object] | None:
    """The negative and the positive class, if they are obvious."""
    spelled = {str(one).lower(): one for one in found}
    for negative, positive in _PAIRS:
        if len(spelled) == len(found) and spelled.keys() <= {negative, positive}:
            like = float if isinstance(found[0], float) else str
            return spelled.get(negative, like(negative)), spelled.get(positive, like(positive))
    return None


def _class(name: str, values: Values, rows: Predictions, model_task: ModelTask) -> Floats:
    """The class number of each row; of two classes, 1 is the positive one."""
    found, codes = np.unique(values, return_inverse=True)
    first = 2 - len(model_task.classes) if model_task.task is Task.BINARY else 0
    numbers = {one: float(number) for number, one in enumerate(model_task.classes, first)}
    strays = [one for one in found.tolist() if one not in numbers]
    if strays:
        raise Unusable(
            f"the {name} has values other than {listed(model_task.classes)}: {listed(strays)}"
            f"{rows.types}"
        )
    return np.array([numbers[one] for one in found.tolist()], np.float64)[codes]


def _number(name: str, values: Values, rows: Predictions, _: ModelTask) -> Floats:
    numbers = as_floats(values)
    if numbers is None:
        raise Unusable(f"the {name} is text, expected a number{rows.types}")
    return numbers


def _names(values: Sequence[object]) -> list[str]:
    return names_of([shown(value) for value in values])


def _are(values: Sequence[object]) -> str:
    return f"{'is' if len(values) == 1 else 'are'} {listed(values)}"


def listed(values: Sequence[object]) -> str:
    """`a, b and c`, or how many if they are too many to read."""
    if len(values) > _MOST_NAMED:
        return f"{len(values):,} different values"
    *names, last = _names(values)
    return f"{', '.join(names)} and {last}" if names else last
