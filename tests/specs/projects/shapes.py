"""Projects as their tools write them, shortened."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from specs.model import Environment
from specs.path_index import PathIndex
from specs.projects.survey import Survey, SurveyRequest, survey

MANIFEST = """
[project]
name = "trainer"
version = "1"
requires-python = ">=3.11"
dependencies = ["shared", "pandas>=2"]
[project.optional-dependencies]
gpu = ["cupy"]
[dependency-groups]
train = ["tqdm>=4"]
dev = ["pytest"]
[tool.uv.sources]
shared = {path = "libs/shared", editable = true}
"""
SHARED = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "shared"
version = "1"
[tool.ruff]
line-length = 100
"""
LOCK = """
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "cupy"
version = "13.0"
source = { registry = "https://index.example.org/simple" }

[[package]]
name = "pandas"
version = "2.2.3"
source = { registry = "https://index.example.org/simple" }

[[package]]
name = "pytest"
version = "8.0"
source = { registry = "https://index.example.org/simple" }

[[package]]
name = "shared"
version = "1"
source = { editable = "libs/shared" }
dependencies = [{ name = "pandas" }]

[[package]]
name = "tqdm"
version = "4.66"
source = { registry = "https://index.example.org/simple" }

[[package]]
name = "trainer"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "pandas" }, { name = "shared" }]

[package.optional-dependencies]
gpu = [{ name = "cupy" }]

[package.dev-dependencies]
dev = [{ name = "pytest" }]
train = [{ name = "tqdm" }]

[package.metadata]
requires-dist = [
    { name = "cupy", marker = "extra == 'gpu'" },
    { name = "pandas", specifier = ">=2" },
    { name = "shared", editable = "libs/shared" },
]
provides-extras = ["gpu"]

[package.metadata.requires-dev]
dev = [{ name = "pytest" }]
train = [{ name = "tqdm", specifier = ">=4" }]
"""
FILES = {
    "pyproject.toml": MANIFEST,
    "uv.lock": LOCK,
    "libs/shared/pyproject.toml": SHARED,
    "libs/shared/src/shared/__init__.py": "X = 1\n",
    "libs/shared/tests/test_shared.py": "",
    "libs/shared/README.md": "",
    "train.py": "",
}

POETRY = """
[[package]]
name = "iniconfig"
version = "2.3.1"
optional = false
groups = ["main"]
files = [{file = "a.whl", hash = "sha256:aa"}, {file = "a.tar.gz", hash = "sha256:bb"}]

[[package]]
name = "packaging"
version = "24.2"
optional = false
groups = ["train"]
files = [{file = "packaging-24.2.whl", hash = "sha256:cc"}]

[[package]]
name = "pluggy"
version = "1.7.0"
optional = true
groups = ["main"]
markers = "extra == \\"gpu\\""
files = [{file = "pluggy.whl", hash = "sha256:dd"}]

[[package]]
name = "six"
version = "1.17.0"
optional = false
groups = ["main", "dev"]
markers = {main = "sys_platform == \\"win32\\"", dev = "python_version < \\"3\\""}
files = [{file = "six.whl", hash = "sha256:ee"}]

[[package]]
name = "tomli"
version = "2.5.0"
optional = false
groups = ["dev"]
files = []

[extras]
gpu = ["pluggy"]

[metadata]
lock-version = "2.1"
python-versions = ">=3.11,<4"
"""
POETRY_MANIFEST = """
[project]
name = "pp"
version = "0.1"
requires-python = ">=3.11,<4"
dependencies = ["iniconfig>=2", "six ; sys_platform == 'win32'"]
[project.optional-dependencies]
gpu = ["pluggy>=1"]
[tool.poetry]
package-mode = false
[tool.poetry.group.train.dependencies]
packaging = "^24"
[tool.poetry.group.dev.dependencies]
tomli = "*"
"""


def look(
    files: Mapping[str, str | None], *, folder: str = "", own_python: str = "3.11.7", **of: Any
) -> Survey:
    """The survey of an environment in a repository with these files."""
    environment = Environment.model_validate_json(json.dumps(of or {"project": "."}))
    texts: dict[str, str | None] = {}
    for _ in range(10):
        found = survey(SurveyRequest(environment, folder, PathIndex(files), texts, own_python))
        if not found.wanted:
            return found
        texts |= {path: files[path] for path in found.wanted}
    raise AssertionError(f"it asks for {found.wanted} again and again")


def edited(files: Mapping[str, str], name: str, *changes: Sequence[str]) -> dict[str, str]:
    """The files with some texts in one of them replaced; each text must exist."""
    text = files[name]
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return {**files, name: text}
