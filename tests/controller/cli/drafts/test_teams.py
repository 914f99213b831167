"""What `init` makes of repositories as teams have them."""

import json
from collections.abc import Mapping

import pytest

from tests.controller.cli.drafts.teams import ARGPARSE, CHURN, CLICK, FASTAPI, drafted, plain

SCRIPTS = {
    "train.py": ARGPARSE,
    "features.py": "from lib import dates\n",
    "lib/__init__.py": "",
    "lib/dates.py": "",
    "unused.py": "",
    "evaluate.py": CLICK,
    "app.py": FASTAPI,
    "data/customers.csv": "",
    "requirements.txt": "pandas==2.2.3\n",
}


def test_scripts_with_options_become_steps_that_hand_them_over() -> None:
    spec, text, loaded = drafted(SCRIPTS, CHURN)
    assert plain(spec.steps["train"]) == {
        "run": "python train.py --train-csv {inputs.data}/customers.csv "
        "--model-path {outputs.model} --max-depth {params.max_depth} "
        "--criterion {params.criterion}",
        "inputs": {"data": "datasets.data"},
        "outputs": {"model": "forest.joblib"},
        "reads": ["train.py", "features.py", "lib/__init__.py", "lib/dates.py"],
    }
    assert plain(spec.steps["evaluate"]) == {
        "run": "python evaluate.py --checkpoint {inputs.model} {inputs.data} "
        "--predictions {outputs.predictions} --threshold {params.threshold}",
        "inputs": {"model": "steps.train.model", "data": "datasets.data"},
        "outputs": {"predictions": "predictions.csv"},
        "reads": ["evaluate.py"],
    }
    assert spec.params == {"max_depth": 6, "criterion": "gini", "threshold": 0.5}
    assert spec.datasets["data"].uri == "data/*.csv"
    assert "# guessed: the files that it imports and names" in text
    assert [one.code for one in loaded.problems] == ["todo"]


def test_the_gate_knows_the_columns_of_a_script_and_the_task_of_its_label() -> None:
    spec, text, _ = drafted(SCRIPTS, CHURN)
    assert spec.gates.model is not None
    assert plain(spec.gates.model.columns) == {
        "key": "customer_id",
        "label": "churned",
        "score": "p_churned",
    }
    assert spec.gates.model.task == "binary"
    assert "churned: it has two values" in text


def test_a_web_application_is_served_with_its_own_paths_and_variable() -> None:
    spec, _, _ = drafted(SCRIPTS, CHURN)
    assert spec.release is not None
    served = spec.release.serve
    assert served is not None
    assert served.run == "env MODEL_PATH={model} uvicorn app:app --host {host} --port {port}"
    assert (served.ready, served.predict) == ("/health", "/score")


DVC = {
    "dvc.yaml": """
        vars:
          - model: models/model.pkl
        stages:
          prepare:
            cmd: python src/churn/prepare.py data/raw.csv data/prepared
            deps: [data/raw.csv, src/churn/prepare.py]
            params: [prepare.seed]
            outs: [data/prepared]
          train:
            cmd:
              - python -m churn.train --data data/prepared --out ${model} --depth ${train.depth}
            deps: [data/prepared, src/churn/train.py]
            outs: ["${model}"]
          evaluate:
            cmd: python src/churn/evaluate.py
            deps: [data/prepared/test.csv, models/model.pkl]
            outs: [predictions.csv]
            metrics:
              - metrics.json: {cache: false}
    """,
    "params.yaml": "prepare: {seed: 1}\ntrain: {depth: 4}\n",
    "data/raw.csv": "",
    "src/churn/__init__.py": "",
    "src/churn/prepare.py": "from churn import features\n",
    "src/churn/features.py": "",
    "src/churn/train.py": "from .features import x\n",
    "src/churn/evaluate.py": """
        import csv
        csv.writer(open("predictions.csv", "w")).writerow(["customer_id", "churned", "prob"])
    """,
}


