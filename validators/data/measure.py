"""Measure metrics in one pass over the rows of a dataset, on all processors."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from validators.data.conditions import Condition, columns_of, mask_of
from validators.data.dataset import OpenedDataset, Part
from validators.data.files import Unreadable
from validators.data.measured import Need
from validators.data.metrics.batch import RowBatch

States = dict[Need, Any]


@dataclass(frozen=True)
class _Task:
    """Some questions about one group of rows."""

    part: Part
    group: int
    questions: Sequence[Need]


def measure(dataset: OpenedDataset, questions: Sequence[Need]) -> States:
    """The state of each metric over all rows, or the exception that measuring it raised.

    Raises `Unreadable` if an object cannot be read after all, with the key of the object.
    """
    tasks = list(_tasks(dataset, questions))
    workers = min(len(tasks), _processors())
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            done = list(pool.map(_done, tasks))
    else:
        done = [_done(task) for task in tasks]
    by_part: dict[tuple[int, Need], list[Any]] = {}
    for task, states in zip(tasks, done, strict=True):
        for question, state in states.items():
            by_part.setdefault((id(task.part), question), []).append(state)
    return {
        question: _merged(
            question,
            [
                _merged(question, by_part[id(part), question])
                for part in dataset.parts
                if part.groups
            ],
        )
        for question in questions
    }


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _tasks(dataset: OpenedDataset, questions: Sequence[Need]) -> Iterator[_Task]:
    """Groups of rows; where there are fewer of these than processors, their columns are divided."""
    groups = [(part, group) for part in dataset.parts for group in range(part.groups)]
    shares = 1
    if len(groups) < _processors() and dataset.rows > _SMALL:
        shares = -(-_processors() // max(1, len(groups)))
    by_columns: dict[tuple[str, ...], list[Need]] = {}
    for one in questions:
        by_columns.setdefault(_columns(one), []).append(one)
    divided: list[list[Need]] = [[] for _ in range(shares)]
    for several in sorted(by_columns.values(), key=len, reverse=True):
        min(divided, key=len).extend(several)
    for part, group in groups:
        for share in divided:
            if share:
                yield _Task(part, group, share)


_SMALL = 100_000
"""Rows that are not worth a second thread."""


def _columns(question: Need) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*question.metric.columns, *columns_of(question.condition))))


def _done(task: _Task) -> States:
    """The states of one group of rows."""
    found: States = {}
    footer = task.part.footer(task.group)
    left = []
    for question in task.questions:
        state = None
        if footer is not None and question.condition is None:
            state = question.metric.of_footer(footer)
        if state is None:
            left.append(question)
        else:
            found[question] = state
    for several in _by_column(left):
        found |= _read(task, several)
    return found


def _by_column(questions: Sequence[Need]) -> Iterator[list[Need]]:
    """Questions with columns in common, together: one column in memory at a time, if possible."""
    groups: list[tuple[set[str], list[Need]]] = []
    for one in questions:
        columns, several = set(_columns(one)), [one]
        apart = []
        for group in groups:
            if group[0] & columns:
                columns |= group[0]
                several = [*group[1], *several]
            else:
                apart.append(group)
        groups = [*apart, (columns, several)]
    for _, several in groups:
        yield several


def _read(task: _Task, questions: Sequence[Need]) -> States:
    columns = list(dict.fromkeys(name for one in questions for name in _columns(one)))
    parts: dict[Need, list[Any]] = {one: [] for one in questions}
    try:
        for batch in task.part.read(task.group, columns):
            for question, states in parts.items():
                states.append(_state(question, batch))
    except Unreadable as error:
        raise Unreadable(f"`{task.part.key}` {error.why}", error.verdict) from None
    return {question: _merged(question, states) for question, states in parts.items()}


def _state(question: Need, batch: RowBatch) -> Any:
    try:
        return question.metric.of(_meeting(question.condition, batch))
    except Unreadable:
        raise
    except Exception as error:  # of any kind: it belongs to this question, not to the others
        return error


def _meeting(condition: Condition | None, batch: RowBatch) -> RowBatch:
    if condition is None:
        return batch
    return batch.filtered(condition, lambda every: mask_of(condition, every))


def _merged(question: Need, states: Sequence[Any]) -> Any:
    failed = next((state for state in states if isinstance(state, Exception)), None)
    if failed is not None:
        return failed
    try:
        return question.metric.merged(states)
    except Exception as error:  # as above
        return error


def rows_of(dataset: OpenedDataset, condition: Condition | None, columns: Sequence[str]) -> Any:
    """The settled columns of the rows that meet a condition, as one table: all in memory."""
    import pyarrow as pa

    needed = list(dict.fromkeys((*columns, *columns_of(condition))))
    pieces = [
        _meeting(condition, batch).settled(columns)
        for part in dataset.parts
        for group in range(part.groups)
        for batch in part.read(group, needed)
    ]
    return pa.concat_tables(pieces)


def known_states(states: Mapping[Need, Any]) -> States:
    """Those that measuring did not raise."""
    return {one: state for one, state in states.items() if not isinstance(state, Exception)}
