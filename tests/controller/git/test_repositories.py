"""A spec at a commit, as this controller can or cannot run it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.git import Mirror
from controller.git.commit_specs import read_specs
from controller.git.repositories import Images, Repositories
from controller.git.spec_reading import SpecReading
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.touched import touched
from specs.failures import NeedsHuman, TryAgain
from specs.lint.check import check
from specs.loading.load import LoadedSpec
from tests.controller.git.counting import git_processes
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


@pytest.mark.parametrize("line", [f"image: own@{PINNED}", "build: ."])
async def test_a_spec_that_asks_for_what_is_not_here_is_refused_with_its_place(
    tmp_path: Path, line: str
) -> None:
    found = await code(tmp_path, SPEC + f"    {line}\n")
    assert found.spec is None
    assert found.problem_count == 1
    assert [(one.line, one.column) for one in found.found] == [(8, 5)]
    assert "ml-pipeline.yaml:8:5" in found.problems
    assert "error" in found.problems
    assert f"remove `{line.partition(':')[0]}`" in found.problems


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


# -- what a commit costs ---------------------------------------------------------------------------


class Many:
    """A repository with pipelines in folders of their own, and what was read of it."""

    def __init__(self, root: Path, pipelines: int) -> None:
        self.person = Person(root / "ada")
        self.mirror = Mirror(str(self.person.remote), root / "mirror.git")
        self.repositories = Repositories({"team": self.mirror}, root / "checkouts")
        self.first = self.person.push(
            {
                f"p{number}/{name}": SPEC.replace("mean", f"p{number}") if "ml" in name else "1"
                for number in range(pipelines)
                for name in ("ml-pipeline.yaml", "train.py")
            }
        )

    async def specs(self, commit: str) -> Mapping[str, Code]:
        return await self.repositories.specs("team", commit)


@pytest.fixture
def many(tmp_path: Path) -> Many:
    return Many(tmp_path, 40)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The specs that are checked, by their paths."""
    found: list[str] = []

    def counted(text: bytes, file: str, *rest: Any) -> LoadedSpec:
        found.append(file)
        return check(text, file, *rest)

    monkeypatch.setattr("controller.git.spec_reading.check", counted)
    return found


async def test_a_commit_costs_one_listing_however_many_pipelines_there_are(
    many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many.mirror.fetch()
    with git_processes(monkeypatch) as started:
        assert len(await many.specs(many.first)) == 40
        await many.specs(many.first)
    assert started == {"ls-tree": 1, "cat-file": 1}
    second = many.person.push({"p7/train.py": "2"})
    await many.mirror.fetch()
    with git_processes(monkeypatch) as started:
        await many.specs(second)
        for number in range(40):
            await many.repositories.code("team", second, f"p{number}/ml-pipeline.yaml")
            await many.repositories.rules("team", second, f"p{number}")
            await many.repositories.commit_object("team", second)
    assert started == {"ls-tree": 1}


async def test_a_commit_that_changes_one_spec_reads_one_spec(
    many: Many, checked: list[str]
) -> None:
    first = await many.specs(many.first)
    assert len(checked) == 40
    checked.clear()
    edited = SPEC.replace("mean", "p3") + "    reads: [train.py]\n"
    second = await many.specs(many.person.push({"p3/ml-pipeline.yaml": edited}))
    assert checked == ["p3/ml-pipeline.yaml"]
    assert touched(first, second) == ("p3/ml-pipeline.yaml",)
    assert second["p4/ml-pipeline.yaml"].spec is first["p4/ml-pipeline.yaml"].spec
    assert len({id(code.source.files) for code in second.values()}) == 1
    checked.clear()
    await many.specs(many.person.push({"p3/helper.py": "", "p5/train.py": "2", "README.md": "x"}))
    assert checked == ["p3/ml-pipeline.yaml"], "only where there is another file to find"
    checked.clear()
    third = await many.specs(many.person.push({"p3/train.py": None}))
    assert checked == ["p3/ml-pipeline.yaml"]
    assert {one.code for one in third["p3/ml-pipeline.yaml"].found} == {"missing-file"}


async def test_what_was_read_of_a_commit_is_kept_when_the_rest_is_cancelled(
    many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.git.repositories.AT_ONCE", 8)
    begun, third = 0, asyncio.Event()

    async def told(*given: Any, **options: Any) -> dict[str, SpecReading]:
        nonlocal begun
        begun += 1
        if begun == 3:
            third.set()
        return await read_specs(*given, **options)

    monkeypatch.setattr("controller.git.repositories.read_specs", told)
    looking = asyncio.ensure_future(many.specs(many.first))
    await third.wait()
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert len(await many.specs(many.first)) == 40
    assert begun == 3 + 3, "16 were known, and the other 24 are read in three goes"


async def test_a_commit_may_have_more_pipelines_than_are_kept_for_long(
    many: Many, checked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.git.repositories.MOST_BYTES", 0)
    await many.specs(many.first)
    checked.clear()
    for number in range(8):
        await many.specs(many.person.push({"p3/train.py": str(number), "README.md": "x"}))
        await many.specs(many.person.push({"p3/train.py": str(number), "LICENSE": "y"}))
    assert checked == []


async def test_the_earlier_rules_of_a_pipeline_cost_one_look_at_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checked: list[str]
) -> None:
    many = Many(tmp_path, 20)
    for number in range(6):
        spec = SPEC.replace("mean", f"p{number}") + "    timeout: 2h\n"
        many.person.push({f"p{number}/ml-pipeline.yaml": spec})
    gone = {f"p{number}/ml-pipeline.yaml": None for number in (1, 15)}
    head = many.person.push({**gone, "p2/ml-pipeline.yaml": "kind: no\n"})
    await many.mirror.fetch()
    with git_processes(monkeypatch) as started:
        rules = {
            name: await many.repositories.rules("team", head, name)
            for name in ("p1", "p2", "p15", "p19", "new", "newer")
        }
    valid = {name: code.spec is not None for name, code in rules.items() if code is not None}
    assert valid == dict.fromkeys(("p1", "p2", "p15", "p19"), True)
    assert started == {"ls-tree": 2, "cat-file": 1, "log": 1}
    assert len(checked) == 18 + 3, "those of the head, and the three that it lacks"


async def test_a_spec_by_way_of_a_link_is_found_when_its_target_has_changed(
    tmp_path: Path,
) -> None:
    """The link itself is the same in all commits."""
    person = Person(tmp_path / "ada")
    (person.clone / "a").mkdir()
    (person.clone / "a" / "ml-pipeline.yaml").symlink_to("../specs/a")
    person.push({"specs/a": SPEC, "a/train.py": ""})
    person.push({"specs/a": SPEC.replace("mean", "sum")})
    person.push({"b/ml-pipeline.yaml": SPEC.replace("mean", "b"), "b/train.py": ""})
    person.push({"specs/a": BROKEN})
    last = person.push({"b/ml-pipeline.yaml": None})
    mirror = Mirror(str(person.remote), tmp_path / "mirror.git")
    repositories = Repositories({"team": mirror}, tmp_path / "checkouts")
    found = await repositories.rules("team", last, "sum")
    assert found is not None
    assert found.spec is not None
    assert found.source.path == "a/ml-pipeline.yaml"
