"""What is kept of a version's columns, and drawn beside a later version that fails."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.data.answering import portraits
from validators.data.gate import judgement
from validators.data.metrics.batch import RowBatch
from validators.data.metrics.bins import Steps
from validators.data.metrics.shape import CELLS, SAMPLE, Sketched
from validators.data.portrait import beside
from validators.data.reading.objects import ObjectFile
from validators.data.request import DataGateRequest, MetricFiles, SuiteFile
from validators.data.validation_result import Findings
from validators.report import Check, Histogram, MemberCounts

MARKER = "SECRET-7f3a"
Table = Mapping[str, Any]


def judged(
    folder: Path, *objects: Table, asks: list[str], metrics: MetricFiles | None = None
) -> Findings:
    """What is found in a version with these objects; `asks` are YAML."""
    folder.mkdir(exist_ok=True)
    files = []
    for at, one in enumerate(objects):
        path = folder / f"{at}.parquet"
        pq.write_table(pa.table(dict(one)), path, row_group_size=1 << 20)
        files.append(ObjectFile(key=path.name, path=str(path), digest=f"v{at}"))
    suite = folder / "suite.yaml"
    suite.write_text("name: s\nexpectations:\n" + "".join(f"- {one}\n" for one in asks))
    return judgement(
        DataGateRequest(
            dataset="flights",
            version="v1",
            objects=tuple(files),
            suite=SuiteFile(path=str(suite), origin="suite.yaml"),
            metrics=metrics,
        )
    )


def compared(folder: Path, good: Table, bad: Table, ask: str) -> Check:
    """The check of the later version, with what is drawn of the earlier one."""
    before = judged(folder / "before", good, asks=[ask])
    now = judged(folder / "now", bad, asks=[ask])
    (check,) = now.report.checks
    assert check.histogram or check.members
    return beside(check, now.portrait, before.portrait)


def asks(kind: str, arguments: str) -> str:
    return f"{{type: expect_column_{kind}, kwargs: {{column: x, {arguments}}}}}"


def counted(of: Histogram, edges: tuple[float, ...]) -> list[int]:
    assert of.edges == edges
    return [of.below, *of.counts, of.above]


NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NUMBERS = ([1.0, 2.5, 2.5, 9.0, 10.0], [3.0, 4.0, 10.0, 11.5, 99.0])


@pytest.mark.parametrize(
    ("kind", "arguments", "good", "bad"),
    [
        ("values_to_be_between", "min_value: 0, max_value: 10", *NUMBERS),
        ("values_to_be_between", "max_value: 10", *NUMBERS),
        ("values_to_be_between", "min_value: 4", NUMBERS[1], NUMBERS[0]),
        ("mean_to_be_between", "max_value: 6", *NUMBERS),
        ("values_to_be_unique", "mostly: 1", NUMBERS[1], NUMBERS[0]),
        ("values_to_be_between", "max_value: 10", [1, 7, 10], [5, 10, 11, 12]),
        (
            "values_to_be_between",
            'max_value: "2024-06-01"',
            [date(2024, 1, 1), date(2024, 6, 1)],
            [date(2024, 1, 5), date(2024, 7, 1)],
        ),
        (
            "values_to_be_between",
            'min_value: "2024-05-01"',
            [NOON, NOON.replace(day=30)],
            [NOON, NOON.replace(month=4)],
        ),
        (
            "value_lengths_to_be_between",
            "min_value: 1, max_value: 3",
            ["a", "bcd", None],
            ["a", "bcdef"],
        ),
    ],
)
def test_the_reference_is_in_the_same_bins_as_if_it_had_been_drawn_itself(
    tmp_path: Path, kind: str, arguments: str, good: Any, bad: Any
) -> None:
    check = compared(tmp_path, {"x": good}, {"x": bad}, asks(kind, arguments))
    of, reference = check.histogram, check.reference
    assert of is not None
    assert isinstance(reference, Histogram)
    assert not reference.estimated
    n = sum(one is not None for one in good)
    assert sum(counted(reference, of.edges)) == n == reference.n
    assert of.n == len(bad)
    for limit in (of.low, of.high):
        assert limit is None or limit in of.edges


def test_values_on_the_limit_and_beyond_the_bins_are_where_they_belong(tmp_path: Path) -> None:
    good = [0.0, 10.0, 10.0, 10.5, -500.0]
    ask = asks("values_to_be_between", "min_value: 0, max_value: 10, mostly: 0.5")
    check = compared(tmp_path, {"x": good}, {"x": [11.0, 12.0, 5.0]}, ask)
    of, reference = check.histogram, check.reference
    assert of is not None
    assert isinstance(reference, Histogram)
    first, last = of.edges.index(0.0), of.edges.index(10.0)
    assert sum(reference.counts[first:last]) == 3
    assert (reference.below, reference.counts[last]) == (1, 1)


def test_of_a_set_the_same_members_are_counted_and_no_other_value_is_kept(tmp_path: Path) -> None:
    ask = asks("values_to_be_in_set", "value_set: [AA, F9, UA], mostly: 0.6")
    good, bad = ["AA", "AA", "UA", MARKER], ["F9", MARKER, MARKER, "X"]
    before = judged(tmp_path / "before", {"x": good}, asks=[ask])
    assert MARKER not in before.portrait.model_dump_json()
    reference = compared(tmp_path, {"x": good}, {"x": bad}, ask).reference
    assert isinstance(reference, MemberCounts)
    counts = {one.member: one.count for one in reference.members}
    assert (counts, reference.others) == ({"AA": 2, "F9": 0, "UA": 1}, 1)


def test_what_was_asked_otherwise_is_no_reference(tmp_path: Path) -> None:
    before = judged(
        tmp_path / "a", {"x": [1.0, 2.0]}, asks=[asks("values_to_be_between", "max_value: 9")]
    )
    now = judged(tmp_path / "b", {"x": [11.0]}, asks=[asks("values_to_be_between", "max_value: 8")])
    (check,) = now.report.checks
    assert beside(check, now.portrait, before.portrait) == check
    other = judged(
        tmp_path / "c",
        {"x": [1.0], "k": ["a"]},
        asks=[
            asks(
                "values_to_be_between",
                "max_value: 8, row_condition: \"k == 'a'\", condition_parser: pandas",
            )
        ],
    )
    assert beside(check, now.portrait, other.portrait) == check


def test_a_reference_that_is_much_wider_makes_the_bins_wider_or_is_left_out(tmp_path: Path) -> None:
    ask = asks("values_to_be_unique", "mostly: 1")
    wide = [float(at) for at in range(0, 30_000, 100)]
    check = compared(tmp_path, {"x": wide}, {"x": [5.0, 5.0, 2000.0]}, ask)
    of, reference = check.histogram, check.reference
    assert of is not None
    assert isinstance(reference, Histogram)
    assert (of.n, reference.n) == (3, len(wide))
    assert reference.above > 0
    near = compared(tmp_path, {"x": wide}, {"x": [5.0, 5.0, 6.0]}, ask)
    assert near.reference is None
    assert near.histogram is not None


def test_a_report_has_no_reference_and_is_the_same_from_a_warm_cache(tmp_path: Path) -> None:
    every = [
        asks("values_to_be_between", "min_value: 0, max_value: 10"),
        asks("mean_to_be_between", "max_value: 6"),
        asks("values_to_be_in_set", "value_set: [1, 2]"),
    ]
    tables = {"x": [1, 2, 50]}, {"x": [3, -4, 60]}
    kept = str(tmp_path / "kept.json")
    cold = judged(tmp_path / "a", *tables, asks=every, metrics=MetricFiles(found=kept))
    judged(tmp_path / "b", tables[0], asks=every[1:], metrics=MetricFiles(found=kept))
    some = judged(tmp_path / "c", *tables, asks=every, metrics=MetricFiles(known=kept, found=kept))
    warm = judged(tmp_path / "d", *tables, asks=every, metrics=MetricFiles(known=kept, found=kept))
    assert cold.report == some.report == warm.report
    assert cold.portrait == some.portrait == warm.portrait
    assert len(cold.portrait.sketches) == 3
    assert all(one.reference is None for one in cold.report.checks)


def test_a_large_table_is_sketched_by_a_sample_that_says_so(tmp_path: Path) -> None:
    rows = 40 * SAMPLE
    table = {"x": np.arange(rows) % 1000}
    ask = asks("mean_to_be_between", "max_value: 1000")
    found = judged(tmp_path, table, asks=[ask])
    (sketch,) = found.portrait.sketches.values()
    assert sketch.estimated
    assert sum(count for _, _, count in sketch.cells) == pytest.approx(rows, rel=0.01)
    low = sum(count for low, high, count in sketch.cells if high <= 512)
    assert low / rows == pytest.approx(0.512, abs=0.03)


def test_columns_that_footers_answer_for_are_not_read_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portraits, "SMALL", 2)
    table = {"x": [1, 2, 3], "y": [1.0, 2.0, 3.0]}
    one = asks("values_to_be_between", "min_value: 0")
    other = one.replace("column: x", "column: y")
    kept = MetricFiles(found=str(tmp_path / "kept.json"))
    by_footer = judged(tmp_path / "a", table, asks=[one], metrics=kept)
    assert by_footer.portrait.sketches == {}
    assert by_footer.cost is not None
    assert by_footer.cost.startswith("Rows of 0 of 1 objects were read")
    both = judged(tmp_path / "b", table, asks=[one, other])
    assert [name.partition(":")[0] for name in both.portrait.sketches] == ["y"]


values = st.lists(st.floats(-1e6, 1e6) | st.just(float("inf")), max_size=300)


@given(values, st.integers(0, 300), st.floats(-10, 10), st.floats(0.01, 100))
def test_a_sketch_of_two_parts_is_that_of_the_whole(
    every: list[float], at: int, anchor: float, unit: float
) -> None:
    metric = Sketched("x", Steps(anchor, unit))

    def of(some: list[float]) -> list[Any]:
        return metric.of(RowBatch.of(pa.table({"x": pa.array(some, pa.float64())})))

    exponent, cells, estimated = metric.merged([of(every[:at]), of(every[at:])])
    finite = [one for one in every if np.isfinite(one)]
    assert not estimated
    assert sum(count for _, count in cells) == len(finite)
    assert len(cells) <= CELLS
    width = 2.0**exponent
    for place, count in cells:
        found = sum(np.floor((one - anchor) / unit / width) == place for one in finite)
        assert found == count
