"""PURE. Writes a draft as a small ml-pipeline.yaml, with comments on guesses and TODOs."""

import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from controller.cli.write.drafts.judging import two_digits
from controller.cli.write.drafts.values import Data, Draft, DraftGate, DraftServer, DraftStep

_WIDE: Final = 96


def spec_text(found: Draft) -> str:
    """The text of the ml-pipeline.yaml."""
    parts = [
        _HEAD.format(name=found.name, data=", ".join(found.data)) if found.data
        else _BARE_HEAD.format(name=found.name),
        _data(found.data),
        _params(found),
        _environment(found),
        "steps:\n" + "".join(_step(name, step) for name, step in found.steps.items()),
        _model(found),
        _gates(found.predictions, found.judged),
        _own_gate(found),
        _release(found.served) if found.served and found.model else "",
        _left_out(found),
    ]  # fmt: skip
    return "\n".join(part for part in parts if part)


def settings_text(name: str, repository: str) -> str:
    """The text of a small headgate.yaml with comments."""
    return _SETTINGS.format(name=name, url=_value(repository))


def _value(value: Any) -> str:
    """A value as YAML on one line."""
    yaml = YAML()
    yaml.default_flow_style = True
    yaml.width = 10_000
    out = io.StringIO()
    held = CommentedMap({"x": value})
    held.fa.set_flow_style()
    yaml.dump(held, out)
    return out.getvalue().strip().removeprefix("{x: ").removesuffix("}")


def _said(said: Iterable[str], indent: int) -> str:
    return "".join(f"{' ' * indent}# {_marked(line)}\n" for line in said)


def _marked(line: str) -> str:
    return line if line.startswith(("TODO", "guessed")) else f"guessed: {line}"


def _data(data: Mapping[str, Data]) -> str:
    if not data:
        return ""
    lines = ["datasets:"]
    for name, one in data.items():
        lines.append(f"  {name}:")
        if one.uri is not None:
            lines.append(
                f"    uri: {_value(one.uri)}   # or s3://, gs://, az://, file:// and a path"
            )
        else:
            lines.append(
                '    uri: "data/*.parquet"   # TODO: where the data is; s3://, file:// ...'
            )
        if one.expectations is not None:
            said = "   # guessed: from the data" if one.is_proposed else ""
            lines.append(f"    expectations: {_value(one.expectations)}{said}")
        else:
            lines.append(f"    # expectations: suite.yaml   # `headgate profile {name}` writes one")
    return "\n".join(lines) + "\n"


def _params(found: Draft) -> str:
    if not found.params:
        return ""
    lines = [f"  {name}: {_value(value)}" for name, value in found.params.items()]
    return "params:   # guessed: the scripts' own defaults\n" + "\n".join(lines) + "\n"


def _environment(found: Draft) -> str:
    if found.environment is None:
        return f"# environment: {{requirements: requirements.txt}}   # {found.environment_said}\n"
    return f"environment: {found.environment}   # {found.environment_said}\n"


def _step(name: str, step: DraftStep) -> str:
    lines = [_said(step.said, 4), _run(step.run, 4)]
    if step.inputs:
        lines.append(f"    inputs: {_value(dict(step.inputs))}\n")
    if step.outputs:
        lines.append(f"    outputs: {_value(dict(step.outputs))}\n")
    if step.env:
        lines.append(f"    env: {_value(dict(step.env))}\n")
    lines.append(_reads(step.reads))
    return f"  {name}:\n" + "".join(lines)


def _run(run: str, indent: int) -> str:
    """The `run` key, on one line or folded over several."""
    line = f"{' ' * indent}run: {_value(run)}\n"
    if len(line) <= _WIDE or "\n" in run or "  " in run:
        return line
    rows, row = [], ""
    for word in run.split(" "):
        if row and len(row) + len(word) > _WIDE - indent - 4:
            rows.append(row)
            row = ""
        row = f"{row} {word}".lstrip()
    folded = "".join(f"{' ' * (indent + 2)}{row}\n" for row in [*rows, row])
    return f"{' ' * indent}run: >-\n{folded}"


def _reads(reads: tuple[str, ...] | None) -> str:
    if reads is None:
        return "    # reads: [...]   # by default all files: editing any of them reruns the step\n"
    return f"    reads: {_value(list(reads))}   # guessed: the files that it imports and names\n"


def _model(found: Draft) -> str:
    if found.model is None:
        return "# model: steps.train.model   # TODO: the output that is the model\n"
    return f"model: {found.model}\n"


