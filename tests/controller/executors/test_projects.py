"""Environments of projects: built of what a lock says, and of packages in the repository."""

import json
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from controller.executors.installer import CannotBuild
from controller.executors.requirements import Locked, names_of
from controller.executors.virtualenvs import LOGS, ReadyEnvironment, Virtualenvs
from controller.executors.workspace import environment_variables
from controller.machine.runs.attempt import Building
from controller.machine.runs.graph import Graph
from controller.machine.runs.graph_builder import build
from controller.machine.runs.reasons import EarlierRun, reasons
from controller.machine.runs.step_nodes import environment_of
from deployers.confinement import Confinement
from specs.digests import digest
from tests.controller.executors.projects import (
    FILES,
    lay_out,
    lock,
    recipe,
    source_of,
    spec_of,
)
from tests.controller.executors.test_virtualenvs import wheel


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The repository, locked."""
    made = tmp_path / "repository"
    lay_out(made, FILES)
    (made / "wheels").mkdir()
    wheel(made / "wheels")
    text = (made / "pyproject.toml").read_text()
    # What nobody can find is in no lock; it stands for what is not chosen.
    (made / "pyproject.toml").write_text(text.replace('dev = ["no-such-package-of-ours"]', ""))
    lock(made)
    return made


@pytest.fixture
def virtualenvs(tmp_path: Path) -> Virtualenvs:
    return Virtualenvs(tmp_path / "environments")


def wanted(top: Path) -> Locked:
    return Locked(recipe(top), top)


def says(ready: ReadyEnvironment, *command: str) -> str:
    """What a command prints with the variables of a step."""
    return subprocess.check_output(command, text=True, env=environment_variables(ready, {}))


def graph_of(top: Path) -> Graph:
    """Of a run of what lies there."""
    return build(spec_of(top), source_of(top))


def change(top: Path, name: str, old: str, new: str) -> None:
    text = (top / name).read_text()
    assert old in text
    (top / name).write_text(text.replace(old, new))


async def test_a_step_imports_what_is_locked_and_the_packages_of_the_repository(
    virtualenvs: Virtualenvs, top: Path
) -> None:
    ready = await virtualenvs.get(wanted(top), None)
    assert says(ready, "python", "-c", "import greeting, shared") == "greeting 1.0\n"
    assert says(ready, "shout") == "X is 1\n", "its console script is on PATH"
    version = "import importlib.metadata as m; print(m.version('shared'))"
    assert says(ready, "python", "-c", version) == "1.0\n"
    assert await Virtualenvs(ready.environment.parent).get(wanted(top), None) == ready


async def test_a_package_sees_when_it_is_built_what_its_key_covers_and_nothing_else(
    virtualenvs: Virtualenvs, top: Path
) -> None:
    ready = await virtualenvs.get(wanted(top), None)
    seen = says(ready, "python", "-c", "import shared.around as a; print(*a.seen)").split()
    assert sorted(seen) == ["README.md", "__pycache__", "backend.py", "pyproject.toml", "src"]
    assert not (ready.environment.parent / "libs").exists()


async def test_sources_behind_a_link_are_what_it_leads_to_inside_the_repository(
    virtualenvs: Virtualenvs, top: Path, tmp_path: Path
) -> None:
    (top / "libs" / "shared" / "src").rename(top / "code")
    (top / "code").chmod(0o555)  # as a checkout is
    (top / "libs" / "shared" / "src").symlink_to("../../code")
    assert says(await virtualenvs.get(wanted(top), None), "shout") == "X is 1\n"
    (top / "code").chmod(0o755)
    (top / "code").rename(tmp_path / "outside")
    (top / "libs" / "shared" / "src").unlink()
    (top / "libs" / "shared" / "src").symlink_to(tmp_path / "outside")
    ready = await virtualenvs.get(wanted(top), None)
    with pytest.raises(subprocess.CalledProcessError):
        says(ready, "shout")


async def test_a_package_that_changed_is_built_again_and_nothing_else_is(
    virtualenvs: Virtualenvs, top: Path
) -> None:
    before = await virtualenvs.get(wanted(top), None)
    change(top, "libs/shared/src/shared/__init__.py", "X = 1", "X = 2")
    after = await virtualenvs.get(wanted(top), None)
    assert after.environment == before.environment
    assert after.packages != before.packages
    assert (says(before, "shout"), says(after, "shout")) == ("X is 1\n", "X is 2\n")


@pytest.mark.parametrize(
    ("name", "old", "new", "is_other"),
    [
        ("libs/shared/src/shared/__init__.py", "X = 1", "X = 2", True),
        ("libs/shared/backend.py", "'nothing'", "'something'", True),
        ("libs/shared/pyproject.toml", '"1.0"', '"1.1"', True),
        ("libs/shared/pyproject.toml", "[project]", "# a word\n[project]", False),
        ("libs/shared/README.md", "What", "Whatever", False),
        ("libs/shared/tests/test_shared.py", "", "assert True", False),
        ("pyproject.toml", "[project]", "[tool.ruff]\nline-length = 90\n[project]", False),
        ("uv.lock", "revision", "# a word\nrevision", True),
        ("train.py", "import shared", "import shared  # all", False),
    ],
)
def test_what_a_step_can_import_is_what_its_key_covers(
    top: Path, name: str, old: str, new: str, is_other: bool
) -> None:
    pipeline = spec_of(top)
    before = environment_of(pipeline, source_of(top), "train")
    change(top, name, old, new)
    assert (environment_of(pipeline, source_of(top), "train") != before) is is_other


@pytest.mark.parametrize(
    ("name", "old", "new", "why"),
    [
        ("uv.lock", "revision", "# a word\nrevision", "environment: uv.lock changed"),
        (
            "libs/shared/src/shared/__init__.py",
            "X = 1",
            "X = 2",
            "environment: libs/shared/src/shared/__init__.py changed",
        ),
        (
            "libs/shared/pyproject.toml",
            '"1.0"',
            '"1.1"',
            "environment: libs/shared/pyproject.toml changed",
        ),
        (
            "ml-pipeline.yaml",
            "project: .",
            'project: ., python: "3.12"',
            "environment.python went from none to 3.12",
        ),
    ],
)
def test_a_plan_names_what_changed_of_an_environment(
    top: Path, name: str, old: str, new: str, why: str
) -> None:
    was = EarlierRun(run="mean-1", graph=graph_of(top), datasets={})
    change(top, name, old, new)
    assert [*map(str, reasons(graph_of(top).nodes[0], {}, was))] == [why]


async def test_whoever_waits_is_told_of_each_build_once_it_begins_and_when_it_is_over(
    virtualenvs: Virtualenvs, top: Path, tmp_path: Path
) -> None:
    heard: list[Building] = []
    await virtualenvs.get(wanted(top), None, heard.append)
    assert [(one.what, one.seconds is None) for one in heard] == [
        ("environment", True),
        ("environment", False),
        ("packages", True),
        ("packages", False),
    ]
    logs = tmp_path / "environments" / LOGS
    assert "greeting" in (logs / heard[0].name / "log").read_text()
    assert "shared" in (logs / heard[2].name / "log").read_text()
    again: list[Building] = []
    await virtualenvs.get(wanted(top), None, again.append)
    assert again == [], "nothing was built"


async def test_a_run_is_told_again_what_cannot_be_built_and_another_tries_it_anew(
    virtualenvs: Virtualenvs, top: Path
) -> None:
    path = top / "wheels" / "greeting-1.0-py3-none-any.whl"
    good = path.read_bytes()
    path.write_bytes(b"no wheel")
    broken = wanted(top)
    heard: list[Building] = []
    for _ in range(2):
        with pytest.raises(CannotBuild, match=r"uv\.lock lists cannot be installed.*greeting"):
            await virtualenvs.get(broken, None, heard.append, by="mean-1")
    begun = [one for one in heard if not one.failed]
    assert len(begun) == 1, "the second was not built"
    assert "installer said: error" in heard[-1].failed
    path.write_bytes(good)
    assert await virtualenvs.get(broken, None, heard.append, by="mean-2")


async def test_what_is_still_wanted_of_a_project_is_not_swept(
    virtualenvs: Virtualenvs, top: Path
) -> None:
    kept = wanted(top)
    ready = await virtualenvs.get(kept, None)
    change(top, "libs/shared/src/shared/__init__.py", "X = 1", "X = 2")
    other = await virtualenvs.get(wanted(top), None)
    assert virtualenvs.sweep(names_of(kept.recipe), time.time() + 3600) == 1
    assert virtualenvs.ready(kept, None) == ready
    assert other.packages is not None
    assert not other.packages.exists()


async def test_a_pylock_is_installed_as_it_is(virtualenvs: Virtualenvs, top: Path) -> None:
    (top / "uv.lock").unlink()
    content = (top / "wheels/greeting-1.0-py3-none-any.whl").read_bytes()
    (top / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "ada"\n[[packages]]\nname = "greeting"\n'
        'version = "1.0"\narchive = {path = "wheels/greeting-1.0-py3-none-any.whl", '
        f'hashes = {{sha256 = "{digest(content)[7:]}"}}}}\n'
    )
    ready = await virtualenvs.get(wanted(top), None)
    assert ready.packages is None
    assert says(ready, "python", "-c", "import greeting") == "greeting 1.0\n"


async def test_a_poetry_lock_is_installed_with_its_packages_of_the_repository(
    virtualenvs: Virtualenvs, top: Path
) -> None:
    (top / "uv.lock").unlink()
    (top / "poetry.lock").write_text(
        '[[package]]\nname = "greeting"\nversion = "1.0"\ngroups = ["main"]\nfiles = []\n'
        '[package.source]\ntype = "file"\nurl = "wheels/greeting-1.0-py3-none-any.whl"\n'
        '[[package]]\nname = "shared"\nversion = "1.0"\ngroups = ["main"]\nfiles = []\n'
        '[package.source]\ntype = "directory"\nurl = "libs/shared"\n'
        '[metadata]\nlock-version = "2.1"\n'
    )
    ready = await virtualenvs.get(wanted(top), None)
    assert says(ready, "python", "-c", "import greeting") == "greeting 1.0\n"
    assert says(ready, "shout") == "X is 1\n"


CONDA = """#!/bin/sh
# micromamba, as its manual has `create -y -p PREFIX -f FILE`: a double, that takes nothing else.
[ "$1 $2 $3 $5" = "create -y -p -f" ] || { echo "error: unknown: $*"; exit 1; }
grep -q python "$6" || { echo "error    libmamba no python"; exit 1; }
mkdir -p "$4/bin" "$4/conda-meta"
printf '#!/bin/sh\\necho of conda\\n' > "$4/bin/hello"
chmod +x "$4/bin/hello"
echo "Transaction finished"
"""


@pytest.fixture
def micromamba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double of micromamba: nothing of conda can be had without its channels."""
    program = tmp_path / "bin" / "micromamba"
    program.parent.mkdir()
    program.write_text(CONDA)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("micromamba")
