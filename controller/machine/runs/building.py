"""PURE. From a spec at a commit to the graph of a run: what its steps and gates become."""

from collections.abc import Iterator, Mapping
from typing import Any

from controller.machine.runs.attempt import Attempt, Build, Input
from controller.machine.runs.graph import Baseline, From, Graph, Node, Rules, Source
from specs.digests import digest
from specs.gates import ModelGate
from specs.globs import admits
from specs.model import SPEC_FILE, Pipeline, Step
from specs.references import DatasetReference, StepReference, as_argument, placeholders

GATES_VERSION = 1
"""Part of a gate's key: raise it when a gate would judge the same evidence differently."""


def build(
    spec: Pipeline,
    source: Source,
    baseline: Baseline | None = None,
    rules: Rules | None = None,
    no_baseline: str = "there is no model in production yet",
) -> Graph:
    """The graph of a run of `spec` at `source`, held against `baseline`.

    With `rules`, their gates judge, and what the spec asks for beyond them: a pull request cannot
    loosen what stops it, and is seen to pass what it tightens.
    """
    gates = [gate for name in spec.datasets for gate in _data_gates(spec, source, name, rules)]
    guarded: dict[str | None, tuple[str, ...]] = {}
    for gate in gates:
        dataset = gate.inputs["dataset"].dataset
        guarded[dataset] = (*guarded.get(dataset, ()), gate.name)
    steps = [_step(spec, source, name, guarded) for name in _order(spec)]
    nodes = [*gates, *steps]
    asked = judged_by(spec, rules)
    if asked and spec.model:
        judged = spec.model_copy(update={"gates": spec.gates.model_copy(update={"model": asked})})
        challenger = _baseline(judged, baseline, guarded) if baseline else None
        if challenger:
            nodes.append(challenger)
        nodes.append(_model_gate(judged, spec, source, baseline, challenger, no_baseline))
    model = From(node=spec.model.step, output=spec.model.output) if spec.model else None
    return Graph(nodes=tuple(nodes), model=model, serve=_serve(spec, source))


def judged_by(spec: Pipeline, rules: Rules | None) -> ModelGate | None:
    """The model gate in force: that of `rules` with what the spec asks for beyond it.

    The spec's own where those do not fit: they read predictions that its steps do not make.
    """
    theirs, own = rules.spec.gates.model if rules else None, spec.gates.model
    if theirs is None:
        return own
    step = spec.steps.get(theirs.predictions.step)
    if step is None or theirs.predictions.output not in step.outputs:
        return own
    if own is None:
        return theirs
    more = {
        name: tuple(dict.fromkeys((*getattr(theirs, name), *getattr(own, name))))
        for name in ("checks", "slices")
    }
    return theirs.model_copy(update=more)


def serve_params(spec: Pipeline) -> dict[str, str]:
    """The parameters that the server's command names, as it is given them."""
    if spec.release is None:
        return {}
    named = {p.name for p in placeholders(spec.release.serve.run) if p.kind == "params"}
    return {name: as_argument(value) for name, value in spec.params.items() if name in named}


def serve_reads(spec: Pipeline, source: Source) -> dict[str, str]:
    """The files that the server reads, as its package's digest covers them."""
    return _reads(spec, source, spec.release.serve.reads) if spec.release else {}


def _order(spec: Pipeline) -> list[str]:
    """The steps so that each comes after those it reads from; the spec's order otherwise."""
    done: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        for reference in spec.steps[name].inputs.values():
            if isinstance(reference, StepReference):
                visit(reference.step)
        done.append(name)

    for name in spec.steps:
        visit(name)
    return done


def _from(reference: DatasetReference | StepReference) -> From:
    if isinstance(reference, DatasetReference):
        return From(dataset=reference.dataset)
    return From(node=reference.step, output=reference.output)


def _file_name(spec: Pipeline, origin: From) -> str:
    """What the output was called where it was written: its ending says what it is."""
    step = spec.steps.get(origin.node or "")
    return step.outputs[origin.output or ""].rsplit("/", 1)[-1] if step else ""


def _reads(spec: Pipeline, source: Source, globs: tuple[str, ...] | None) -> dict[str, str]:
    """Files that a command reads. The spec itself is not one: its parts are in definitions."""
    admitted = globs if globs is not None else spec.triggers.commits.paths
    suites = {dataset.expectations for dataset in spec.datasets.values()}
    return {
        path: content
        for path, content in sorted(source.below.items())
        if admits(admitted, path) and path != SPEC_FILE and (globs or path not in suites)
    }


