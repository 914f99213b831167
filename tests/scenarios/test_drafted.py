"""What `headgate init` drafts of a team's repository runs as it is."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.actions.clone import commit, headgate
from tests.scenarios.world import run_git

ROWS = "id,x,label\n" + "".join(f"{n},{n % 10},{int(n % 10 > 4)}\n" for n in range(200))
SHARED = """
    import csv

    def rows(path):
        with open(path) as file:
            return list(csv.DictReader(file))
"""
BY_OPTIONS = {
    "rows.py": SHARED,
    "train.py": """
        import argparse, json, pathlib
        import rows

        parser = argparse.ArgumentParser()
        parser.add_argument("--input", type=pathlib.Path, required=True)
        parser.add_argument("--scale", type=float, default=0.1)
        parser.add_argument("--output", type=pathlib.Path, default="model.json")
        args = parser.parse_args()
        rows.rows(open(args.input).name)
        args.output.write_text(json.dumps({"scale": args.scale}))
    """,
    "evaluate.py": """
        import argparse, csv, json, pathlib
        import rows

        parser = argparse.ArgumentParser()
        parser.add_argument("model", type=pathlib.Path)
        parser.add_argument("input", type=pathlib.Path)
        parser.add_argument("--predictions", required=True)
        args = parser.parse_args()
        scale = json.loads(args.model.read_text())["scale"]
        with open(args.predictions, "w") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "label", "score"])
            for row in rows.rows(open(args.input).name):
                writer.writerow([row["id"], row["label"], float(row["x"]) * scale])
    """,
}
BY_DVC = {
    "dvc.yaml": """
        stages:
          prepare:
            cmd: python src/team/prepare.py data/rows.csv build/clean.csv
            deps: [data/rows.csv, src/team/prepare.py]
            outs: [build/clean.csv]
          train:
            cmd: python src/team/train.py
            deps: [build/clean.csv, src/team/train.py]
            outs: [models/model.json]
          evaluate:
            cmd: python src/team/evaluate.py
            deps: [models/model.json, build/clean.csv]
            outs: [predictions.csv]
            metrics:
              - metrics.json: {cache: false}
    """,
    "src/team/__init__.py": "",
    "src/team/rows.py": SHARED,
    "src/team/prepare.py": """
        import shutil, sys
        shutil.copy(sys.argv[1], sys.argv[2])
    """,
    "src/team/train.py": """
        import json
        from team.rows import rows
        assert rows("build/clean.csv")
        json.dump({"scale": 0.1}, open("models/model.json", "w"))
    """,
    "src/team/evaluate.py": """
        import csv, json
        from team.rows import rows
        scale = json.load(open("models/model.json"))["scale"]
        with open("predictions.csv", "w") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "label", "score"])
            for row in rows("build/clean.csv"):
                writer.writerow([row["id"], row["label"], float(row["x"]) * scale])
        json.dump({"rows": 1}, open("metrics.json", "w"))
    """,
}


@pytest.mark.parametrize(
    ("files", "steps"),
    [(BY_OPTIONS, ("train", "evaluate")), (BY_DVC, ("prepare", "train", "evaluate"))],
    ids=["scripts with options", "stages of DVC"],
)
def test_a_drafted_pipeline_runs_and_passes_its_gates(
    files: dict[str, str], steps: tuple[str, ...], tmp_path: Path
) -> None:
    for name, text in {**files, "data/rows.csv": ROWS}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(dedent(text).lstrip("\n"))
    run_git(tmp_path, "init", "-q", "-b", "main")
    assert headgate(tmp_path, "init").returncode == 0
    commit(tmp_path, "Draft a pipeline")

    done = headgate(tmp_path, "run", "--forget")

    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"✓ {step}" in done.stdout for step in steps)
    assert "roc_auc" in done.stdout
