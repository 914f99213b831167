"""A team whose code is a package with a lock, from a commit to production and on a laptop."""

from pathlib import Path

from tests.actions.clone import change, clone, commit, headgate
from tests.controller.executors.projects import FILES, lay_out, lock
from tests.controller.executors.test_virtualenvs import wheel
from tests.scenarios.world import PIPELINE, World

NUMBERS = "value\n1\n2\n3\n"


def as_project(work: Path) -> None:
    """Let the pipeline's commands import a package of the repository, and a locked one."""
    project = {name: text for name, text in FILES.items() if name.startswith(("py", "libs"))}
    manifest = project["pyproject.toml"].replace('dev = ["no-such-package-of-ours"]', "")
    lay_out(work, {**project, "pyproject.toml": manifest})
    (work / "wheels").mkdir()
    wheel(work / "wheels")
    lock(work)
    for name in ("train.py", "serve.py"):
        text = (work / name).read_text()
        (work / name).write_text(
            text.replace("import json", "import json\nimport greeting, shared")
        )
    change(work, "train.py", "+ given.shift", "+ given.shift + shared.X")
    change(work, "ml-pipeline.yaml", "params: {", "environment: {project: .}\nparams: {")


async def test_a_step_and_the_server_import_the_packages_of_the_repository(world: World) -> None:
    as_project(world.work)
    world.push("Add the pipeline and its package")
    async with world.controller():
        run = await world.ended(1)
        assert run.outcome == "passed", run.nodes
        assert [one.what for one in run.built] == ["environment", "packages"]
        await world.serves(1)
        change(world.work, "libs/shared/src/shared/__init__.py", "X = 1", "X = 5")
        world.push("Change the package")
        run = await world.ended(2)
        assert run.nodes["train"].phase == "succeeded", "what it imports is what its key covers"
        assert [one.what for one in run.built] == ["packages"]
        await world.serves(2, "staging")


def test_on_a_laptop_an_environment_that_cannot_be_built_is_reported_once(tmp_path: Path) -> None:
    work = clone(tmp_path, PIPELINE, a=NUMBERS)
    as_project(work)
    commit(work, "Use the package")
    done = headgate(work, "run", "--home", "../kept")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 ran, 0 cached" in done.stdout

    change(
        work,
        "libs/shared/backend.py",
        "def build_wheel",
        "raise SystemExit('no luck')\ndef build_wheel",
    )
    commit(work, "Break the build")
    done = headgate(work, "run", "--home", "../kept", "--report", "report.md")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "Failed: environment: the packages of the repository cannot be built" in done.stdout
    report = (work / "report.md").read_text()
    assert report.count("no luck") == 1
    assert "`packages` failed" in report


def test_what_is_wrong_with_the_lock_is_said_before_anything_runs(tmp_path: Path) -> None:
    work = clone(tmp_path, PIPELINE, a=NUMBERS)
    as_project(work)
    change(work, "pyproject.toml", '["greeting"', '["greeting>=2"')
    (work / "headgate.yaml").write_text("repositories: [{name: team, url: .}]\nhome: ../home\n")
    change(
        work,
        "ml-pipeline.yaml",
        "    outputs: {model",
        "    secrets: [DB_URL]\n    outputs: {model",
    )
    done = headgate(work, "validate")
    assert done.returncode == 0, "the lock has it by its path, whatever its version"
    assert "the secret DB_URL is not known to headgate.yaml" in done.stdout

    change(work, "pyproject.toml", '"shared"]', '"shared", "polars"]')
    done = headgate(work, "validate", HEADGATE_SECRET_DB_URL="hush")
    assert done.returncode == 1
    assert "uv.lock is out of date with pyproject.toml, which differs in polars" in done.stdout
    assert "DB_URL" not in done.stdout
    commit(work, "Forget to lock")
    assert "stale-lock" in headgate(work, "run").stderr
    assert "stale-lock" in headgate(work, "plan").stderr