def image_of(spec: Pipeline, source: Source, step: str | None) -> tuple[str | None, Build | None]:
    """The image of a step or, for None, of the model server, or what it is built from; neither
    for a process."""
    if spec.executor_of(step) != "docker":
        return None, None
    folder = spec.build_of(step)
    if folder is None:
        name = spec.image_of(step)
        return source.images.get(name or "", name), None
    prefix = "" if folder == "." else f"{folder.removesuffix('/')}/"
    files = {path: of for path, of in source.below.items() if path.startswith(prefix)}
    context = source.within(prefix.removesuffix("/")).removesuffix("/")
    return None, Build(context=context, digest=digest(files))


def _environment(spec: Pipeline, source: Source, step: str | None) -> dict[str, Any]:
    image, build_ = image_of(spec, source, step)
    of = build_.digest if build_ else image
    if of is not None:
        return {"requirements": None, "python": None, "image": of}
    requirements = spec.environment.requirements
    return {
        "requirements": requirements and source.below.get(requirements),
        "python": spec.environment.python,
        "image": None,
    }


def _serve(spec: Pipeline, source: Source) -> dict[str, Any] | None:
    if spec.release is None:
        return None
    serve = spec.release.serve
    return {
        "serve": serve.model_dump(mode="json", exclude={"startup_deadline", "reads"}),
        "params": serve_params(spec),
        "reads": serve_reads(spec, source),
        "environment": _environment(spec, source, None),
    }


def _step(
    spec: Pipeline, source: Source, name: str, guarded: Mapping[str | None, tuple[str, ...]]
) -> Node:
    step = spec.steps[name]
    inputs = {local: _from(reference) for local, reference in step.inputs.items()}
    used = {p.name for p in placeholders(step.run) if p.kind == "params"}
    params = {k: as_argument(v) for k, v in spec.params_of(name).items() if k in used}
    resources = spec.resources_of(name)
    image, build_ = image_of(spec, source, name)
    contained = image is not None or build_ is not None
    network = step.network and contained
    given = {local: _input(spec, step, local, origin) for local, origin in inputs.items()}
    attempt = Attempt(
        id="",
        run="",
        node=name,
        command=step.run,
        repository=source.repository,
        commit=source.commit,
        folder=source.folder,
        inputs=given,
        outputs=dict(step.outputs),
        params=params,
        env=dict(step.env),
        secrets=step.secrets,
        requirements=spec.environment.requirements,
        python=spec.environment.python,
        executor="docker" if contained else "local",
        image=image,
        build=build_,
        network=network,
        cpu=resources.cpu,
        memory=resources.memory,
        timeout=step.timeout.total_seconds(),
    )
    return Node(
        name=name,
        kind="step",
        inputs=inputs,
        after=tuple(
            gate for i in inputs.values() if i.dataset for gate in guarded.get(i.dataset, ())
        ),
        definition={
            "run": step.run,
            "outputs": dict(step.outputs),
            "params": params,
            "env": dict(step.env),
            "secrets": list(step.secrets),  # a pull request's run may be given fewer
            "access": dict(step.access),
            # Only a step that is told an address can depend on it.
            "addresses": {local: i.uri for local, i in given.items() if i.access == "uri"},
            "environment": _environment(spec, source, name),
            **({"network": True} if network else {}),
        },
        reads=_reads(spec, source, step.reads),
        attempt=attempt,
        retries=step.retries,
        backoff=step.backoff.total_seconds(),
    )


def _input(spec: Pipeline, step: Step, local: str, origin: From) -> Input:
    """How the step is handed an input that it calls `local`."""
    return Input(
        kind="dataset" if origin.dataset else "artifact",
        digest="",
        name=origin.dataset or _file_name(spec, origin),
        access=step.access.get(local, "path"),
        uri=spec.datasets[origin.dataset].uri if origin.dataset else "",
    )


def _data_gates(spec: Pipeline, source: Source, name: str, rules: Rules | None) -> Iterator[Node]:
    """The suite of `rules`, and the spec's own if it is another."""
    own, uri = spec.datasets[name].expectations, spec.datasets[name].uri
    base = rules.spec.datasets.get(name) if rules else None
    theirs = base.expectations if base else None
    if rules and theirs:
        yield _data_gate(f"gate.data.{name}", name, uri, theirs, rules.source)
        if own and source.below.get(own) != rules.source.below.get(theirs):
            yield _data_gate(f"gate.data.{name}.proposed", name, uri, own, source)
    elif own:
        yield _data_gate(f"gate.data.{name}", name, uri, own, source)


