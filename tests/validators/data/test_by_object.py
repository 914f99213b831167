"""Objects that are looked at one by one are read as they are read together, and not read again."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specs.csv_files import CsvFiles
from validators.data.gate import judgement
from validators.data.metrics.kept import KeptMetrics
from validators.data.reading import files
from validators.data.reading.by_object import ByObject
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.tables import load
from validators.data.request import DataGateRequest, MetricFiles, SuiteFile

TEXTS = (
    "1", "-20", "02134", "1.5", ".5", "12e4", "1e-07", "9007199254740993", "0.25",
    "1234567890123456.5", "123456789012345678901", "true", "False", "2024-05-01",
    "2024-05-01 12:30:00", "2024-05-01T12:30:00Z", "2024-05-01 12:30:00.1234567",
    "NA", "null", "", "abc", "NaN", " 7 ",
)  # fmt: skip
READINGS = (
    DatasetReading(),
    DatasetReading(types={"x": "decimal"}),
    DatasetReading(types={"x": "timestamp"}),
    DatasetReading(types={"x": "string"}, nulls=("", "NA")),
    DatasetReading(csv=CsvFiles(delimiter=";", decimal=",", thousands=".")),
)


@st.composite
def texts(draw: st.DrawFn) -> list[list[str]]:
    """The texts of a column in one to four files; those of a file are of few sorts."""
    sorts = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4, unique=True))
    column = st.lists(st.sampled_from(sorts), max_size=4)
    return draw(st.lists(column, min_size=1, max_size=4))


def written(folder: Path, files: Sequence[str], suffix: str) -> list[ObjectFile]:
    """Objects with these contents; the content is the digest."""
    objects = []
    for at, content in enumerate(files):
        path = folder / f"{at}{suffix}"
        path.write_text(content)
        objects.append(ObjectFile(key=path.name, path=str(path), digest=content))
    return objects


def values(dataset: OpenedDataset, name: str) -> tuple[str, list[Any]]:
    """The type of a column, and its values in the order of the objects."""
    batches = [batch for part in dataset.parts for batch in part.read(0, [name])]
    return str(dataset.types[name]), [v for one in batches for v in one.table[name].to_pylist()]


def assert_read_alike(objects: Sequence[ObjectFile], reading: DatasetReading) -> None:
    together = load(objects, None, frozenset(), reading)
    kept = KeptMetrics()
    for known in (kept, kept):  # the second time, from what is known
        alone = ByObject(objects, None, frozenset(), reading, known).dataset()
        if alone is None:
            return
        assert alone.clashing == together.clashing
        assert (alone.checks, alone.notes) == (together.checks, together.notes)
        assert alone.is_readable is (together.table is not None)
        if not alone.is_readable:
            return
        assert (alone.columns, alone.rows) == (together.columns, together.table.num_rows)
        for name in together.columns:
            column = together.table[name]
            assert values(alone, name) == (str(column.type), column.to_pylist())
        with tempfile.TemporaryDirectory() as folder:
            known.write(Path(folder) / "known.json")
            kept = KeptMetrics(Path(folder) / "known.json")


SLOWLY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@given(texts(), st.sampled_from(READINGS))
@SLOWLY
def test_delimited_text_is_read_as_it_is_together(columns: list[list[str]], reading: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [[f"{at};{text}" for at, text in enumerate(one)] for one in columns]
        contents = ["\n".join(["k;x", *one]) + "\n" for one in rows]
        csv = reading.csv or CsvFiles(delimiter=";")
        objects = written(Path(folder), contents, ".csv")
        assert_read_alike(objects, reading.model_copy(update={"csv": csv}))


@given(texts(), st.booleans(), st.sampled_from(READINGS[:4]))
@SLOWLY
def test_json_is_read_as_it_is_together(
    columns: list[list[str]], quoted: bool, reading: Any
) -> None:
    def value(text: str) -> Any:
        try:
            return text if quoted else json.loads(text)
        except ValueError:
            return text

    with tempfile.TemporaryDirectory() as folder:
        rows = [[{"k": at, "x": value(text)} for at, text in enumerate(one)] for one in columns]
        contents = ["\n".join(map(json.dumps, one)) or "[]" for one in rows]
        assert_read_alike(written(Path(folder), contents, ".jsonl"), reading)


def test_folders_and_files_of_several_formats_are_read_as_together(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([1, 2], pa.int64()), "w": ["a", "b"]})
    objects = []
    contents = {"dt=2024-05-01/a.csv": "x,w\n3,c\n", "dt=2024-05-02/b.feather": table}
    for key, content in contents.items():
        path = tmp_path / key
        path.parent.mkdir()
        if isinstance(content, str):
            path.write_text(content)
        else:
            feather.write_feather(content, path, compression="uncompressed")
        objects.append(ObjectFile(key=key, path=str(path), digest=key))
    assert_read_alike(objects, DatasetReading())


def test_only_a_new_month_of_text_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    usual = files.pieces

    def noted(one: ObjectFile, *rest: Any) -> Any:
        read.append(one.key)
        return usual(one, *rest)

    monkeypatch.setattr("validators.data.reading.by_object.pieces", noted)
    monkeypatch.setattr("validators.data.reading.object_part.pieces", noted)
    months = ["id,amount\n" + "".join(f"{m}{n},{n}.5\n" for n in range(9)) for m in range(1, 6)]
    objects = written(tmp_path, months, ".csv")
    found = []
    for several in (objects[:4], objects, objects):
        found.append(judgement(_request(tmp_path, several)))
        (tmp_path / "found.json").replace(tmp_path / "known.json")
    assert read == ["0.csv", "1.csv", "2.csv", "3.csv", "4.csv"]
    assert [one.report.verdict.value for one in found] == ["PASS"] * 3
    assert [one.cost for one in found] == [
        "Rows of 4 of 4 objects were read.",
        "Rows of 1 of 5 objects were read; 4 were measured for an earlier version.",
        "Rows of 0 of 5 objects were read; 5 were measured for an earlier version.",
    ]
    (tmp_path / "known.json").unlink()
    assert judgement(_request(tmp_path, objects)).report == found[2].report


def _request(folder: Path, objects: Sequence[ObjectFile]) -> DataGateRequest:
    suite = folder / "suite.yaml"
    suite.write_text("""\
name: amounts
expectations:
  - {type: expect_column_values_to_be_unique, kwargs: {column: id}}
  - {type: expect_column_values_to_be_between, kwargs: {column: amount, min_value: 0, max_value: 9}}
  - {type: expect_column_values_to_be_of_type, kwargs: {column: amount, type_: double}}
""")
    return DataGateRequest(
        dataset="amounts",
        version="sha256:0",
        objects=tuple(objects),
        suite=SuiteFile(path=str(suite), origin="suite.yaml"),
        metrics=MetricFiles(known=str(folder / "known.json"), found=str(folder / "found.json")),
    )
