"""What of a commit is checked out to watch its datasets."""

from pathlib import Path

import pytest

from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.observers.datasets import is_committed, watched
from tests.controller.git.git_server import Person

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {{name: mean}}
datasets: {{data: {{uri: "{uri}"}}}}
steps:
  step:
    run: "cp {{inputs.data}} {{outputs.out}}"
    inputs: {{data: datasets.data}}
    outputs: {{out: out}}
"""


@pytest.mark.parametrize("uri", ["s3://lake/flights/*.csv", "file:///lake/flights/*.csv"])
async def test_a_dataset_elsewhere_needs_no_checkout_of_its_commit(
    tmp_path: Path, uri: str
) -> None:
    ada = Person(tmp_path / "ada")
    commit = ada.push({"p/ml-pipeline.yaml": SPEC.format(uri=uri)})
    mirrors = {"team": Mirror(str(ada.remote), tmp_path / "mirror.git")}
    code = await Repositories(mirrors, tmp_path / "checkouts").code(
        "team", commit, "p/ml-pipeline.yaml"
    )
    assert code.spec is not None, code.problems
    assert not is_committed(code, "data")
    assert watched(code, "data", None).base is None
    assert watched(code, "data", None) == watched(code, "data", tmp_path)


@pytest.mark.parametrize(("uri", "base"), [("data/*.csv", "p"), ("//data/*.csv", "")])
async def test_a_dataset_in_the_repository_is_looked_for_in_a_checkout(
    tmp_path: Path, uri: str, base: str
) -> None:
    ada = Person(tmp_path / "ada")
    files = {"p/ml-pipeline.yaml": SPEC.format(uri=uri), "p/data/a.csv": "a\n", "data/a.csv": "a\n"}
    commit = ada.push(files)
    mirrors = {"team": Mirror(str(ada.remote), tmp_path / "mirror.git")}
    code = await Repositories(mirrors, tmp_path / "checkouts").code(
        "team", commit, "p/ml-pipeline.yaml"
    )
    assert code.spec is not None, code.problems
    assert is_committed(code, "data")
    assert watched(code, "data", tmp_path).base == tmp_path / base
