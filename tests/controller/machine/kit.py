"""Values that the machines are told stories with: specs, sources, versions, messages."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from controller.machine.core import Envelope, InboxMessage, Key, parsed
from controller.machine.messages import MESSAGES
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.graph import Baseline, SourceTree
from specs.digests import digest
from specs.model import Pipeline as Spec
from validators.report import Check, Report
from validators.verdict import Verdict

PLAIN: dict[str, Any] = {
    "apiVersion": "headgate.dev/v1",
    "kind": "MLPipeline",
    "metadata": {"name": "mean"},
    "triggers": {"data": {"datasets": ["numbers"], "quiet": "30s"}},
    "datasets": {
        "numbers": {"uri": "file:///bucket/*.csv", "expectations": "numbers.yaml"},
    },
    "params": {"depth": 6, "unused": 1},
    "environment": {"requirements": "requirements.txt"},
    "steps": {
        "train": {
            "run": "train {inputs.numbers} {params.depth} {outputs.model}",
            "inputs": {"numbers": "datasets.numbers"},
            "outputs": {"model": "model.json"},
            "reads": ["train.py"],
        },
        "evaluate": {
            "run": "evaluate {inputs.model} {inputs.numbers} {outputs.rows}",
            "inputs": {"model": "steps.train.model", "numbers": "datasets.numbers"},
            "outputs": {"rows": "rows.csv"},
            "reads": ["evaluate.py"],
        },
    },
    "model": "steps.train.model",
    "gates": {
        "model": {
            "predictions": "steps.evaluate.rows",
            "columns": {"key": "id", "label": "late", "score": "p"},
            "checks": [{"metric": "roc_auc", "at_least": 0.6}],
        }
    },
    "release": {
        "serve": {"run": "serve {model} {port}", "reads": ["serve.py"]},
        "staging": {"smoke": [{"get": "/healthz"}]},
        "production": {
            "canary": {
                "steps": ["50%"],
                "signals": {"errors": {"not_worse_by": "30%"}},
                "false_rollback": "20%",
                "false_promotion": "20%",
                "minimum_bake": "2s",
                "deadline": "1m",
            }
        },
    },
    "notify": [{"to": "json://on-call"}],
}
"""A spec with everything that a machine looks at."""

FILES = {
    path: digest(path)
    for path in (
        "README.md",
        "docs/index.html",
        "evaluate.py",
        "ml-pipeline.yaml",
        "numbers.yaml",
        "requirements.txt",
        "serve.py",
        "train.py",
    )
}


def spec(*changes: tuple[str, Any]) -> Spec:
    """`PLAIN` with parts replaced, each by its dotted path; `None` takes a part out."""
    plain = deepcopy(PLAIN)
    for path, value in changes:
        *parents, last = path.split(".")
        part = plain
        for name in parents:
            part = part.setdefault(name, {})
        if value is None:
            del part[last]
        else:
            part[last] = value
    return Spec.model_validate(plain)


def source(commit: str = "c1", **changed: str) -> SourceTree:
    """The files at a commit; `changed` has new contents, with `__` for a dot in the name."""
    contents = {name.replace("__", "."): digest(text) for name, text in changed.items()}
    return SourceTree(repository="team", commit=sha(commit), folder="", files={**FILES, **contents})


def sha(name: str) -> str:
    """A commit's id that belongs to a name."""
    return digest(name)[7:47]


def version(number: int, *changes: tuple[str, Any], passes: bool = True) -> ModelVersion:
    """A model version, of a spec as `spec` makes it."""
    return ModelVersion(
        pipeline="mean",
        number=number,
        digest=digest(f"package {number}"),
        model=digest(f"model {number}"),
        run=f"mean-{number}",
        source=source(f"c{number}"),
        branch="main",
        datasets={"numbers": digest("numbers")},
        verdicts={"model": Verdict.PASS if passes else Verdict.FAIL},
        spec=spec(*changes),
        created=0.0,
    )


def baseline(number: int = 1, *changes: tuple[str, Any]) -> Baseline:
    """A version as the model in production."""
    one = version(number, *changes)
    return Baseline(
        version=number, digest=one.digest, model=one.model, spec=one.spec, source=one.source
    )


def report(verdict: Verdict, gate: Any = "model") -> Report:
    """A gate's report with one check of that verdict."""
    check = Check(name="a check", verdict=verdict, message="It was looked at.", observed=0.5, n=9)
    return Report(gate=gate, subject="mean", checks=(check,))


def message(
    number: int, to: Key, type_: str, body: Mapping[str, Any], at: float = 0.0
) -> InboxMessage:
    """A message in an inbox; its class goes by its type."""
    message = parsed(MESSAGES[type_], dict(body))
    return InboxMessage(number=number, to=to, id=f"test/{number}", message=message, at=at)


def fields(sent: Envelope | InboxMessage) -> dict[str, Any]:
    """What a message says, as it is stored."""
    return {name: value for name, value in sent.message.plain().items() if name != "type"}
