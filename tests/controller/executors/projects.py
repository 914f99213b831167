"""A repository with a project that needs no network: a wheel, and a package with its own build."""

import os
import subprocess
from pathlib import Path

from uv import find_uv_bin

from controller.machine.runs.attempt import Recipe
from controller.machine.runs.graph import SourceTree
from controller.machine.runs.projects import recipe_of
from specs.digests import digest
from specs.loading.load import load
from specs.model import Pipeline
from specs.path_index import PathIndex
from specs.projects.survey import SurveyRequest, survey

BACKEND = """
import os, zipfile
from pathlib import Path

def build_wheel(folder, config=None, metadata=None):
    name = "shared-1.0-py3-none-any.whl"
    about = "shared-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as file:
        for path in sorted(Path("src").rglob("*.py")):
            file.write(path, str(path.relative_to("src")))
        file.writestr("shared/around.py", f"seen = {sorted(os.listdir())!r}\\nsaid = {SAID!r}\\n")
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\\nName: shared\\nVersion: 1.0\\n")
        file.writestr(f"{about}/WHEEL",
            "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr(f"{about}/entry_points.txt", "[console_scripts]\\nshout = shared:shout\\n")
        file.writestr(f"{about}/RECORD", "")
    return name
"""
FILES = {
    "pyproject.toml": """
[project]
name = "trainer"
version = "1"
requires-python = ">=3.11"
dependencies = ["greeting", "shared"]
[dependency-groups]
dev = ["no-such-package-of-ours"]
[tool.uv.sources]
greeting = {path = "wheels/greeting-1.0-py3-none-any.whl"}
shared = {path = "libs/shared", editable = true}
""",
    "libs/shared/pyproject.toml": """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "shared"
version = "1.0"
readme = "README.md"
""",
    "libs/shared/backend.py": f"SAID = 'nothing'\n{BACKEND}",
    "libs/shared/README.md": "What it is for.\n",
    "libs/shared/src/shared/__init__.py": "X = 1\ndef shout(): print('X is', X)\n",
    "libs/shared/tests/test_shared.py": "",
    "train.py": "import shared\n",
    "ml-pipeline.yaml": """
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: mean}
environment: {project: .}
steps:
  train: {run: "shout {outputs.said}", outputs: {said: said.txt}, reads: [train.py]}
""",
}


def lay_out(top: Path, files: dict[str, str]) -> None:
    """Write the files."""
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)


def lock(top: Path) -> None:
    """Lock the project with uv itself, without a network."""
    command = (find_uv_bin(), "lock", "-q", "--offline", "--no-index", "--project", str(top))
    subprocess.run(command, check=True, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"})


def spec_of(top: Path) -> Pipeline:
    """The spec that lies there."""
    pipeline = load((top / "ml-pipeline.yaml").read_text(), "ml-pipeline.yaml").pipeline
    assert pipeline is not None
    return pipeline


def source_of(top: Path) -> SourceTree:
    """The repository as a commit of all that lies there would be."""
    paths = [path for path in sorted(top.rglob("*")) if path.is_file() or path.is_symlink()]
    files = {path.relative_to(top).as_posix(): _id(path) for path in paths}
    pipeline = spec_of(top)
    texts: dict[str, str | None] = {}
    while (
        found := survey(SurveyRequest(pipeline.environment, "", PathIndex(files), texts, "3.11.1"))
    ).wanted:
        texts |= {path: (top / path).read_text() for path in found.wanted}
    assert found.problems == (), found.problems
    return SourceTree(
        repository="team", commit="c" * 40, folder="", files=files, project=found.project
    )


def _id(path: Path) -> str:
    return digest(path.read_bytes() if path.is_file() else str(path.readlink()).encode())


def recipe(top: Path) -> Recipe:
    """What its environment is built from."""
    found = recipe_of(spec_of(top), source_of(top))
    assert found is not None
    return found
