"""The docs build as a site without a broken link, and what they show in YAML is valid."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from controller.config.settings import Settings
from controller.config.settings_file import load_settings
from specs.docs.reference import examples
from specs.loading.load import load
from specs.loading.problems import Problem
from specs.model import Pipeline, is_spec_file
from tests.scenarios.shapes import EXAMPLES, commands_of, yaml_lines

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPEC = {field.alias or name for name, field in Pipeline.model_fields.items()}
SETTINGS = set(Settings.model_fields)


class Block(NamedTuple):
    """A piece of YAML on a page."""

    page: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def blocks() -> Iterator[Block]:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        found = _BLOCK.findall(path.read_text(encoding="utf-8"))
        yield from (Block(path.stem, number, text) for number, text in enumerate(found, 1))


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


def problems(text: str) -> tuple[Problem, ...]:
    """What is wrong with a piece of a spec or of settings. What a page leaves out is missing there,
    and not wrong."""
    keys = read(text).keys()
    if keys <= SPEC:
        frame = read(examples()[""])
        spec = {**frame, **read(text)}
        if not {"serve", "batch"} & spec["release"].keys():
            spec["release"] = {**frame["release"], **spec["release"]}
        found = load(json.dumps(spec), "ml-pipeline.yaml").problems
    else:
        assert keys <= SETTINGS, f"neither a spec nor settings: {sorted(keys)}"
        whole = text if "repositories" in keys else f"repositories: [{{name: x, url: x}}]\n{text}"
        found = load_settings(whole, "headgate.yaml").problems
    return tuple(
        problem
        for problem in found
        if problem.severity == "error"
        and problem.code != "missing-key"
        and problem.expected != "one of serve and batch"
    )


def is_suite(text: str) -> bool:
    """Whether it is a piece of a suite of Great Expectations, which has tests of its own."""
    found = read(text)
    return isinstance(found, list) or "expectations" in found


BLOCKS = tuple(block for block in blocks() if not is_suite(block.text))


def test_the_docs_are_a_site_without_a_broken_link(tmp_path: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)),
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "spec" / "index.html").is_file()


def test_what_the_readme_links_to_is_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = {path.partition("#")[0] for path in re.findall(r"\]\(([^)\s]+)\)", text)}
    missing = [path for path in named if "://" not in path and path and not (ROOT / path).exists()]
    assert missing == []


def test_the_readme_counts_what_each_example_takes() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    counted = {}
    for name, _, _ in rows:
        commands = commands_of((EXAMPLES / name / "README.md").read_text(encoding="utf-8"))
        specs = (path for path in (EXAMPLES / name).rglob("*.yaml") if is_spec_file(path.name))
        lines = max(yaml_lines(path.read_text(encoding="utf-8")) for path in specs)
        counted[name] = [str(len(commands)), str(lines)]
    assert {name: counts for name, *counts in rows} == counted
    assert {"monorepo", "three-classes", "delta-mlflow", "native-steps", "database-pull"} <= (
        counted.keys()
    )


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_yaml_that_a_page_shows_is_valid(block: Block) -> None:
    assert problems(block.text) == ()
