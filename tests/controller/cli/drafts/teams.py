"""Repositories as teams have them, and what is drafted of them."""

from collections.abc import Mapping
from textwrap import dedent
from typing import Any

from controller.cli.write.drafts.composing import draft
from controller.cli.write.drafts.samples import Sample
from controller.cli.write.drafts.validity import valid_part
from controller.cli.write.drafts.values import Folder
from controller.cli.write.drafts.writing import spec_text
from specs.lint.check import check
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem, render_text
from specs.model import Pipeline

ARGPARSE = """
    import argparse
    from pathlib import Path
    import joblib
    import pandas as pd
    import features
    from sklearn.ensemble import RandomForestClassifier

    parser = argparse.ArgumentParser()
    parser.add_argument("--train-csv", type=Path, required=True)
    parser.add_argument("--model-path", default="out/forest.joblib")
    parser.add_argument("--max-depth", type=int, default=6)
    parser.add_argument("--criterion", default="gini")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    frame = pd.read_csv(args.train_csv)
    y = frame["churned"]
    joblib.dump(RandomForestClassifier().fit(features.of(frame), y), args.model_path)
"""
CLICK = """
    import click
    import pandas as pd

    @click.command()
    @click.option("--checkpoint", "-c", required=True)
    @click.argument("data")
    @click.option("--predictions", default="predictions.csv")
    @click.option("--threshold", default=0.5)
    @click.option("--plot/--no-plot")
    def main(checkpoint, data, predictions, threshold, plot):
        pd.DataFrame({"customer_id": ids, "churned": true, "p_churned": p}).to_csv(predictions)
"""
FASTAPI = """
    import os
    import joblib
    from fastapi import FastAPI

    app = FastAPI()
    model = joblib.load(os.environ["MODEL_PATH"])

    @app.get("/health")
    def health(): ...

    @app.post("/score")
    def score(row: dict): ...
"""
CHURN: Sample = {"customer_id": ["1", "2", "3"], "churned": ["1", "0", "1"]}


def folder(
    files: Mapping[str, str], ignored: tuple[str, ...] = (), around: Folder | None = None
) -> Folder:
    texts = {name: dedent(text).lstrip("\n") for name, text in files.items()}
    ordered = tuple(sorted(texts, key=lambda name: (name.count("/"), name)))

    def is_ignored(name: str) -> bool:
        return bool(ignored) and name.startswith(ignored)

    place = "teams/a" if around else ""
    return Folder("team", ordered, texts.get, None, around, place, is_ignored)


def drafted(
    files: Mapping[str, str],
    sample: Sample | None = None,
    ignored: tuple[str, ...] = (),
    around: Mapping[str, str] | None = None,
) -> tuple[Pipeline, str, LoadedSpec]:
    """The pipeline, its text, and what `validate` says of it."""
    there = folder(files, ignored, folder(around) if around else None)
    seen = {*files, *(f"//{name}" for name in around or ()), "ml-pipeline.yaml"}

    def errors(text: str) -> list[Problem]:
        found = check(text, "ml-pipeline.yaml", seen, folder=there.place).problems
        return [one for one in found if one.severity == "error" and one.code != "todo"]

    text = spec_text(valid_part(draft(there, None, lambda _: sample or {}), errors))
    loaded = check(text, "ml-pipeline.yaml", seen, folder=there.place)
    assert loaded.sketch is not None, text
    wrong = errors(text)
    assert not wrong, render_text(wrong, {loaded.file: text})
    return loaded.sketch, text, loaded


def plain(value: Any) -> Any:
    """A part of a spec as it would be written."""
    return value.model_dump(mode="json", exclude_unset=True)
