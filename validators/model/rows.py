"""Reading predictions and pairing them by key. Rows that do not fit are counted and reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from specs.gates import Columns
from validators.data.reading.files import ObjectContents, Unreadable
from validators.model.categories import Categories, categories, differing
from validators.model.classes import EXACT, Values, alike, as_numbers, kind_of
from validators.model.reading import key_of, numbers_of, read, values_of
from validators.verdict import Verdict

if TYPE_CHECKING:
    import pyarrow as pa


FEWEST_CLASSES: Final = 2
"""How many score columns several classes need; a single score is for two classes."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """One row per example, sorted by key: the order of the file has no meaning."""

    keys: "pa.ChunkedArray"
    label: NDArray[Any]
    """Float64 for numbers and booleans, also if written as text; otherwise text."""
    score: NDArray[np.float64] | None
    prediction: NDArray[Any] | None
    slices: dict[str, "Categories"]
    types: str = ""
    """The types of label and prediction if they differ, to end a sentence."""
    scored: Values | None = None
    """The classes with scores, from the names of the columns."""
    scores: NDArray[np.float64] | None = None
    """One column for each of these."""

    def __len__(self) -> int:
        return len(self.label)

    def take(self, mask: NDArray[np.bool_]) -> "Predictions":
        """Some of the rows, in the same order."""
        return Predictions(
            keys=self.keys.filter(mask),
            label=self.label[mask],
            score=None if self.score is None else self.score[mask],
            prediction=None if self.prediction is None else self.prediction[mask],
            slices={
                name: Categories(of.values, of.codes[mask]) for name, of in self.slices.items()
            },
            types=self.types,
            scored=self.scored,
            scores=None if self.scores is None else self.scores[mask],
        )


class Unusable(Exception):  # noqa: N818 - it names what the predictions are
    """Predictions that cannot be judged, and the resulting verdict."""

    def __init__(self, message: str, verdict: Verdict = Verdict.ERROR) -> None:
        super().__init__(message)
        self.verdict = verdict


def load(
    path: Path, columns: Columns, slices: Sequence[str] = (), *, if_there: bool = False
) -> Predictions:
    """Read the named columns of a Parquet, CSV or JSON file, recognised by its content.

    With `if_there`, slices that the file lacks are left out.

    Raises Unusable with every problem: unreadable file, missing column, no rows, duplicate or empty
    keys, empty labels, scores that are not finite numbers.
    """
    import pyarrow.compute as pc

    part, by_class = _read(path, columns, slices, if_there)
    if not part.rows:
        raise Unusable("there are no rows", Verdict.INCONCLUSIVE)
    table = _settled(part, columns, by_class)
    problems = _problems_of(table, columns, by_class)
    if problems:
        raise Unusable("; ".join(problems))
    order = pc.sort_indices(table[columns.key])
    table = table.take(order)
    label = as_numbers(_array(table[columns.label]))
    said = as_numbers(_array(table[columns.prediction])) if columns.prediction else None
    scores = [_floats(table[name]) for name in by_class.values()]
    return Predictions(
        keys=table[columns.key],
        label=label,
        score=_floats(table[columns.score]) if columns.score else None,
        prediction=said,
        types="" if said is None else _types(label, said),
        slices={
            name: categories(_as_text(_without_nan(part.columns[name].values)).take(order))
            for name in slices
            if name in part.columns
        },
        scored=as_numbers(np.array(list(by_class), object)) if by_class else None,
        scores=np.stack([one for one in scores if one is not None], axis=1) if by_class else None,
    )


def _settled(part: ObjectContents, columns: Columns, by_class: Mapping[str, str]) -> "pa.Table":
    """The columns other than slices, each read for its role. If it has two, label and prediction
    come first."""
    import pyarrow as pa

    found = {columns.key: _plain_keys(key_of(part.columns[columns.key]))}
    if columns.score:
        found[columns.score] = numbers_of(part.columns[columns.score])
    for scored in by_class.values():
        found[scored] = numbers_of(part.columns[scored])
    for name in (columns.label, columns.prediction):
        if name:
            found[name] = values_of(part.columns[name])
    return pa.table(found)


def in_one_type(*tables: Predictions) -> tuple[Predictions, ...]:
    """The tables with labels, predictions and score classes in one type, so that equal values
    compare equal across them."""
    named = ("label", "prediction", "scored")
    there = [
        (table, name)
        for name in named
        for table in range(len(tables))
        if getattr(tables[table], name) is not None
    ]
    columns = alike(*(getattr(tables[table], name) for table, name in there))
    settled: list[dict[str, Any]] = [{} for _ in tables]
    for (table, name), values in zip(there, columns, strict=True):
        settled[table][name] = values
    return tuple(replace(table, **of) for table, of in zip(tables, settled, strict=True))


def _types(label: Values, said: Values) -> str:
    """How the types differ, if they do. Raises Unusable if label and prediction share no value."""
    ours, theirs = kind_of(label), kind_of(said)
    if ours == theirs:
        return ""
    names, of = alike(label, said)
    if not np.isin(names, of).any():
        raise Unusable(
            f"the label is {ours} and the prediction is {theirs}, and no value is in both: make "
            "the step that writes them use the same values"
        )
    return f"; the label is {ours}, the prediction is {theirs}"


def why_unpaired(candidate: Predictions, baseline: Predictions) -> Unusable | None:
    """Why the two tables do not have the same rows, labels and slices; None if they do.

    Rows that only one table has are never dropped: the others could hide exactly the rows that a
    model fails on.
    """
    import pyarrow.compute as pc

    ours, theirs = candidate.keys, baseline.keys
    if ours.type != theirs.type:
        return Unusable(
            f"the keys are of different types: {_plainly(ours)} for the candidate, "
            f"{_plainly(theirs)} for the baseline"
        )
    shared = candidate
    parts = []
    absent = 0
    if not ours.equals(theirs):
        mine = pc.is_in(ours, value_set=theirs).to_numpy()
        absent = len(theirs) - (pc.sum(pc.is_in(theirs, value_set=ours)).as_py() or 0)
        parts.append(
            f"the rows differ: {_count(absent, 'key')} of the baseline missing in the candidate, "
            f"{_count(int((~mine).sum()), 'key')} of the candidate missing in the baseline"
        )
        shared = candidate.take(mine)
    apart = _disagreements(shared, baseline) if not absent else []
    if apart:
        parts.append(f"candidate and baseline disagree {' and '.join(apart)}")
    # Rows that the candidate leaves out or contradicts are its error; rows that only the baseline
    # leaves out are inconclusive.
    at_fault = absent or apart
    verdict = Verdict.ERROR if at_fault else Verdict.INCONCLUSIVE
    return Unusable("; ".join(parts), verdict) if parts else None


def _plainly(keys: "pa.ChunkedArray") -> str:
    return str(keys.type).removeprefix("large_")


def _disagreements(candidate: Predictions, baseline: Predictions) -> list[str]:
    """What the two tables disagree about, and on how many rows."""
    ours, theirs = alike(candidate.label, baseline.label)
    counts = {"the label": int((ours != theirs).sum())}
    for name in candidate.slices.keys() & baseline.slices.keys():
        counts[name] = differing(candidate.slices[name], baseline.slices[name])
    return [f"about {what} of {_count(n, 'row')}" for what, n in sorted(counts.items()) if n]


def _read(
    path: Path, columns: Columns, slices: Sequence[str], if_there: bool
) -> tuple[ObjectContents, dict[str, str]]:
    """The named columns of the file, and its score columns by class."""
    named = (columns.key, columns.label, columns.score, columns.prediction)
    needed = list(dict.fromkeys(name for name in named if name))
    try:
        with path.open("rb") as file:
            start = file.read(64)
        if not start.strip():
            raise Unusable("the file is empty", Verdict.INCONCLUSIVE)
        part = read(path, start, frozenset((*needed, *slices)))
        by_class = _by_class(columns, part.header)
        if by_class:  # only now are these columns known
            wanted = frozenset((*needed, *slices, *by_class.values()))
            part = read(path, start, wanted)
    except OSError as error:
        raise Unusable(f"the file cannot be read: {error.strerror or error}") from error
    except Unreadable as error:
        raise Unusable(f"the file {error.why}") from error
    if part.rows or part.header:
        needed += by_class.values()
        _require(needed if if_there else [*needed, *slices], part.header)
        if columns.scores is not None and len(by_class) < FEWEST_CLASSES:
            raise Unusable(
                f"several classes need a score column each, and {len(by_class)} "
                f"{'is' if len(by_class) == 1 else 'are'} named {columns.scores}; the columns are "
                f"{', '.join(sorted(part.header)[:20])}"
            )
    return part, by_class


def _by_class(columns: Columns, header: Sequence[str]) -> dict[str, str]:
    """The score columns, by class."""
    if columns.scores is None:
        return {}
    if not isinstance(columns.scores, str):
        return dict(columns.scores)
    before, _, after = columns.scores.partition("*")
    others = {columns.key, columns.label, columns.prediction}
    return {
        name[len(before) : len(name) - len(after)]: name
        for name in header
        if name.startswith(before)
        and name.endswith(after)
        and len(name) > len(before) + len(after)
        and name not in others
    }


def _require(wanted: Sequence[str], found: Sequence[str]) -> None:
    absent = [name for name in wanted if name not in found]
    if absent:
        raise Unusable(
            f"no column {', '.join(absent)}; "
            f"the columns are {', '.join(sorted(found)[:20]) or 'none'}"
        )


def _plain_keys(keys: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """All integers as one type and all text as one, so that writers may differ."""
    import pyarrow as pa
    import pyarrow.types as kinds

    kind = keys.type.value_type if kinds.is_dictionary(keys.type) else keys.type
    if kinds.is_integer(kind) and kind != pa.uint64():
        return keys.cast(pa.int64())
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return keys.cast(pa.large_string())
    if kinds.is_nested(kind):
        raise Unusable(f"the key is of type {kind}, which cannot identify a row")
    return keys.cast(kind)


def _problems_of(table: "pa.Table", columns: Columns, by_class: Mapping[str, str]) -> list[str]:
    import pyarrow.compute as pc

    problems = []
    keys = table[columns.key]
    if keys.null_count:
        problems.append(f"{_count(keys.null_count, 'row')} without a key ({columns.key})")
    doubles = len(keys) - keys.null_count - pc.count_distinct(keys, mode="only_valid").as_py()
    if doubles:
        problems.append(f"{_count(doubles, 'row')} with a duplicate key ({columns.key})")
    scores = {columns.score, *by_class.values()}
    for name in (columns.label, columns.score, columns.prediction, *by_class.values()):
        if name is None:
            continue
        values = table[name]
        numbers = _floats(values)
        if name in scores and numbers is None:
            problems.append(f"{name} is of type {values.type}, expected a number")
            continue
        bad = values.null_count if numbers is None else int((~np.isfinite(numbers)).sum())
        if bad:
            problems.append(f"{_count(bad, 'row')} whose {name} is empty, NaN or infinite")
    return problems


def _array(values: "pa.ChunkedArray") -> NDArray[Any]:
    """Float64 for numbers and booleans; text otherwise, and for whole numbers that a float64 cannot
    represent."""
    numbers = None if _goes_beyond(values) else _floats(values)
    return _texts(values) if numbers is None else numbers


def _floats(values: "pa.ChunkedArray") -> NDArray[np.float64] | None:
    """Float64 for numbers and booleans, with NaN for null; None for other types."""
    import pyarrow as pa
    import pyarrow.types as kinds

    kind = values.type
    if kinds.is_boolean(kind):
        values = values.cast(pa.uint8())
    elif not (kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind)):
        return None
    array: NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy()
    return array


def _goes_beyond(values: "pa.ChunkedArray") -> bool:
    """Whether there are exact numbers with more digits than a float64 has."""
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    if not (kinds.is_integer(values.type) or kinds.is_decimal(values.type)):
        return False
    ends = pc.min_max(values).as_py()
    return any(end is not None and abs(end) > EXACT for end in ends.values())


def _texts(values: "pa.ChunkedArray") -> NDArray[np.object_]:
    array: NDArray[np.object_] = _as_text(values).to_numpy()
    return array


def _as_text(values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa

    try:
        return values.cast(pa.large_string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise Unusable(f"a column of type {values.type} cannot be used here") from error


def _without_nan(values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """With null for NaN, as some writers use NaN for null."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    if not kinds.is_floating(values.type):
        return values
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
