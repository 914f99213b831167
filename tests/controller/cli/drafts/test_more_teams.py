"""What `init` makes of teams of other shapes: several classes, subcommands, compiled programs, own
numbers; and what it leaves out."""

import pytest

from tests.controller.cli.drafts.teams import drafted, plain

TRAIN = "import argparse\nparser = argparse.ArgumentParser()\n"
OPTIONS = TRAIN + "".join(
    f"parser.add_argument('--{name}', required=True)\n" for name in ("model", "data", "predictions")
)
ROWS = {"id": ["1", "2", "3", "4"], "species": ["adelie", "gentoo", "adelie", "chinstrap"]}


@pytest.mark.parametrize(
    "written",
    [
        'csv.writer(out).writerow(["id", "species", *(f"p_{name}" for name in names)])',
        'pd.DataFrame({"id": ids, "species": true, **{f"p_{n}": p[n] for n in names}})',
        'frame = pd.DataFrame({"id": ids, "species": true})\nframe[f"p_{name}"] = 1',
    ],
)
def test_scores_of_several_classes_are_one_pattern_and_each_class_counts(written: str) -> None:
    files = {"train.py": "", "evaluate.py": OPTIONS + written, "data/rows.csv": ""}
    spec, _, loaded = drafted(files, ROWS)
    assert spec.gates.model is not None
    assert plain(spec.gates.model.columns) == {"key": "id", "label": "species", "scores": "p_*"}
    assert [plain(check)["metric"] for check in spec.gates.model.checks] == ["f1_macro", "log_loss"]
    assert not any("columns" in one.message for one in loaded.problems)


ARGPARSE = """
    import argparse
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    train = commands.add_parser("train", help="train it")
    train.add_argument("--data", required=True)
    train.add_argument("--out", required=True)
    train.add_argument("--depth", type=int, default=6)
    judge = commands.add_parser("evaluate")
    judge.add_argument("--model", required=True)
    judge.add_argument("--data", required=True)
    judge.add_argument("--predictions", required=True)
"""
CLICK = """
    import click

    @click.group()
    def cli(): ...

    @cli.command()
    @click.option("--data", required=True)
    @click.option("--out", required=True)
    @click.option("--depth", default=6)
    def train(data, out, depth): ...

    @cli.command("evaluate")
    @click.option("--model", required=True)
    @click.option("--data", required=True)
    @click.option("--predictions", required=True)
    def judge(model, data, predictions): ...
"""


@pytest.mark.parametrize("script", [ARGPARSE, CLICK], ids=["argparse", "click"])
def test_subcommands_of_one_script_are_steps_each(script: str) -> None:
    spec, _, _ = drafted({"cli.py": script, "data/rows.csv": ""})
    assert spec.steps["train"].run == (
        "python cli.py train --data {inputs.data} --out {outputs.model} --depth {params.depth}"
    )
    assert spec.steps["evaluate"].run == (
        "python cli.py evaluate --model {inputs.model} --data {inputs.data} "
        "--predictions {outputs.predictions}"
    )


NATIVE = {
    "Makefile": """
        CC ?= cc
        .PHONY: check
        fit: fit.c fit.h
        \t$(CC) -O2 -o $@ fit.c -lm
        model.json: fit
        \t./fit data/rows.csv $@
        predictions.csv: model.json
        \tnode evaluate.js model.json data/rows.csv $@
        check: fit
        \t./fit --version
        serve: model.json
        \tnode serve.js model.json 127.0.0.1 8080
    """,
    "fit.c": '#include "fit.h"\n#include <math.h>\n',
    "fit.h": "",
    "evaluate.js": "const m = require('./lib/model'); const fs = require('fs')",
    "lib/model.js": "",
    "serve.js": "",
    "data/rows.csv": "",
}


def test_programs_that_a_makefile_compiles_and_runs_are_steps() -> None:
    spec, _, _ = drafted(NATIVE)
    assert plain(spec.steps["fit"]) == {
        "run": "cc -O2 -o {outputs.fit} fit.c -lm",
        "outputs": {"fit": "fit"},
        "reads": ["fit.c", "fit.h"],
    }
    assert plain(spec.steps["model"]) == {
        "run": "{inputs.fit} {inputs.rows}/rows.csv {outputs.model}",
        "inputs": {"fit": "steps.fit.fit", "rows": "datasets.rows"},
        "outputs": {"model": "model.json"},
    }
    assert plain(spec.steps["predictions"]) == {
        "run": "node evaluate.js {inputs.model} {inputs.rows}/rows.csv {outputs.predictions}",
        "inputs": {"model": "steps.model.model", "rows": "datasets.rows"},
        "outputs": {"predictions": "predictions.csv"},
        "reads": ["evaluate.js", "lib/model.js"],
    }
    assert str(spec.model) == "steps.model.model"
    assert list(spec.steps) == ["fit", "model", "predictions"]
    assert spec.release is not None
    assert spec.release.serve is not None
    assert spec.release.serve.run == "node serve.js {model} {host} {port}"
    assert spec.release.serve.reads == ("serve.js",)


