"""What a controller would have left in the state: real values of the machines."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.artifacts import Artifacts
from controller.machine.core import Fact, Key, Value
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout, Rollout, begin_canary, watch
from controller.machine.pipelines.data import SeenDataset
from controller.machine.pipelines.pipeline import Last, PipelineState
from controller.machine.pipelines.version import ModelVersion, Ref
from controller.machine.runs.attempt import AttemptState, Status
from controller.machine.runs.data_exceptions import AcceptedVersion
from controller.machine.runs.graph import Graph, SourceTree
from controller.machine.runs.graph_builder import build
from controller.machine.runs.run import AttemptRecord, Progress, Run, Trigger
from controller.store.protocol import Put, Transaction
from deployers.protocol import Traffic
from specs.digests import digest
from specs.lint.check import check
from specs.model import Pipeline as Spec
from specs.traffic import Arm, Exchange
from validators.report import Check, Report
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


ROWS_AT = "rows at data/*.csv"


def judged(number: int, data: str, verdict: Verdict, report: str = "", **facts: Any) -> Run:
    """A run whose data gate gave that verdict on a version of the rows; `report` is the digest of
    its report."""
    id_ = f"toy-{number}"
    gate = passed(id_, "gate.data.rows", verdict, report="1")
    gate = gate.model_copy(update={"key": digest(["gate", data])})
    if report:
        gate = gate.model_copy(update={"outputs": {"report": report}})
    nodes = {"gate.data.rows": gate, "train": Progress(skipped="gate.data.rows", ended=1005.0)}
    return run(number, **({"datasets": {"rows": data}, "nodes": nodes} | facts))


def reading(last: Run, newest: str, name: str = "toy", **facts: Any) -> PipelineState:
    """A pipeline whose newest rows are that version."""
    found = pipeline(last, name=name, **facts)
    of = found.last["main"].model_copy(update={"places": {"rows": ROWS_AT}})
    seen = SeenDataset(current=newest, since=900.0, ready=newest)
    return found.model_copy(update={"last": {"main": of}, "data": {ROWS_AT: seen}})


def failing_report(*verdicts: Verdict) -> Report:
    """The report of a data gate, with a check for each verdict; by default one fails."""
    checks = tuple(
        Check(name=f"check {at}", verdict=verdict, message=f"It is {verdict}.")
        for at, verdict in enumerate(verdicts or (Verdict.FAIL, Verdict.PASS))
    )
    return Report(gate="data", subject="rows", checks=checks)


def keep_report(home: Path, report: Report) -> str:
    """Store a report, as a controller does; its digest."""
    content = report.model_dump_json().encode()
    return asyncio.run(Artifacts(home / "artifacts").put_bytes(content)).digest


def acceptance(of: Run, data: str) -> AcceptedVersion:
    """What `headgate accept` makes of a run that the rows stopped."""
    gate = of.nodes["gate.data.rows"]
    assert gate.key is not None
    assert gate.verdict is not None
    return AcceptedVersion(
        dataset="rows",
        version=data,
        gate="gate.data.rows",
        key=gate.key,
        run=of.id,
        verdict=gate.verdict,
        failed=1,
        by="ana",
        reason="a strike",
        at=86_400.0,
    )


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
    begun = begin_canary(rollout, version(number), None, 1003.0)
    exchanges = [
        Exchange(seq, 1003.0 + seq / 10, arm, 0.05, 200, 0.01)
        for seq in range(420)
        for arm in [Arm.CANARY if seq % 21 == 0 else Arm.STABLE]
    ]
    return watch(begun, Traffic(epoch="e", exchanges=tuple(exchanges)), 1045.0)


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
