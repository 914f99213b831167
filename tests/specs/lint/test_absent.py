"""Readers of files that are not in the repository."""

import pytest

from specs.lint.check import check
from specs.loading.problems import Problem

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: toy}
datasets: {rows: {uri: "s3://lake/*.csv", expectations: suite.yaml}}
environment: {requirements: requirements.txt}
steps:
  train:
    run: python train.py {inputs.rows} {outputs.model}
    inputs: {rows: datasets.rows}
    outputs: {model: model.json}
    reads: [train.py]
model: steps.train.model
release:
  serve: {run: "python serve.py {model} {port}", reads: [serve.py]}
  staging: {smoke: [{post: /predict, body: smoke.json}]}
"""
FILES = ("train.py", "serve.py", "suite.yaml", "requirements.txt", "smoke.json", "Dockerfile")
SUBMODULE = {"vendor/lib/": "a submodule"}
POINTER = {"vendor/lib/x.bin": "a pointer"}


def found(old: str, new: str, absent: dict[str, str]) -> list[Problem]:
    """The problems with absent files of the spec with one change."""
    assert old in SPEC
    files = {*FILES, *(path.removesuffix("/") for path in absent)}
    problems = check(SPEC.replace(old, new), "ml-pipeline.yaml", files, absent).problems
    return [problem for problem in problems if problem.code == "absent-file"]


@pytest.mark.parametrize("absent", [SUBMODULE, POINTER], ids=["submodule", "pointer"])
@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("s3://lake/*.csv", "vendor/lib/*.bin", "datasets.rows.uri"),
        ("s3://lake/*.csv", "vendor/lib", "datasets.rows.uri"),
        ("s3://lake/*.csv", "./vendor/", "datasets.rows.uri"),
        ("suite.yaml", "vendor/lib/x.bin", "datasets.rows.expectations"),
        ("requirements.txt", "vendor/lib/x.bin", "environment.requirements"),
        ("{requirements: requirements.txt}", "{build: vendor/lib}", "environment.build"),
        ("{requirements: requirements.txt}", "{build: .}", "environment.build"),
        ("reads: [train.py]", "build: vendor", "steps.train.build"),
        ("[train.py]", "[train.py, vendor/**]", "steps.train.reads"),
        ("[train.py]", "[train.py, vendor/lib/]", "steps.train.reads"),
        ("[train.py]", "[train.py, vendor/lib/*.bin]", "steps.train.reads"),
        ("    reads: [train.py]\n", "", "steps.train"),
        ("[serve.py]", "[serve.py, '**/*.bin', vendor/lib/**]", "release.serve.reads"),
        (", reads: [serve.py]", "", "release.serve"),
        ("smoke.json", "vendor/lib/x.bin", "release.staging.smoke[0].body"),
    ],
)
def test_each_reader_of_an_absent_file_is_reported(
    old: str, new: str, path: str, absent: dict[str, str]
) -> None:
    problems = found(old, new, absent)
    assert path in [problem.path for problem in problems]
    assert all("reads vendor/lib" in problem.message for problem in problems)


@pytest.mark.parametrize("absent", [SUBMODULE, POINTER], ids=["submodule", "pointer"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[train.py]", "[train.py]"),
        ("[train.py]", "['**', '!vendor/**']"),
        ("[train.py]", "['**', '!vendor/lib/']"),
        ("[train.py]", "[train.py, vendor/other]"),
        ("    reads: [train.py]\n", "triggers: {commits: {paths: ['**', '!vendor/']}}\n"),
        ("s3://lake/*.csv", "vendor/other/*.bin"),
        ("s3://lake/*.csv", "s3://vendor/lib/*.bin"),
    ],
)
def test_files_that_nothing_reads_may_be_absent(old: str, new: str, absent: dict[str, str]) -> None:
    if "triggers" in new:
        spec = SPEC.replace(old, "").replace("steps:\n", f"{new}steps:\n")
        problems = check(spec, "ml-pipeline.yaml", FILES, absent).problems
        assert "absent-file" not in [problem.code for problem in problems]
        return
    files = {*FILES, "vendor/other"}
    problems = check(SPEC.replace(old, new), "ml-pipeline.yaml", files, absent).problems
    assert "absent-file" not in [problem.code for problem in problems]


def test_further_absent_files_are_counted() -> None:
    absent = {f"data/{n}.bin": "a pointer" for n in range(5)}
    (problem,) = found("    reads: [train.py]\n", "", absent)
    assert problem.message.startswith("`steps.train` reads data/0.bin (and 4 more): ")
    assert "or leave it out: `reads`, or `triggers.commits.paths: ['**', '!data/0.bin']`" in (
        problem.message
    )


def test_a_path_into_a_submodule_is_not_also_missing() -> None:
    spec = SPEC.replace("[train.py]", "[train.py, vendor/lib/*.py, '!vendor/lib/']")
    spec = spec.replace("suite.yaml", "vendor/lib/suite.yaml")
    problems = check(spec, "ml-pipeline.yaml", {*FILES, "vendor/lib"}, SUBMODULE).problems
    errors = [problem.code for problem in problems if problem.severity == "error"]
    assert errors == ["absent-file", "absent-file"]
