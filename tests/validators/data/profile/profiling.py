"""A suite proposed for files, and the gate's verdict on those files by that suite."""

from pathlib import Path

from validators.data.gate import judge
from validators.data.profile.propose import propose
from validators.data.profile.request import ProfileRequest, SuiteProposal
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.request import DataGateRequest, SuiteFile
from validators.report import Report


def objects_in(folder: Path, *keys: str) -> tuple[ObjectFile, ...]:
    return tuple(ObjectFile(key=key, path=str(folder / key)) for key in keys)


def proposed(
    objects: tuple[ObjectFile, ...],
    name: str = "data",
    reading: DatasetReading = DatasetReading(),  # noqa: B008 - a constant value
    **about: bool,
) -> SuiteProposal:
    return propose(ProfileRequest(dataset=name, objects=objects, reading=reading, **about))


def text_of(objects: tuple[ObjectFile, ...], name: str = "data") -> str:
    found = proposed(objects, name)
    assert found.problems == ()
    assert found.text is not None
    return found.text


def judged(folder: Path, objects: tuple[ObjectFile, ...], text: str) -> Report:
    """The gate's report on the objects by a suite."""
    suite = folder / "proposed.yaml"
    suite.write_text(text, encoding="utf-8")
    return judge(
        DataGateRequest(
            dataset="data",
            version="sha256:" + "0f" * 32,
            objects=objects,
            suite=SuiteFile(path=str(suite), origin="proposed.yaml"),
        )
    )