DVC = """
    stages:
      train:
        cmd: python train.py data/rows.csv model.pkl
        deps: [data/rows.csv, train.py]
        outs: [model.pkl]
      evaluate:
        cmd: python evaluate.py model.pkl data/rows.csv reports/scores.json
        deps: [data/rows.csv, model.pkl]
        metrics: [reports/scores.json: {cache: false}]
"""


def test_metrics_of_a_stage_are_what_the_gate_compares_by_the_names_in_their_file() -> None:
    numbers = '{"ndcg": 0.8, "by": {"de": {"val_loss": 0.5}}, "model": "x", "ok": true}'
    files = {"dvc.yaml": DVC, "train.py": "", "evaluate.py": "", "data/rows.csv": ""}
    spec, _, _ = drafted({**files, "reports/scores.json": numbers})
    assert spec.gates.model is not None
    assert str(spec.gates.model.metrics) == "steps.evaluate.scores"
    checks = [plain(check) for check in spec.gates.model.checks]
    assert [(check["metric"], check["better"]) for check in checks] == [
        ("metrics.ndcg", "higher"),
        ("metrics.by.de.val_loss", "lower"),
    ]


def test_two_outputs_of_one_file_name_have_a_folder_each() -> None:
    stages = "stages:\n  a:\n    cmd: python a.py\n    outs: [x/rows.csv, y/rows.csv]\n"
    spec, _, _ = drafted({"dvc.yaml": stages, "a.py": ""})
    assert sorted(spec.steps["a"].outputs.values()) == ["rows.csv", "rows_/rows.csv"]


def test_a_parameter_of_an_mlproject_gets_a_name_that_a_spec_may_have() -> None:
    project = "entry_points:\n  main:\n    parameters: {a.b: {type: float, default: 1}}\n"
    project += "    command: python train.py {a.b}\n"
    spec, _, _ = drafted({"MLproject": project, "train.py": ""})
    assert spec.steps["main"].run == "python train.py {params.a_b}"
    assert spec.params == {"a_b": 1}


def test_a_default_that_is_no_finite_number_is_none() -> None:
    script = TRAIN + "parser.add_argument('--most', type=float, default=1e999)\n"
    drafted({"train.py": script, "data/a.csv": ""})


def test_a_part_that_would_not_be_valid_is_left_out_and_said() -> None:
    stages = (
        "stages:\n"
        "  train:\n    cmd: python train.py m.pkl\n    outs: [m.pkl]\n"
        "  a:\n    cmd: python a.py\n    deps: [a.csv]\n    outs: [a.csv]\n"
        "  b:\n    cmd: python b.py\n    deps: [a.csv]\n    outs: [predictions.csv]\n"
    )
    spec, text, loaded = drafted({"dvc.yaml": stages, "train.py": "", "a.py": "", "b.py": ""})
    assert list(spec.steps) == ["train"]
    assert spec.gates.model is None
    assert "# TODO: steps.a was left out because these steps depend on each other" in text
    assert any("steps.a was left out" in one.message for one in loaded.problems)


@pytest.mark.parametrize(
    ("files", "run", "env"),
    [
        (["src/churn/__init__.py", "src/churn/train.py"], "churn.train", {"PYTHONPATH": "src"}),
        (["src/churn/train.py"], "churn.train", {"PYTHONPATH": "src"}),
        (["churn/__init__.py", "churn/train.py"], "churn.train", {}),
        (["apps/a/__init__.py", "apps/a/train.py"], "a.train", {"PYTHONPATH": "apps"}),
    ],
)
def test_a_script_that_imports_its_neighbours_is_run_as_a_module(
    files: list[str], run: str, env: dict[str, str]
) -> None:
    script = "from .features import x\n" + TRAIN + "parser.add_argument('--data', required=True)\n"
    texts = {file: script if file.endswith("train.py") else "" for file in files}
    beside = files[-1].replace("train", "features")
    spec, _, _ = drafted({**texts, beside: "", "data/rows.csv": ""})
    step = spec.steps["train"]
    assert step.run.startswith(f"python -m {run} --data {{inputs.data}}")
    assert step.env == env
    assert beside in (step.reads or ())
