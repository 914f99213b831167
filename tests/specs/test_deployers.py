"""Who deploys, and the scripts that `deployer: command` needs."""

from typing import Any

import pytest

from specs.loading.load import load

SPEC = """apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {{name: mean}}
steps: {{train: {{run: "x {{outputs.model}}", outputs: {{model: m.json}}}}}}
model: steps.train.model
release:
  serve: {{run: "serve {{model}} {{port}}"}}
{release}"""

SCRIPTS = """  command:
    apply: python deploy.py apply
    observe: python deploy.py observe
    traffic: python deploy.py traffic
    remove: python deploy.py {root}
"""


def loaded(release: str) -> Any:
    return load(SPEC.format(release=release).encode(), "ml-pipeline.yaml")


def test_an_environment_is_deployed_by_headgate_unless_it_names_scripts() -> None:
    release = loaded(f"{SCRIPTS}  production: {{deployer: command}}\n").pipeline.release
    assert release.scripts_for("production") == release.command
    assert release.scripts_for("staging") is None
    assert release.command.split == "draw"
    assert loaded("").pipeline.release.scripts_for("production") is None


@pytest.mark.parametrize(
    ("release", "words"),
    [
        ("  production: {deployer: command}\n", "with the scripts for `production.deployer"),
        ("  staging: {deployer: command}\n", "with the scripts for `staging.deployer"),
        (SCRIPTS, "without it the scripts in `command` are never run"),
        (f"{SCRIPTS}  production: {{deployer: comand}}\n", "command"),
    ],
)
def test_a_deployer_without_scripts_and_scripts_without_a_deployer_are_told(
    release: str, words: str
) -> None:
    problems = loaded(release).problems
    assert any(words in f"{one.message} {one.expected} {one.nearest}" for one in problems), problems
