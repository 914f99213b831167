"""A spec at a commit, as this controller can or cannot run it."""

from pathlib import Path

import pytest

from controller.git import Mirror
from controller.kinds.code import Repositories
from controller.machine.pipelines.code import Code
from tests.controller.git_server import Person

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: mean}
steps:
  train:
    run: python train.py {outputs.model}
    outputs: {model: model.json}
"""


async def code(root: Path, spec: str) -> Code:
    """The spec of a commit."""
    person = Person(root / "ada")
    commit = person.push({"ml-pipeline.yaml": spec, "train.py": ""})
    mirror = Mirror(str(person.remote), root / "mirror.git")
    await mirror.fetch()
    return await Repositories({"team": mirror}, root / "checkouts").code("team", commit, "")


async def test_a_spec_that_local_processes_can_run_is_taken(tmp_path: Path) -> None:
    found = await code(tmp_path, SPEC + "    executor: local\n")
    assert found.spec is not None
    assert found.problems == ""


@pytest.mark.parametrize("line", ["executor: docker", "executor: kubernetes", "image: own:1"])
async def test_a_spec_that_asks_for_another_executor_is_refused_with_its_place(
    tmp_path: Path, line: str
) -> None:
    found = await code(tmp_path, SPEC + f"    {line}\n")
    assert found.spec is None
    assert found.problem_count == 1
    assert [(one.line, one.column) for one in found.found] == [(8, 5)]
    assert "ml-pipeline.yaml:8:5" in found.problems
    assert "error" in found.problems
    assert f"remove `{line.partition(':')[0]}`" in found.problems
