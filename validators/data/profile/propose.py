"""Propose a suite for a dataset from its own rows; nothing is proposed that they do not meet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Final

from specs.figures import clip
from specs.snapshot import SNAPSHOT_KEYS
from validators.data.answering.answers import answers
from validators.data.profile.facts import ColumnFacts, facts_of, sample_of
from validators.data.profile.proposals import (
    ColumnProposals,
    Proposal,
    is_named_as_key,
    of_column,
    of_table,
)
from validators.data.profile.ranges import with_slack
from validators.data.profile.request import ProfileRequest, SuiteProposal
from validators.data.profile.writing import suite_text
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.files import Unreadable
from validators.data.reading.formats.kinds import has_types
from validators.data.reading.opening import open_dataset
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.suites.suite import Expectation, read_suite
from validators.verdict import Verdict

MOST_COLUMNS: Final = 300
"""Columns that expectations are proposed for: nobody reviews more."""
_MOST_APART: Final = 100
"""Columns without an entry that are named, if the suite would be too large."""
_PAIRS: Final = 12
"""Pairs of columns that are tried as a key."""
_UNIQUE: Final = "expect_column_values_to_be_unique"
_TOGETHER: Final = "expect_compound_columns_to_be_unique"
_ENOUGH: Final = 1_000
"""Rows that two columns must tell apart for that to be convincing."""


def propose(request: ProfileRequest) -> SuiteProposal:
    """A suite that the dataset passes, or why there is none."""
    try:
        return _proposed(request)
    except Unreadable as error:
        return SuiteProposal(problems=(error.why,))


def _proposed(request: ProfileRequest) -> SuiteProposal:
    dataset = _opened(request)
    about: dict[str, str] = {}
    problems = []
    for check in dataset.checks:
        if check.subject in dataset.columns:
            about[check.subject] = check.message
        elif check.verdict in (Verdict.FAIL, Verdict.ERROR):
            problems.append(check.message)
    if problems or not dataset.is_readable:
        return SuiteProposal(problems=tuple(problems))
    if dataset.rows == 0:
        return SuiteProposal(problems=("the dataset has no rows",))
    sound = [name for name in dataset.columns if name in dataset.types and name not in about]
    columns = sound[:MOST_COLUMNS]
    is_typed = all(has_types(one.key) for one in request.objects if one.key not in SNAPSHOT_KEYS)
    sample = sample_of(dataset, columns)
    facts = facts_of(dataset, sample, columns)
    several = [of_column(one, is_typed=is_typed, is_queried=request.is_queried) for one in facts]
    met = _met_by(dataset, sample, [one for each in several for one in each.proposals])
    every_row = [*of_table(dataset.rows, columns), *_keys(dataset, sample, facts, met)]
    table = _met_by(dataset, sample, every_row)
    kept = [replace(each, proposals=_first_of(each.proposals, met)) for each in several]
    apart = [ColumnProposals(name, said=(why,)) for name, why in about.items()]
    return _written(request, dataset, len(sound), list(table.values()), kept, apart)


def _written(
    request: ProfileRequest,
    dataset: OpenedDataset,
    sound: int,
    table: Sequence[Proposal],
    columns: Sequence[ColumnProposals],
    apart: Sequence[ColumnProposals],
) -> SuiteProposal:
    """The suite, with as many columns as one may have; those `apart` have no entry anyway."""
    while True:
        head = _head(request, dataset, len(columns), sound)
        text = suite_text(request.dataset, head, table, [*columns, *apart])
        if not read_suite(text, "").problems or not columns:
            count = len(table) + sum(len(each.proposals) for each in columns)
            return SuiteProposal(text=text, rows=dataset.rows, expectations=count)
        columns, apart = columns[: len(columns) * 3 // 4], apart[:_MOST_APART]


def _opened(request: ProfileRequest) -> OpenedDataset:
    """The dataset with all its columns that occur once."""
    dataset = open_dataset(request.objects, None, None, request.reading)
    if dataset.is_readable:
        return dataset
    names = open_dataset(request.objects, frozenset(), frozenset(), request.reading)
    twice = {check.subject for check in names.checks if check.name.startswith("columns once")}
    if not names.is_readable or not twice:
        return dataset
    once = frozenset(name for name in names.columns if name not in twice)
    return open_dataset(request.objects, once, frozenset(), request.reading)


def _met_by(
    dataset: OpenedDataset, sample: OpenedDataset, proposals: Sequence[Proposal]
) -> dict[int, Proposal]:
    """Those that the data meets, by their identity; first the sample is asked, as that is cheap."""
    likely = list(proposals)
    if sample.rows < dataset.rows:
        found = _outcomes(sample, [one for one in likely if _is_guess(one)])
        likely = [one for one in likely if not _is_guess(one) or _as_met(one, found[id(one)])]
    outcomes = _outcomes(dataset, likely)
    kept = {id(one): _as_met(one, outcomes[id(one)]) for one in likely}
    return {key: one for key, one in kept.items() if one is not None}


def _is_guess(one: Proposal) -> bool:
    """Whether it costs something to find out, and may well not be met."""
    return one.instead is not None or one.type in (_UNIQUE, _TOGETHER)


def _outcomes(
    dataset: OpenedDataset, proposals: Sequence[Proposal]
) -> dict[int, ExpectationOutcome]:
    """The gate's own answers, by the proposals' identities."""
    asked = {at: Expectation(one.type, dict(one.kwargs)) for at, one in enumerate(proposals)}
    return {id(proposals[found.place]): found for found in answers(dataset, asked)}


def _as_met(one: Proposal, found: ExpectationOutcome) -> Proposal | None:
    """The proposal as the data meets it; None if it does not."""
    if found.success:
        return one
    failing, n = found.unexpected, found.evaluated
    if not one.tolerates or failing is None or not n or failing > one.tolerates * n:
        return None
    return replace(
        one,
        kwargs={**one.kwargs, "mostly": with_slack(1 - failing / n, n)},
        evidence=f"{one.evidence}; {failing:,} outside",
    )


def _first_of(proposals: Sequence[Proposal], met: Mapping[int, Proposal]) -> tuple[Proposal, ...]:
    """Those that are met, and the first alternative only."""
    kept: list[Proposal] = []
    for one in proposals:
        taken = one.instead is not None and any(one.instead == other.instead for other in kept)
        if id(one) in met and not taken:
            kept.append(met[id(one)])
    return tuple(kept)


def _keys(
    dataset: OpenedDataset,
    sample: OpenedDataset,
    facts: Sequence[ColumnFacts],
    met: Mapping[int, Proposal],
) -> list[Proposal]:
    """Two columns that tell the rows apart, if no column does: what a row is about, and when."""
    if any(one.type == _UNIQUE for one in met.values()) or dataset.rows < _ENOUGH:
        return []
    import pyarrow as pa

    full = [one for one in facts if one.nulls == 0 and one.values > 0]
    things = [one.name for one in full if is_named_as_key(one.name)]
    times = [one.name for one in full if pa.types.is_temporal(one.kind)]
    pairs = list(product(things, times))[:_PAIRS]
    evidence = f"{dataset.rows:,} rows, all different"
    tried = [Proposal(_TOGETHER, {"column_list": list(pair)}, evidence) for pair in pairs]
    return list(_met_by(dataset, sample, tried).values())[:1]


def _head(request: ProfileRequest, dataset: OpenedDataset, shown: int, sound: int) -> list[str]:
    name = clip(request.dataset, 60)
    rows = f"{dataset.rows:,} row{'s' * (dataset.rows != 1)}"
    objects = f"{dataset.objects:,} object{'s' * (dataset.objects != 1)}"
    lines = [
        f"Proposed by `headgate profile {name}`, from {rows} in {objects}, which meet all of it.",
        "Review it: a comment says what the data is like, and only you know what it must be like.",
        "`severity: warning` is reported and does not stop a run; what must stop it is critical.",
    ]
    if sound > shown:
        lines.append(f"The first {shown:,} of {sound:,} columns; the others have no entry.")
    return lines