def test_stages_of_dvc_become_steps_whose_paths_are_inputs_and_outputs() -> None:
    spec, _, _ = drafted(DVC, CHURN)
    assert plain(spec.steps["prepare"]) == {
        "run": "python src/churn/prepare.py {inputs.raw}/raw.csv {outputs.prepared}",
        "inputs": {"raw": "datasets.raw"},
        "outputs": {"prepared": "prepared"},
        "env": {"PYTHONPATH": "src"},
        "reads": ["src/churn/prepare.py", "src/churn/__init__.py", "src/churn/features.py",
                  "params.yaml"],
    }  # fmt: skip
    assert plain(spec.steps["train"]) == {
        "run": "python -m churn.train --data {inputs.prepared} --out {outputs.model} --depth 4",
        "inputs": {"prepared": "steps.prepare.prepared"},
        "outputs": {"model": "model.pkl"},
        "env": {"PYTHONPATH": "src"},
        "reads": ["src/churn/train.py", "src/churn/features.py", "src/churn/__init__.py"],
    }
    assert str(spec.model) == "steps.train.model"
    assert spec.datasets["raw"].uri == "data/*.csv"


def test_what_a_stage_has_at_places_of_its_own_is_linked_and_copied() -> None:
    spec, _, _ = drafted(DVC, CHURN)
    assert spec.steps["evaluate"].run == (
        "sh -c 'mkdir -p data/prepared models && "
        'ln -s "{inputs.prepared}/test.csv" data/prepared/test.csv && '
        'ln -s "{inputs.model}" models/model.pkl && python src/churn/evaluate.py && '
        'cp -r predictions.csv "{outputs.predictions}" && '
        'cp -r metrics.json "{outputs.metrics}"\''
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("foreach: [a, b]\n    do: {cmd: 'python train.py ${item}'}", "write one step for each"),
        ("cmd: python train.py\n    wdir: sub", "it runs in sub"),
        ("cmd: python train.py ${nowhere}", "the value of ${nowhere} was not found in any file"),
    ],
)
def test_what_of_a_stage_is_not_understood_is_left_to_do(body: str, said: str) -> None:
    _, _, loaded = drafted({"dvc.yaml": f"stages:\n  train:\n    {body}\n", "train.py": ""})
    assert any(said in one.message for one in loaded.problems if one.code == "todo")


def test_entry_points_of_an_mlproject_become_steps() -> None:
    files = {
        "MLproject": """
            name: wine
            python_env: python_env.yaml
            entry_points:
              main:
                parameters:
                  training_data: {type: path, default: data/wine.csv}
                  alpha: {type: float, default: 0.5}
                  run_name: {type: string}
                command: "python train.py {training_data} --alpha {alpha} --name {run_name}"
        """,
        "train.py": "",
        "data/wine.csv": "",
    }
    spec, _, loaded = drafted(files)
    assert spec.steps["main"].run == (
        "python train.py {inputs.wine}/wine.csv --alpha {params.alpha} --name {params.run_name}"
    )
    assert spec.params == {"alpha": 0.5, "run_name": "TODO"}
    assert {one.severity for one in loaded.problems if one.found == "TODO"} == {"error"}


def test_rules_of_a_makefile_say_how_scripts_without_options_are_run() -> None:
    files = {
        "Makefile": """
            PYTHON ?= python3
            OUT = models
            .PHONY: lint
            lint:
            \truff check .
            $(OUT)/model.pkl: train.py data/rows.csv
            \t$(PYTHON) train.py data/rows.csv $@
            serve: $(OUT)/model.pkl
            \t$(PYTHON) serve.py --port 8000
        """,
        "train.py": "import sys\nprint(sys.argv)\n",
        "serve.py": "",
        "data/rows.csv": "",
    }
    spec, text, _ = drafted(files)
    assert list(spec.steps) == ["model"]
    assert spec.steps["model"].run == "python3 train.py {inputs.rows}/rows.csv {outputs.model}"
    assert str(spec.model) == "steps.model.model"
    assert "# guessed: from Makefile" in text


