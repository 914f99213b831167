"""Measure metrics in one pass over the rows of a dataset, on all processors."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from validators.data.metrics.batch import RowBatch
from validators.data.metrics.conditions import Condition, columns_of, mask_of
from validators.data.metrics.kept import KeptMetrics, object_id
from validators.data.metrics.measured import MetricNeed
from validators.data.metrics.tally import together
from validators.data.reading.ahead import each_done, processors
from validators.data.reading.dataset import OpenedDataset, Part
from validators.data.reading.files import Unreadable

States = dict[MetricNeed, Any]
"""The state of each metric, or the exception that measuring it raised."""
_ROOM: Final = 512 << 20
"""Bytes of large states that are held together; one is always held."""
_VALUES: Final = 1 << 18
"""Values that are read at once; of more, one column at a time."""
_SMALL: Final = 100_000
"""Rows that are not worth a second thread."""


@dataclass(frozen=True)
class Work:
    """What a judgement knows of earlier ones, and what it finds out about single objects."""

    kept: KeptMetrics = field(default_factory=KeptMetrics)
    by_object: dict[str, States] = field(default_factory=dict)
    """By the keys of the objects; without large states."""
    read: set[str] = field(default_factory=set)
    """The objects of which rows were read."""
    also: States = field(default_factory=dict)
    """What was measured beside the metrics that expectations rest on."""
    known: set[str] = field(default_factory=set)
    """The objects of which some metrics were known from earlier judgements."""


@dataclass(frozen=True)
class _Task:
    """Some metrics of one group of rows."""

    at: int
    """The place of its part."""
    part: Part
    group: int
    needs: Sequence[MetricNeed]


def measure(dataset: OpenedDataset, needs: Sequence[MetricNeed], work: Work) -> States:
    """What each metric says of all rows, or the exception that measuring it raised.

    What is found out about single objects is added to `work`. Raises `Unreadable` if an object
    cannot be read after all, with the key of the object.
    """
    views: dict[MetricNeed, list[MetricNeed]] = {}
    for need in needs:
        views.setdefault(need._replace(metric=need.metric.source), []).append(need)
    said: States = {}
    for several in _passes(list(views), dataset.rows):
        states = _pass(dataset, several, work)
        while states:
            source, state = states.popitem()
            if isinstance(state, list) and source.metric.is_large:
                state = together(state)
            said |= {need: _seen(need, state) for need in views[source]}
    return said


def _seen(need: MetricNeed, state: Any) -> Any:
    if isinstance(state, Exception):
        return state
    try:
        return need.metric.seen(state)
    except Exception as error:  # of any kind: it belongs to this metric, not to the others
        return error


def _passes(sources: Sequence[MetricNeed], rows: int) -> Iterator[list[MetricNeed]]:
    """What is measured together: as many large states as there is room for, and all others with
    the first of these."""
    large = [one for one in sources if one.metric.is_large]
    each = max(1, _ROOM // max(1, 8 * rows))
    yield [*(one for one in sources if not one.metric.is_large), *large[:each]]
    for at in range(each, len(large), each):
        yield large[at : at + each]


def _pass(dataset: OpenedDataset, needs: Sequence[MetricNeed], work: Work) -> States:
    """The state of each metric over all rows."""
    kinds = dataset.kinds
    parts = [part for part in dataset.parts if part.groups]
    found: list[States] = [{} for _ in parts]
    for part, states in zip(parts, found, strict=True):
        for need in needs if part.digest else ():
            known = work.kept.get(_id(part), need, kinds)
            if known is not None:
                (states[need],) = known
                work.known.add(part.key)
    pieces: list[dict[MetricNeed, list[Any]]] = [{} for _ in parts]
    tasks = list(_tasks(parts, needs, found, dataset.rows))
    for task, states in zip(tasks, _all_done(tasks, work), strict=True):
        for need, state in states.items():
            pieces[task.at].setdefault(need, []).append(state)
    for part, states, several in zip(parts, found, pieces, strict=True):
        for need, groups in several.items():
            states[need] = _merged(need, groups)
            if part.digest and not isinstance(states[need], Exception):
                work.kept.put(_id(part), need, kinds, states[need])
        small = {need: state for need, state in states.items() if not need.metric.is_large}
        work.by_object.setdefault(part.key, {}).update(small)
    return {need: _merged(need, [states[need] for states in found]) for need in needs}


def _id(part: Part) -> str:
    return object_id(part.key, part.digest or "")


def _all_done(tasks: Sequence[_Task], work: Work) -> list[States]:
    workers = min(len(tasks), processors())
    if workers < 2:
        return [_done(task, work) for task in tasks]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda task: _done(task, work), tasks))


def _tasks(
    parts: Sequence[Part], needs: Sequence[MetricNeed], found: Sequence[States], rows: int
) -> Iterator[_Task]:
    """Groups of rows; where there are fewer of these than processors, their columns are divided,
    unless each reading is of all columns."""
    left = [[need for need in needs if need not in states] for states in found]
    groups = sum(part.groups for part, lacking in zip(parts, left, strict=True) if lacking)
    shares = 1
    if groups < processors() and rows > _SMALL:
        shares = -(-processors() // max(1, groups))
    for at, (part, lacking) in enumerate(zip(parts, left, strict=True)):
        divided = _divided(lacking, 1 if part.is_read_through else shares)
        for group in range(part.groups):
            for share in divided:
                yield _Task(at, part, group, share)


def _divided(needs: Sequence[MetricNeed], shares: int) -> list[list[MetricNeed]]:
    """The needs in so many shares of about equal size, those of the same columns together."""
    by_columns: dict[tuple[str, ...], list[MetricNeed]] = {}
    for one in needs:
        by_columns.setdefault(one.columns, []).append(one)
    divided: list[list[MetricNeed]] = [[] for _ in range(shares)]
    for several in sorted(by_columns.values(), key=len, reverse=True):
        min(divided, key=len).extend(several)
    return [share for share in divided if share]


def _done(task: _Task, work: Work) -> States:
    """The states of one group of rows."""
    found: States = {}
    footer = task.part.footer(task.group)
    left = []
    for need in task.needs:
        state = None
        if footer is not None and need.condition is None:
            state = need.metric.of_footer(footer)
        if state is None:
            left.append(need)
        else:
            found[need] = state
    if left:
        work.read.add(task.part.key)
    for several in _readings(left, None if footer is None else footer.rows):
        found |= _read(task, several)
    return found


def _readings(needs: Sequence[MetricNeed], rows: int | None) -> Iterator[list[MetricNeed]]:
    """Needs that are measured by one reading of a group: one column in memory at a time, if
    possible, and many of a group of few rows, as each reading opens the file. Without a footer, the
    whole object is read each time."""
    if rows is None:
        if needs:
            yield [*needs]
        return
    most = _VALUES // max(1, rows)
    together: list[MetricNeed] = []
    columns = 0
    for several in _by_column(needs):
        more = len({name for one in several for name in one.columns})
        if together and columns + more > most:
            yield together
            together, columns = [], 0
        together += several
        columns += more
    if together:
        yield together


def _by_column(needs: Sequence[MetricNeed]) -> list[list[MetricNeed]]:
    """The needs by their columns; those with columns in common are together."""
    homes: dict[str, dict[MetricNeed, None]] = {}
    apart: list[dict[MetricNeed, None]] = []
    for one in needs:
        joined = {id(homes[name]): homes[name] for name in one.columns if name in homes}
        home, *others = sorted(joined.values(), key=len, reverse=True) or [{}]
        home[one] = None
        for each in others:
            home |= each
            homes |= {name: home for need in each for name in need.columns}
        homes |= dict.fromkeys(one.columns, home)
        if not one.columns:
            apart.append(home)
    return [list(each) for each in (*apart, *{id(each): each for each in homes.values()}.values())]


def _read(task: _Task, needs: Sequence[MetricNeed]) -> States:
    columns = list(dict.fromkeys(name for one in needs for name in one.columns))
    parts: dict[MetricNeed, list[Any]] = {one: [] for one in needs}
    batches = task.part.read(task.group, columns)

    def measured(batch: RowBatch) -> list[Any]:
        return [_state(need, batch) for need in needs]

    try:
        for found in (
            each_done(measured, batches) if task.part.is_read_through else map(measured, batches)
        ):
            for states, state in zip(parts.values(), found, strict=True):
                states.append(state)
    except Unreadable as error:
        raise Unreadable(f"`{task.part.key}` {error.why}", error.verdict) from None
    return {need: _merged(need, states) for need, states in parts.items()}


def _state(need: MetricNeed, batch: RowBatch) -> Any:
    try:
        return need.metric.of(_meeting(need.condition, batch))
    except Unreadable:
        raise
    except Exception as error:  # of any kind: it belongs to this metric, not to the others
        return error


def _meeting(condition: Condition | None, batch: RowBatch) -> RowBatch:
    if condition is None:
        return batch
    return batch.filtered(condition, lambda every: mask_of(condition, every))


def _merged(need: MetricNeed, states: Sequence[Any]) -> Any:
    failed = next((state for state in states if isinstance(state, Exception)), None)
    if failed is not None:
        return failed
    try:
        return need.metric.merged(states)
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