def _data_gate(node: str, name: str, uri: str, suite: str, source: Source) -> Node:
    return Node(
        name=node,
        kind="data_gate",
        inputs={"dataset": From(dataset=name)},
        definition={"gate": GATES_VERSION},
        reads={suite: source.below.get(suite, "missing")},
        attempt=Attempt(
            id="",
            run="",
            node=node,
            program="data_gate",
            repository=source.repository,
            commit=source.commit,
            folder=source.folder,
            inputs={"dataset": Input(kind="dataset", digest="", name=name, uri=uri)},
            outputs={"report": "report.json"},
            timeout=3600,
            request={"dataset": name, "suite": suite},
        ),
        retries=1,
    )


def _baseline(
    spec: Pipeline, baseline: Baseline, guarded: Mapping[str | None, tuple[str, ...]]
) -> Node | None:
    """The baseline's own evaluation, at its own commit, on the candidate's data."""
    theirs = baseline.spec.gates.model
    if theirs is None or baseline.spec.model is None:
        return None
    name = theirs.predictions.step
    if name not in baseline.spec.steps or name == baseline.spec.model.step:
        return None
    ours = {
        dataset: known.model_copy(update={"uri": spec.datasets[dataset].uri})
        for dataset, known in baseline.spec.datasets.items()
        if dataset in spec.datasets
    }
    moved = {**baseline.spec.datasets, **ours}
    on_our_data = baseline.spec.model_copy(update={"datasets": moved})
    node = _step(on_our_data, baseline.source, name, guarded)
    inputs: dict[str, From] = {}
    for local, origin in node.inputs.items():
        if (origin.node, origin.output) == (baseline.spec.model.step, baseline.spec.model.output):
            inputs[local] = From(artifact=baseline.model)
        elif origin.dataset is not None and origin.dataset not in spec.datasets:
            return None
        else:
            inputs[local] = origin
    for origin in inputs.values():
        if origin.node and origin.node not in spec.steps:
            return None
        if origin.node and origin.output not in spec.steps[origin.node].outputs:
            return None
    label = f"baseline.{name}"
    attempt = node.attempt.model_copy(update={"node": label})
    return node.model_copy(
        update={
            "name": label,
            "kind": "baseline",
            "inputs": inputs,
            "attempt": attempt,
            "optional": True,
        }
    )


def _model_gate(
    spec: Pipeline,
    written: Pipeline,
    source: Source,
    baseline: Baseline | None,
    challenger: Node | None,
    no_baseline: str,
) -> Node:
    """`written` is the spec as its file has it; its checks have their places there."""
    gate = spec.gates.model
    assert gate is not None
    assert spec.model is not None
    inputs = {
        "model": From(node=spec.model.step, output=spec.model.output),
        "candidate": From(node=gate.predictions.step, output=gate.predictions.output),
    }
    if challenger and baseline and baseline.spec.gates.model:
        theirs = baseline.spec.gates.model.predictions
        inputs["baseline"] = From(node=challenger.name, output=theirs.output)
    if baseline and not challenger:
        no_baseline = f"version {baseline.version} has no evaluation that could run on this data"
    files = {"candidate": _file_name(spec, inputs["candidate"])}
    if "baseline" in inputs and baseline and baseline.spec.gates.model:
        step = baseline.spec.steps[baseline.spec.gates.model.predictions.step]
        name = step.outputs[baseline.spec.gates.model.predictions.output]
        files["baseline"] = name.rsplit("/", 1)[-1]
    own = written.gates.model.checks if written.gates.model else ()
    request = {
        "gate": gate.model_dump(mode="json"),
        "places": [own.index(check) if check in own else None for check in gate.checks],
        "baseline_version": baseline.version if baseline else None,
        "baseline_model": baseline.model if baseline else None,
        "no_baseline": no_baseline,
    }
    return Node(
        name="gate.model",
        kind="model_gate",
        inputs=inputs,
        definition={
            "gate": GATES_VERSION,
            "checks": request["gate"],
            "baseline": request["baseline_model"],
        },
        attempt=Attempt(
            id="",
            run="",
            node="gate.model",
            program="model_gate",
            repository=source.repository,
            commit=source.commit,
            folder=source.folder,
            inputs={n: Input(kind="artifact", digest="", name=f) for n, f in files.items()},
            outputs={"report": "report.json"},
            timeout=3600,
            request=request,
        ),
        retries=1,
    )