async def test_an_environment_of_conda_is_made_by_micromamba(
    virtualenvs: Virtualenvs, tmp_path: Path
) -> None:
    top = tmp_path / "conda"
    spec = {"ml-pipeline.yaml": FILES["ml-pipeline.yaml"]}
    lay_out(top, {**spec, "environment.yml": "dependencies: [python=3.12.1]\n"})
    heard: list[Building] = []
    ready = await virtualenvs.get(wanted(top), None, heard.append)
    assert says(ready, "hello") == "of conda\n"
    assert environment_variables(ready, {})["CONDA_PREFIX"] == str(ready.environment)
    log = tmp_path / "environments" / LOGS / heard[0].name / "log"
    assert "Transaction finished" in log.read_text()


async def test_without_a_program_of_conda_it_is_said_which_to_install(
    virtualenvs: Virtualenvs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "conda"
    spec = {"ml-pipeline.yaml": FILES["ml-pipeline.yaml"]}
    lay_out(top, {**spec, "environment.yml": "dependencies: [python=3.12.1]\n"})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotBuild, match="install micromamba"):
        await virtualenvs.get(wanted(top), None)


@pytest.mark.bwrap
async def test_a_package_of_the_repository_is_built_where_no_secret_can_be_read(
    tmp_path: Path, top: Path, namespaces: None
) -> None:
    secret = tmp_path / "environments" / "secrets.env"
    secret.parent.mkdir()
    secret.write_text("TOKEN=hush")
    nosy = f"""
def _look():
    try:
        return open({json.dumps(str(secret))}).read()
    except OSError as error:
        return type(error).__name__
SAID = _look()
"""
    change(top, "libs/shared/backend.py", "SAID = 'nothing'", nosy)
    home = tmp_path / "environments"
    virtualenvs = Virtualenvs(home, Confinement((home,), kind="namespace"))
    ready = await virtualenvs.get(wanted(top), None)
    assert says(ready, "python", "-c", "import shared.around as a; print(a.said)") == (
        "FileNotFoundError\n"
    )
    assert says(ready, "python", "-c", "import greeting") == "greeting 1.0\n"
