"""Runs as they come out of the machine, for reports: a spec of two steps and two gates."""

from collections.abc import Mapping, Sequence

from controller.machine.runs.attempt import AttemptState, Status
from controller.machine.runs.graph import Baseline, Graph, SourceTree
from controller.machine.runs.graph_builder import build
from controller.machine.runs.run import AttemptRecord, Progress, Run, Trigger
from specs.digests import digest
from specs.loading.load import load
from validators.report import Check, Location, MetricComparison, Report
from validators.verdict import Verdict

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: flight-delay, owners: ["@flights"]}
datasets:
  flights: {uri: data/*.csv, expectations: suite.yaml}
steps:
  train:
    run: python train.py {inputs.flights} {outputs.model}
    inputs: {flights: datasets.flights}
    outputs: {model: model.joblib}
    reads: [train.py]
  evaluate:
    run: python evaluate.py {inputs.model} {inputs.flights} {outputs.predictions}
    inputs: {model: steps.train.model, flights: datasets.flights}
    outputs: {predictions: predictions.csv}
    reads: [evaluate.py]
model: steps.train.model
gates:
  model:
    predictions: steps.evaluate.predictions
    columns: {key: id, label: late, score: p}
    checks: [{metric: roc_auc, at_least: 0.6}]
"""
RELEASE = """\
release:
  serve: {run: "python serve.py {model} {port}", reads: [serve.py]}
  production: {canary: {steps: [10%, 50%]}}
"""
FILES = ("train.py", "evaluate.py", "suite.yaml", "serve.py")
FLIGHTS = digest(b"flights of March")


def graph(commit: str, baseline: Baseline | None = None, spec_text: str = SPEC + RELEASE) -> Graph:
    """The graph of a spec at a commit."""
    spec = load(spec_text, "ml-pipeline.yaml").pipeline
    assert spec is not None
    files = {name: digest(name.encode()) for name in FILES}
    return build(
        spec, SourceTree(repository="flights", commit=commit, folder="", files=files), baseline
    )


def run(commit: str, nodes: Mapping[str, Progress], number: int = 12, **facts: object) -> Run:
    """A run of that commit with these nodes, ended after 200 s unless the facts say otherwise."""
    return Run.model_validate(
        {
            "id": f"flight-delay-{number}",
            "number": number,
            "pipeline": "flight-delay",
            "repository": "flights",
            "commit": commit,
            "branch": "main",
            "folder": "",
            "trigger": Trigger(kind="commit", why=f"commit {commit[:12]} on main: Deeper trees"),
            "datasets": {"flights": FLIGHTS},
            "fingerprint": "f",
            "releases": True,
            "created": 1000.0,
            "nodes": nodes,
            "finished": 1200.0,
            **facts,
        }
    )


def done(seconds: float, verdict: Verdict | None = None, **outputs: str) -> Progress:
    """A node that succeeded."""
    status = Status(
        state=AttemptState.SUCCEEDED, exit_code=0, started=1000.0, ended=1000.0 + seconds
    )
    tried = AttemptRecord(id="a", asked=1000.0, status=status)
    return Progress(
        key="k", attempts=(tried,), outputs=outputs, verdict=verdict, ended=1000.0 + seconds
    )


def cached(run: str, verdict: Verdict | None = None, **outputs: str) -> Progress:
    """A node whose result an earlier run made."""
    return Progress(key="k", outputs=outputs, cached_from=run, verdict=verdict, ended=1001.0)


def failed_step(message: str, tries: int = 2) -> Progress:
    """A node that failed after all its attempts."""
    status = Status(
        state=AttemptState.FAILED, exit_code=1, started=1000.0, ended=1004.0, message=message
    )
    tried = tuple(AttemptRecord(id=str(n), asked=1000.0, status=status) for n in range(tries))
    return Progress(key="k", attempts=tried, failed=message, ended=1004.0)


def model_report(
    verdict: Verdict, checks: int = 1, baseline: float | None = None, worse: Sequence[str] = ()
) -> Report:
    """A model gate's report, with that many checks; the last one has the verdict. `worse` are
    slices that it warns of."""
    value = 0.512 if verdict is Verdict.FAIL else 0.8679
    passing = (
        Check(name=f"slice {n}", verdict=Verdict.PASS, message="It holds." * 60, observed=0.7, n=90)
        for n in range(checks - 1)
    )
    judged = Check(
        name="roc_auc at least 0.6",
        verdict=verdict,
        message=f"roc_auc is {value}, the limit is 0.6.",
        observed=value,
        limit=">= 0.6",
        n=27004,
        next_step="compare with `headgate explain`",
        where=Location(file="ml-pipeline.yaml", line=20),
    )
    slices = (
        Check(
            name="roc_auc by carrier",
            verdict=Verdict.WARN,
            message=f"{name} got worse.",
            subject=name,
            observed=0.6,
            baseline=0.7,
            blocks=False,
            n=400,
        )
        for name in worse
    )
    metrics = [
        MetricComparison(
            metric=metric,
            candidate=value,
            baseline=baseline,
            difference=None if baseline is None else value - baseline,
            greater_is_better=metric == "roc_auc",
            n=27004,
        )
        for metric in ("roc_auc", "log_loss")
    ]
    return Report(
        gate="model",
        subject="flight-delay",
        checks=(*passing, judged, *slices),
        provenance={"model": digest(b"model")},
        metrics=tuple(metrics),
    )


def data_report() -> Report:
    """A data gate's report that passes."""
    check = Check(name="key not null", verdict=Verdict.PASS, message="No nulls.", observed=0, n=9)
    notes = ("120,000 rows in 3 objects.",)
    return Report(gate="data", subject="flights", checks=(check,), notes=notes)