def test_a_notebook_is_run_by_papermill_with_its_parameters() -> None:
    cells = [
        {"cell_type": "markdown", "source": "# Training"},
        {
            "cell_type": "code",
            "metadata": {"tags": ["parameters"]},
            "source": ["data = 'rows'\n", "out = 'model.pkl'\n", "depth = 3\n"],
        },
        {"cell_type": "code", "source": "%matplotlib inline\n!pip list\nimport features"},
    ]
    files = {"explore.ipynb": json.dumps({"cells": cells}), "features.py": "", "rows/a.parquet": ""}
    spec, _, _ = drafted(files)
    assert spec.steps["train"].run == (
        "papermill explore.ipynb {outputs.notebook} -p data {inputs.data} "
        "-p out {outputs.model} -p depth {params.depth}"
    )
    assert spec.steps["train"].outputs == {"model": "model.pkl", "notebook": "notebook.ipynb"}
    assert spec.steps["train"].reads == ("explore.ipynb", "features.py")


def test_a_script_without_options_finds_its_files_where_it_looks_for_them() -> None:
    files = {
        "train.py": """
            import json, pandas as pd
            frame = pd.read_csv("data/rows.csv")
            json.dump({}, open("out/model.json", "w"))
        """,
        "data/rows.csv": "",
    }
    spec, _, _ = drafted(files)
    assert spec.steps["train"].run == (
        'sh -c \'mkdir -p data out && ln -s "{inputs.data}/rows.csv" data/rows.csv && '
        'python train.py && cp -r out/model.json "{outputs.model}"\''
    )


@pytest.mark.parametrize(
    ("values", "task", "metric", "limit"),
    [
        (["0", "1", "1"], "binary", "roc_auc", 0.6),
        (["adelie", "gentoo", "adelie", "chinstrap"], "multiclass", "f1_macro", 0.22),
        (["1.5", "2.5", "10", "11"], "regression", "mean_absolute_error", 4.2),
    ],
)
def test_the_label_says_the_task_and_what_a_model_that_knows_nothing_gets(
    values: list[str], task: str, metric: str, limit: float
) -> None:
    files = {"train.py": "", "evaluate.py": "", "data/rows.parquet": ""}
    spec, _, _ = drafted(files, {"id": ["1"] * len(values), "target": values})
    assert spec.gates.model is not None
    assert spec.gates.model.task == task
    first = plain(spec.gates.model.checks[0])
    assert first["metric"] == metric
    assert limit in first.values()


def test_of_two_words_a_person_says_which_is_the_positive_one() -> None:
    files = {"train.py": "", "evaluate.py": "", "data/rows.csv": ""}
    spec, _, loaded = drafted(files, {"label": ["ham", "spam"]})
    assert spec.gates.model is not None
    assert spec.gates.model.positive == "spam"
    assert any("or is it the other label?" in one.message for one in loaded.problems)


@pytest.mark.parametrize(
    ("files", "environment"),
    [
        ({"requirements.txt": "a==1\n"}, {"requirements": "requirements.txt"}),
        ({"Dockerfile": "FROM x\n"}, {"build": "."}),
        ({"Dockerfile": "FROM x\n", "requirements.txt": "a==1\n"},
         {"requirements": "requirements.txt"}),
        ({"pyproject.toml": "[project]\n", "uv.lock": "", "requirements.txt": "a\n"},
         {"project": "."}),
        ({"environment.yml": ""}, {"project": "."}),
        ({}, {}),
    ],
)  # fmt: skip
def test_the_environment_is_what_the_folder_has(
    files: Mapping[str, str], environment: Mapping[str, str]
) -> None:
    spec, _, _ = drafted({"train.py": "", **files})
    assert plain(spec.environment) == environment


def test_a_project_without_a_lock_is_left_to_do() -> None:
    project = '[project]\nname = "a"\ndependencies = ["pandas"]\n'
    spec, _, loaded = drafted({"train.py": "", "pyproject.toml": project})
    assert spec.environment.project is None
    assert any("lock the project" in one.message for one in loaded.problems)


