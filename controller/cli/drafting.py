"""PURE. The first spec of a folder, from the names of the files that are in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from specs.names import is_pipeline_name, slug

_DATA = (".parquet", ".csv")
_SUITES = ("expectation", "suite")


@dataclass(frozen=True, slots=True)
class Draft:
    """What was found, and what stands for what was not."""

    name: str
    train: str
    evaluate: str | None
    serve: str | None
    requirements: str | None
    suite: str | None
    uri: str | None
    """Of the data that was found."""
    missing: tuple[str, ...]
    """Files that the spec names and that have to be written yet."""


def draft(folder: str, files: Sequence[str], name: str | None = None) -> Draft:
    """Look for the usual names; a file nearer to the top is preferred."""
    ordered = sorted(files, key=lambda file: (file.count("/"), file))
    train = _named(ordered, "train.py", "training.py", "fit.py")
    evaluate = _named(ordered, "evaluate.py", "eval.py", "predict.py")
    serve = _named(ordered, "serve.py", "server.py", "app.py")
    return Draft(
        name=name if name and is_pipeline_name(name) else slug(name or folder),
        train=train or "train.py",
        evaluate=evaluate,
        serve=serve,
        requirements=_named(ordered, "requirements.txt", "requirements.lock"),
        suite=_suite(ordered),
        uri=_data(ordered),
        missing=() if train else ("train.py",),
    )


def _named(files: Iterable[str], *names: str) -> str | None:
    by_name: dict[str, str] = {}
    for file in files:
        by_name.setdefault(PurePosixPath(file).name, file)
    return next((by_name[name] for name in names if name in by_name), None)


def _suite(files: Iterable[str]) -> str | None:
    for file in files:
        path = PurePosixPath(file)
        is_text = path.suffix in (".yaml", ".yml", ".json")
        if is_text and any(word in file.lower() for word in _SUITES):
            return file
    return None


def _data(files: Iterable[str]) -> str | None:
    """One glob for the files beside the first one of a kind that a model can be trained on."""
    for suffix in _DATA:
        for file in files:
            if file.endswith(suffix) and not file.startswith("tests/"):
                folder = PurePosixPath(file).parent.as_posix()
                return f"*{suffix}" if folder == "." else f"{folder}/*{suffix}"
    return None


def spec_text(found: Draft) -> str:
    """A small, commented ml-pipeline.yaml."""
    parts = [_head(found), _data_part(found), _environment_part(found), _steps(found)]
    if found.evaluate:
        parts.append(_GATES)
    if found.serve:
        parts.append(_RELEASE.format(serve=_quoted(found.serve)))
    return "\n".join(parts)


def settings_text(name: str, repository: str) -> str:
    """A small, commented headgate.yaml."""
    url = repository.replace("\\", "\\\\").replace('"', '\\"')
    return _SETTINGS.format(name=name, url=url)


def _quoted(path: str) -> str:
    """A path as a word of a command line in a YAML double-quoted text."""
    return f"'{path}'" if " " in path else path


def _head(found: Draft) -> str:
    return _HEAD.format(name=found.name)


def _data_part(found: Draft) -> str:
    lines = ["datasets:", "  data:"]
    if found.uri:
        lines.append(f'    uri: "{found.uri}"   # or s3://, gs://, az://, file:// and a path')
    else:
        lines.append('    uri: "data/*.parquet"   # TODO: where the data is; s3://, file:// ...')
    if found.suite:
        lines.append(f'    expectations: "{found.suite}"')
    else:
        lines.append("    # expectations: expectations.yaml   # a Great Expectations suite: a gate")
    return "\n".join(lines) + "\n"


def _environment_part(found: Draft) -> str:
    if found.requirements:
        return f'environment: {{requirements: "{found.requirements}"}}   # built once per content\n'
    return "# environment: {requirements: requirements.txt}   # built once per content\n"


def _steps(found: Draft) -> str:
    train = _quoted(found.train)
    lines = [
        "steps:",
        "  train:",
        "    # The arguments are your script's own; the braces are filled in.",
        f'    run: "python {train} --data {{inputs.data}} --out {{outputs.model}}"',
        "    inputs: {data: datasets.data}",
        "    outputs: {model: model.joblib}",
    ]
    if found.evaluate:
        run = f"python {_quoted(found.evaluate)} --model {{inputs.model}} --data {{inputs.data}}"
        lines += [
            "  evaluate:   # run for the candidate and for the baseline, on the same data",
            f'    run: "{run} --out {{outputs.predictions}}"',
            "    inputs: {model: steps.train.model, data: datasets.data}",
            "    outputs: {predictions: predictions.parquet}",
        ]
    return "\n".join([*lines, "", "model: steps.train.model", ""])


_HEAD = """\
# What Headgate does with this folder. `headgate validate` checks it, `headgate plan` explains it.
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata:
  name: {name}

triggers:   # commits and pull requests are on by default
  data: {{datasets: [data], quiet: 30s}}   # new data, once nothing was written for so long
"""

_GATES = """\
gates:
  model:
    predictions: steps.evaluate.predictions
    columns: {key: id, label: label, score: score}   # TODO: the columns of your predictions
    checks:
      - {metric: roc_auc, at_least: 0.6}   # TODO: what a model must reach in any case
      - {metric: roc_auc, not_worse_than_baseline_by: 0.005}
"""

_RELEASE = """\
release:
  serve:
    run: "python {serve} --model {{model}} --port {{port}}"
    ready: /healthz
    predict: /predict
  production:
    canary: {{steps: [5%, 25%, 50%]}}   # the share of the traffic, growing while the judge watches
"""

_SETTINGS = """\
# The settings of the controller: `headgate up` reads this file.
repositories:
  - name: {name}
    url: "{url}"
# data_roots: [/data]   # folders of this machine that datasets may name: file:///data/...
# home: .headgate     # state, artifacts and logs
# slots: 2            # steps that run at the same time
"""