def _gates(predictions: str | None, asked: DraftGate | None) -> str:
    if predictions is None or asked is None:
        return ""
    said = "guessed: from the script" if asked.sure else "TODO: the columns of your predictions"
    lines = [
        "gates:",
        "  model:",
        f"    predictions: {predictions}",
        f"    columns: {_value(dict(asked.columns))}   # {said}",
    ]
    if asked.task is not None:
        lines.append(f"    task: {asked.task}   # guessed: {asked.why}")
    if asked.positive is not None:
        lines.append(f"    positive: {_value(asked.positive)}   # TODO: or is it the other label?")
    return "\n".join([*lines, "    checks:", *_checks(asked)]) + "\n"


def _own_gate(found: Draft) -> str:
    """A gate over the metrics that the team's own evaluation writes."""
    if found.metrics is None:
        return ""
    lines = ["gates:", "  model:", f"    metrics: {found.metrics}", "    checks:"]
    for number in found.numbers or ("TODO",):
        lower = any(word in number.lower() for word in ("loss", "error", "mae", "mse", "perplex"))
        check = {
            "metric": f"metrics.{number}",
            "not_worse_than_baseline_by": 0.01,
            "better": "lower" if lower else "higher",
        }
        lines.append(f"      - {_value(check)}   # TODO: the margin, in the number's own unit")
    return "\n".join(lines) + "\n"


def _checks(asked: DraftGate) -> Iterable[str]:
    baseline = "the result of a constant prediction; TODO: what your model must reach"
    if asked.task == "regression":
        metric = "mean_absolute_error"
        limit = asked.limits.get(metric)
        said = baseline if limit is not None else "TODO: what a model must reach"
        limit = 1.0 if limit is None else limit
        margin = two_digits(limit / 50)
        yield f"      - {{metric: {metric}, at_most: {limit:g}}}   # {said}"
        yield f"      - {{metric: {metric}, not_worse_than_baseline_by: {margin:g}}}"
        return
    if asked.task == "multiclass":
        yield from _multiclass_checks(asked, baseline)
        return
    if "score" not in asked.columns:
        limit = asked.limits.get("accuracy")
        said = baseline if limit is not None else "TODO: what a model must reach"
        limit = 0.5 if limit is None else limit
        yield f"      - {{metric: accuracy, at_least: {limit:g}}}   # {said}"
        yield "      - {metric: accuracy, not_worse_than_baseline_by: 0.01}"
        return
    yield "      - {metric: roc_auc, at_least: 0.6}   # TODO: what a model must reach"
    yield "      - {metric: roc_auc, not_worse_than_baseline_by: 0.005}"


def _multiclass_checks(asked: DraftGate, baseline: str) -> Iterable[str]:
    """A limit that weighs all classes equally, and a comparison with the baseline model."""
    limit = asked.limits.get("f1_macro", 0.5)
    said = baseline if asked.limits else "TODO: what a model must reach"
    yield f"      - {{metric: f1_macro, at_least: {limit:g}}}   # {said}"
    metric = "log_loss" if "scores" in asked.columns else "accuracy"
    yield f"      - {{metric: {metric}, not_worse_than_baseline_by: 0.01}}"


def _left_out(found: Draft) -> str:
    return "".join(f"# TODO: {said}\n" for said in found.left_out)


def _release(served: DraftServer) -> str:
    lines = ["release:\n", "  serve:\n", _said(served.said, 4), _run(served.run, 4)]
    if served.env:
        lines.append(f"    env: {_value(dict(served.env))}\n")
    lines.append(_reads(served.reads))
    lines.append(f"    ready: {served.ready}\n    predict: {served.predict}\n")
    lines.append("  production:\n    canary: {steps: [5%, 25%, 50%]}   # of the traffic\n")
    return "".join(lines)


_HEAD = """\
# What Headgate does with this folder. `headgate validate` checks it, `headgate plan` explains it.
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata:
  name: {name}

triggers:   # commits and pull requests are on by default
  data: {{datasets: [{data}], quiet: 30s}}   # new data, once nothing has been written for 30 s
"""

_BARE_HEAD = _HEAD.partition("\ntriggers")[0]

_SETTINGS = """\
# The settings of the controller: `headgate up` reads this file.
repositories:
  - name: {name}
    url: {url}
# data_roots: [/data]   # folders of this machine that datasets may name: file:///data/...
# home: .headgate     # state, artifacts and logs
# slots: 2            # how many steps run at the same time
"""
