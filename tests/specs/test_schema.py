"""The JSON Schema for editors agrees with the loader, and the published file with the models."""

import json
import subprocess
import sys
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from specs.loading.load import load
from specs.loading.tree import parse
from specs.schema import SCHEMA_FILE, json_schema
from tests.specs.samples import FLIGHT_DELAY, SMALLEST, TEN_MISTAKES

VALIDATOR = Draft202012Validator(json_schema())


def plain(text: str) -> Any:
    root = parse(text).root
    assert root is not None
    return root.plain


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_the_published_file_is_up_to_date() -> None:
    command = [sys.executable, "-m", "specs.schema"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert SCHEMA_FILE.read_text() == printed, "run: python -m specs.schema > " + SCHEMA_FILE.name


@pytest.mark.parametrize("text", [FLIGHT_DELAY, SMALLEST])
def test_good_specs_are_valid(text: str) -> None:
    VALIDATOR.validate(plain(text))


def test_a_dumped_pipeline_is_valid() -> None:
    pipeline = load(FLIGHT_DELAY, "x").pipeline
    assert pipeline is not None
    VALIDATOR.validate(pipeline.model_dump(mode="json", by_alias=True, exclude_none=True))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: MLPipeline", "kind: Pipeline"),
        ("name: flight-delay", "name: Flight Delay"),
        ("    run: python train.py", "    rum: python train.py"),
        ("  train:", "  bad name:"),
        ("datasets.flights}", "dataset.flights}"),
        ("metric: roc_auc", "metric: roc"),
        ("not_worse_than_baseline_by: 0.005", "severity: block"),
        ("score: p}", "scores: p}"),
        ("    outputs: {model", "    timeout: 30\n    outputs: {model"),
        ("release:", "release:\n  production: {canary: {steps: [5]}}"),
        ("release:", "release:\n  production: {canary: {signals: {}}}"),
        ("release:", "release:\n  staging: {smoke: [{body: x}]}"),
    ],
)
def test_an_editor_and_the_loader_reject_the_same_mistakes(old: str, new: str) -> None:
    text = SMALLEST.replace(old, new)
    assert text != SMALLEST
    assert list(VALIDATOR.iter_errors(plain(text)))
    assert load(text, "x").pipeline is None


def test_the_ten_mistakes_are_invalid() -> None:
    assert not VALIDATOR.is_valid(plain(TEN_MISTAKES))


def test_every_key_has_a_description() -> None:
    silent = [
        f"{name}.{key}"
        for name, part in [("", json_schema()), *json_schema()["$defs"].items()]
        for key, value in part.get("properties", {}).items()
        if "description" not in value
    ]
    assert silent == []


def test_defaults_are_written_as_a_person_would() -> None:
    step = json_schema()["$defs"]["Step"]["properties"]
    canary = json_schema()["$defs"]["Canary"]["properties"]
    assert (step["timeout"]["default"], canary["false_rollback"]["default"]) == ("1h", "1%")
    assert json.loads(json.dumps(canary["steps"]["default"])) == ["5%", "25%", "50%"]


def test_importing_the_vocabulary_stays_light() -> None:
    heavy = {"ruamel.yaml", "pandas", "numpy", "apscheduler", "jsonschema"}
    probe = "import sys, specs.model; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())