@pytest.mark.parametrize(
    ("files", "ignored", "uri"),
    [
        (["data/a.parquet", "data/b.parquet"], (), "data/*.parquet"),
        (["lake/day=1/a.parquet", "lake/day=2/a.parquet"], (), "lake/**/*.parquet"),
        (["bucket/a.csv"], ("bucket",), "file://./bucket/*.csv"),
        (["a.csv"], (), "*.csv"),
        (["tests/data/a.csv"], (), "data/*.parquet"),
    ],
)
def test_data_is_found_where_it_is(files: list[str], ignored: tuple[str, ...], uri: str) -> None:
    spec, _, _ = drafted({"train.py": "", **dict.fromkeys(files, "")}, ignored=ignored)
    assert spec.datasets["data"].uri == uri


def test_a_required_option_of_no_known_kind_is_an_error_until_somebody_says_it() -> None:
    script = (
        "import argparse\nargparse.ArgumentParser().add_argument('--tokenizer', required=True)\n"
    )
    _, text, loaded = drafted({"train.py": script, "data/a.csv": ""})
    assert "--tokenizer TODO" in text
    found = [(one.severity, one.line) for one in loaded.problems if one.code == "todo"]
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "tokenizer" in line]
    assert ("error", lines[-1]) in found
    assert ("warning", lines[0]) in found


@pytest.mark.parametrize(
    "broken", ["def (:", "\0", "(" * 5000, "import importlib\nimportlib.import_module(x)"]
)
def test_code_that_cannot_be_read_says_nothing(broken: str) -> None:
    spec, _, _ = drafted({"train.py": broken, "data/a.csv": ""})
    assert spec.steps["train"].run.startswith("python train.py")


@pytest.mark.parametrize("name", ["dvc.yaml", "MLproject", "Makefile", "params.yaml", "n.ipynb"])
@pytest.mark.parametrize(
    "text", ["", ": [", "[1, 2]", "stages: 3", "{a: &a [*a]}", "{}", "x:\n\ty"]
)
def test_a_file_of_another_form_says_nothing(name: str, text: str) -> None:
    drafted({name: text, "train.py": "", "data/a.csv": ""})


def test_what_a_folder_shares_with_others_of_its_repository_is_read_from_the_root() -> None:
    around = {
        "src/telco/__init__.py": "from telco.core import x",
        "src/telco/core.py": "import dates",
        "packages/dates/src/dates/__init__.py": "",
        "src/unused/__init__.py": "",
        "requirements.txt": "pandas==2.2.3\n",
        "data/rows.csv": "",
    }
    spec, _, _ = drafted({"train.py": "from telco import core\n"}, around=around)
    train = spec.steps["train"]
    assert train.reads == ("train.py", "//src/telco/**", "//packages/dates/src/dates/**")
    assert train.env == {"PYTHONPATH": "{root}/src:{root}/packages/dates/src"}
    assert spec.environment.requirements == "//requirements.txt"
    assert spec.datasets["data"].uri == "//data/*.csv"


def test_numbers_that_a_script_writes_itself_are_what_the_gate_asks_for() -> None:
    files = {
        "train.py": "",
        "evaluate.py": """
            import argparse, json
            parser = argparse.ArgumentParser()
            parser.add_argument("--model", required=True)
            parser.add_argument("--data", required=True)
            parser.add_argument("--metrics", required=True)
            args = parser.parse_args()
            json.dump({"ndcg": 0.9, "val_loss": 0.1}, open(args.metrics, "w"))
        """,
        "data/rows.csv": "",
    }
    spec, _, loaded = drafted(files)
    assert spec.gates.model is not None
    assert str(spec.gates.model.metrics) == "steps.evaluate.metrics"
    assert [plain(check) for check in spec.gates.model.checks] == [
        {"metric": "metrics.ndcg", "not_worse_than_baseline_by": 0.01, "better": "higher"},
        {"metric": "metrics.val_loss", "not_worse_than_baseline_by": 0.01, "better": "lower"},
    ]
    assert any("margin" in one.message for one in loaded.problems)
