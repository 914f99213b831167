"""What a controller would have left in the state: real values of the machines."""

from collections.abc import Mapping
from typing import Any

from controller.machine.core import Fact, Key, Value
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout, Rollout, begin_canary, watch
from controller.machine.pipelines.pipeline import Last, PipelineState
from controller.machine.pipelines.version import ModelVersion, Ref
from controller.machine.runs.attempt import AttemptState, Status
from controller.machine.runs.graph import Graph, SourceTree
from controller.machine.runs.graph_builder import build
from controller.machine.runs.run import AttemptRecord, Progress, Run, Trigger
from controller.store.protocol import Put, Transaction
from specs.digests import digest
from specs.lint.check import check
from specs.model import Pipeline as Spec
from specs.traffic import Arm, Exchange
from validators.verdict import Verdict

COMMIT = "c0ffee" + "0" * 34
DATA = digest(b"the rows")

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: toy}
datasets:
  rows: {uri: "data/*.csv", expectations: suite.yaml}
params: {depth: 3}
steps:
  train:
    run: python train.py --data {inputs.rows} --depth {params.depth} --out {outputs.model}
    inputs: {rows: datasets.rows}
    outputs: {model: model.json}
    reads: [train.py]
  evaluate:
    run: python evaluate.py {inputs.model} {inputs.rows} {outputs.predictions}
    inputs: {model: steps.train.model, rows: datasets.rows}
    outputs: {predictions: predictions.parquet}
    reads: [evaluate.py]
model: steps.train.model
gates:
  model:
    predictions: steps.evaluate.predictions
    columns: {key: id, label: label, score: score}
    checks:
      - {metric: roc_auc, at_least: 0.6}
      - {metric: roc_auc, not_worse_than_baseline_by: 0.01}
release:
  serve: {run: "python serve.py --model {model} --port {port}", reads: [serve.py]}
  production: {canary: {steps: [5%, 50%], minimum_bake: 1m}}
"""
FILES = {
    name: digest(name.encode()) for name in ("train.py", "evaluate.py", "serve.py", "suite.yaml")
}


def spec(text: str = SPEC) -> Spec:
    """The spec of a text."""
    loaded = check(text, "ml-pipeline.yaml")
    assert loaded.pipeline is not None, loaded.problems
    return loaded.pipeline


def source(files: Mapping[str, str] = FILES) -> SourceTree:
    return SourceTree(repository="toys", commit=COMMIT, folder="", files=files)


def graph(text: str = SPEC, files: Mapping[str, str] = FILES) -> Graph:
    return build(spec(text), source(files))


def tried(
    run: str, node: str, state: AttemptState = AttemptState.SUCCEEDED, message: str = ""
) -> AttemptRecord:
    """An attempt that took four seconds."""
    order = ("gate.data.rows", "train", "evaluate", "gate.model")
    status = Status(
        state=state,
        exit_code=0 if state is AttemptState.SUCCEEDED else 1,
        started=1001.0,
        ended=1005.0,
        message=message,
    )
    return AttemptRecord(id=f"{run}.{node}.1", asked=1000.0 + order.index(node), status=status)


def passed(run: str, node: str, verdict: Verdict | None = None, **outputs: str) -> Progress:
    """A node that ran and succeeded."""
    return Progress(
        key=digest([run, node]),
        attempts=(tried(run, node),),
        outputs={name: digest([run, node, name, value]) for name, value in outputs.items()},
        verdict=verdict,
        ended=1005.0,
    )


def run(number: int = 1, **facts: Any) -> Run:
    """A run of the default branch that passed, unless `facts` say otherwise."""
    id_ = f"toy-{number}"
    nodes = {
        "gate.data.rows": passed(id_, "gate.data.rows", Verdict.PASS, report="1"),
        "train": passed(id_, "train", model="1"),
        "evaluate": passed(id_, "evaluate", predictions="1"),
        "gate.model": passed(id_, "gate.model", Verdict.PASS, report="2"),
    }
    known: dict[str, Any] = {
        "id": id_,
        "number": number,
        "pipeline": "toy",
        "repository": "toys",
        "commit": COMMIT,
        "branch": "main",
        "folder": "",
        "trigger": Trigger(kind="commit", why="commit c0ffee on main: Begin", by="ada"),
        "datasets": {"rows": DATA},
        "fingerprint": digest(number),
        "releases": True,
        "created": 1000.0 + number,
        "nodes": nodes,
        "finished": 1010.0 + number,
    }
    return Run(**(known | facts))


def pipeline(last: Run | None = None, **facts: Any) -> PipelineState:
    known: dict[str, Any] = {
        "name": "toy",
        "repository": "toys",
        "default_branch": "main",
        "heads": {"main": COMMIT},
        "specs": {"main": "ml-pipeline.yaml"},
        "last": {},
    }
    if last is not None:
        of = Last(
            run=last.id, commit=last.commit, fingerprint=last.fingerprint, outcome=last.outcome
        )
        known["last"] = {last.branch: of}
        known["active"] = {last.branch: last.id} if last.live else {}
    return PipelineState(**(known | facts))


def version(number: int) -> ModelVersion:
    return ModelVersion(
        pipeline="toy",
        number=number,
        digest=digest(["package", number]),
        model=digest(["model", number]),
        run=f"toy-{number}",
        source=source(),
        branch="main",
        datasets={"rows": DATA},
        verdicts={"model": Verdict.PASS},
        spec=spec(),
        created=1000.0 + number,
    )


def environment(name: str = "production", **facts: Any) -> EnvironmentState:
    known = {"pipeline": "toy", "name": name, "repository": "toys"}
    return EnvironmentState(**(known | facts))


def canary(number: int = 2) -> Rollout:
    """A rollout under live traffic, with 400 requests to stable and 20 to the canary."""
    ref: Ref = version(number).ref
    rollout = Rollout(
        id=f"toy-production-{number}",
        version=ref,
        kind="release",
        why=f"toy-{number} passed its gates",
        by="headgate",
        asked=1000.0,
        deployed=1000.0,
        ready=1002.0,
    )
    begun = begin_canary(rollout, version(number), (), 1003.0)
    exchanges = [
        Exchange(seq, 1003.0 + seq / 10, arm, 0.05, 200, 0.01)
        for seq in range(420)
        for arm in [Arm.CANARY if seq % 21 == 0 else Arm.STABLE]
    ]
    return watch(begun, exchanges, 1045.0)


def ended(rollout: Rollout, outcome: Any, reason: str, at: float = 1050.0) -> Fact:
    body = EndedRollout(
        rollout=rollout,
        environment="production",
        pipeline="toy",
        outcome=outcome,
        reason=reason,
        at=at,
    )
    return fact("rollout", rollout.id, body)


def fact(kind: str, name: str, body: Value) -> Fact:
    return Fact(key=Key(kind, name), body=body.plain())


def put(kind: str, name: str, body: Value, revision: int = 0) -> Transaction:
    """One object, new unless a revision is given."""
    text = body.model_dump_json()
    return Transaction(put=Put(key=Key(kind, name), revision=revision, text=text, live=True))


def run_changes(one: Run, of: Graph | None = None) -> list[Transaction]:
    """A run with its graph."""
    return [put("run", one.id, one), Transaction(facts=(fact("graph", one.id, of or graph()),))]
