"""A spec at a commit, as this controller can or cannot run it."""

from pathlib import Path

import pytest

from controller.git import Mirror
from controller.git.repositories import Images, Repositories
from controller.machine.pipelines.code import Code
from specs.failures import NeedsHuman, TryAgain
from tests.controller.git.git_server import Person, run_git

PINNED = "sha256:" + 64 * "0"
SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: mean}
steps:
  train:
    run: python train.py {outputs.model}
    outputs: {model: model.json}
"""


async def code(root: Path, spec: str, images: Images | None = None) -> Code:
    """The spec of a commit."""
    person = Person(root / "ada")
    commit = person.push({"ml-pipeline.yaml": spec, "train.py": "", "Dockerfile": ""})
    mirror = Mirror(str(person.remote), root / "mirror.git")
    await mirror.fetch()
    checkouts = root / "checkouts"
    return await Repositories({"team": mirror}, checkouts, images).code(
        "team", commit, "ml-pipeline.yaml"
    )


async def test_a_spec_that_local_processes_can_run_is_taken(tmp_path: Path) -> None:
    found = await code(tmp_path, SPEC + "    executor: local\n")
    assert found.spec is not None
    assert found.problems == ""


@pytest.mark.parametrize("line", ["executor: kubernetes", f"image: own@{PINNED}", "build: ."])
async def test_a_spec_that_asks_for_what_is_not_here_is_refused_with_its_place(
    tmp_path: Path, line: str
) -> None:
    found = await code(tmp_path, SPEC + f"    {line}\n")
    assert found.spec is None
    assert found.problem_count == 1
    assert [(one.line, one.column) for one in found.found] == [(8, 5)]
    assert "ml-pipeline.yaml:8:5" in found.problems
    assert "error" in found.problems
    mend = "use local" if "kubernetes" in line else f"remove `{line.partition(':')[0]}`"
    assert mend in found.problems


class Shelf:
    """Images by name; asked once for each, however many steps run in it."""

    def __init__(self, **images: str) -> None:
        self.images = images
        self.asked: list[str] = []
        self.reachable = True

    async def resolve(self, reference: str) -> str:
        if not self.reachable:
            raise TryAgain("the Docker Engine cannot be reached")
        self.asked.append(reference)
        if reference not in self.images:
            raise NeedsHuman(f"there is no image {reference}")
        return self.images[reference]


async def test_the_images_of_a_commit_are_looked_up_once(tmp_path: Path) -> None:
    shelf = Shelf(**{"python:3.12": f"python@{PINNED}"})
    spec = SPEC + "environment: {image: 'python:3.12'}\n"
    found = await code(tmp_path, spec, shelf)
    assert found.spec is not None
    assert found.source.images == {"python:3.12": f"python@{PINNED}"}
    assert shelf.asked == ["python:3.12"]


async def test_an_image_that_is_nowhere_is_a_problem_of_its_line(tmp_path: Path) -> None:
    found = await code(tmp_path, SPEC + "    image: gone:1\n", Shelf())
    assert found.spec is None
    assert [(one.line, one.path) for one in found.found if one.severity == "error"] == [
        (8, "steps.train.image")
    ]
    assert "there is no image gone:1" in found.problems


async def test_nothing_is_remembered_of_an_engine_that_is_away(tmp_path: Path) -> None:
    shelf = Shelf(**{"python:3.12": f"python@{PINNED}"})
    shelf.reachable = False
    person = Person(tmp_path / "ada")
    commit = person.push({"ml-pipeline.yaml": SPEC + "    image: python:3.12\n", "train.py": ""})
    mirror = Mirror(str(person.remote), tmp_path / "mirror.git")
    await mirror.fetch()
    repositories = Repositories({"team": mirror}, tmp_path / "checkouts", shelf)
    with pytest.raises(TryAgain):
        await repositories.code("team", commit, "ml-pipeline.yaml")
    shelf.reachable = True
    assert (await repositories.code("team", commit, "ml-pipeline.yaml")).spec is not None


# -- the rules of a pipeline, by its name ----------------------------------------------------------

BROKEN = SPEC.replace("steps:", "stops:")


async def rules(tmp_path: Path, *pushes: dict[str, str | None]) -> Code | None:
    """The rules of `mean` at the last of these commits."""
    person = Person(tmp_path / "ada")
    commits = [person.push(files) for files in pushes]
    mirror = Mirror(str(person.remote), tmp_path / "mirror.git")
    await mirror.fetch()
    repositories = Repositories({"team": mirror}, tmp_path / "checkouts")
    return await repositories.rules("team", commits[-1], "mean")


@pytest.mark.parametrize(
    "later",
    [
        {"README.md": "nothing of it"},
        {"ml-pipeline.yaml": None, "moved/ml-pipeline.yaml": SPEC, "moved/train.py": ""},
        {"ml-pipeline.yaml": None},
        {"ml-pipeline.yaml": BROKEN},
        {"ml-pipeline.yaml": SPEC.replace("name: mean", "name: another")},
        {"ml-pipeline.yaml": None, "ml-pipeline.mean.yaml": SPEC},
    ],
)
async def test_the_rules_of_a_pipeline_are_its_last_wherever_they_were(
    tmp_path: Path, later: dict[str, str | None]
) -> None:
    found = await rules(tmp_path, {"ml-pipeline.yaml": SPEC, "train.py": ""}, later, {"a": "b"})
    assert found is not None
    assert found.spec is not None
    assert found.spec.metadata.name == "mean"
    moved = "moved/ml-pipeline.yaml" in later
    assert found.source.folder == ("moved" if moved else "")


@pytest.mark.parametrize("later", [None, BROKEN])
async def test_the_rules_of_one_of_several_specs_of_a_folder_are_found_after_they_went(
    tmp_path: Path, later: str | None
) -> None:
    both = {"ml-pipeline.yaml": SPEC.replace("name: mean", "name: sum"), "train.py": ""}
    first: dict[str, str | None] = {**both, "ml-pipeline.mean.yaml": SPEC}
    found = await rules(tmp_path, first, {"ml-pipeline.mean.yaml": later}, {"a": "b"})
    assert found is not None
    assert found.spec is not None
    assert (found.spec.metadata.name, found.source.file) == ("mean", "ml-pipeline.mean.yaml")


async def test_specs_of_one_folder_each_have_a_name_also_while_they_say_none(
    tmp_path: Path,
) -> None:
    person = Person(tmp_path / "ada")
    commit = person.push(
        {
            **{f"{at}train.py": "" for at in ("", "models/")},
            "ml-pipeline.yaml": SPEC,
            "ml-pipeline.churn.yaml": "kind: no\n",
            "models/ml-pipeline.churn.yaml": "kind: no\n",
            "models/ml-pipeline.yaml": "kind: no\n",
        }
    )
    mirror = Mirror(str(person.remote), tmp_path / "mirror.git")
    await mirror.fetch()
    found = await Repositories({"team": mirror}, tmp_path / "checkouts").specs("team", commit)
    assert {path: code.name for path, code in found.items()} == {
        "ml-pipeline.yaml": "mean",
        "ml-pipeline.churn.yaml": "churn",
        "models/ml-pipeline.yaml": "models",
        "models/ml-pipeline.churn.yaml": "models-churn",
    }
    assert found["models/ml-pipeline.churn.yaml"].found[0].file == "models/ml-pipeline.churn.yaml"


async def test_a_pipeline_that_is_new_has_none(tmp_path: Path) -> None:
    assert await rules(tmp_path, {"train.py": ""}, {"README.md": "none yet"}) is None


async def test_the_rules_that_came_by_a_merge_are_found_after_they_went(tmp_path: Path) -> None:
    """Along the first parents a merge is the change that brought them."""
    person = Person(tmp_path / "ada")
    first = person.push({"README.md": "first"})
    side = person.push({"ml-pipeline.yaml": SPEC, "train.py": ""}, branch="side")
    run_git(person.clone, "reset", "-q", "--hard", first)
    run_git(person.clone, "merge", "-q", "--no-ff", "--no-edit", side)
    last = person.push({"ml-pipeline.yaml": None})
    mirror = Mirror(str(person.remote), tmp_path / "mirror.git")
    await mirror.fetch()
    found = await Repositories({"team": mirror}, tmp_path / "checkouts").rules("team", last, "mean")
    assert found is not None
