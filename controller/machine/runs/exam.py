"""PURE. The exam of a candidate: the steps that make its predictions and metrics, and their data.

It is everything that the evidence comes from except the model: the steps' commands and
environments, the files that they read, and the datasets. Steps are compared by what they do, not by
their names.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from controller.machine.runs.graph import LINK, From, Rules, SourceTree
from controller.machine.runs.node_names import is_of_base, of_base
from controller.machine.runs.step_nodes import origin_of, step_node
from specs.digests import short
from specs.gates import Evidence
from specs.globs import ROOT, matches
from specs.model import DATA, Pipeline
from specs.path_index import near
from specs.references import StepReference


class ExamPart(NamedTuple):
    """A part of the exam that changed."""

    what: str
    was: str
    now: str


def evidence_of(spec: Pipeline, rules: Rules) -> dict[Evidence, StepReference]:
    """The outputs of a spec that are the evidence for its base's gate; some may be missing.

    That is the output which the base names; else the one that the spec's own gate names; else the
    only output of that name whose step reads the model.
    """
    asked = rules.spec.gates.model
    if asked is None:
        return {}
    made = {kind: _made(kind, output, spec) for kind, output in asked.evidence.items()}
    return {kind: output for kind, output in made.items() if output is not None}


def _made(kind: Evidence, asked: StepReference, spec: Pipeline) -> StepReference | None:
    named = spec.steps.get(asked.step)
    if named is not None and asked.output in named.outputs:
        return asked
    if spec.gates.model is not None and kind in spec.gates.model.evidence:
        return spec.gates.model.evidence[kind]
    alike = [
        name
        for name, step in spec.steps.items()
        if asked.output in step.outputs and spec.model in step.inputs.values()
    ]
    if len(alike) != 1:
        return None
    return StepReference(step=alike[0], output=asked.output)


def steps_of(spec: Pipeline, *outputs: StepReference) -> tuple[str, ...]:
    """The steps that outputs come from, in dependency order. The step that makes the model counts
    only if another of its outputs is read."""
    found: list[str] = []

    def visit(name: str) -> None:
        if name in found:
            return
        for reference in spec.steps[name].inputs.values():
            if isinstance(reference, StepReference) and reference != spec.model:
                visit(reference.step)
        found.append(name)

    for output in outputs:
        visit(output.step)
    return tuple(found)


def is_apart(spec: Pipeline) -> bool:
    """Whether another spec's candidate can sit this exam: the step that trains the model does not
    make the evidence as well."""
    gate, model = spec.gates.model, spec.model
    if gate is None or model is None:
        return False
    return all(output.step != model.step for output in gate.evidence.values())


def changed(spec: Pipeline, source: SourceTree, rules: Rules) -> tuple[ExamPart, ...]:
    """How the exam at `source` differs from that of the base, if the base has one."""
    asked = rules.spec.gates.model
    if asked is None:
        return ()
    made = evidence_of(spec, rules)
    compare = _Comparison(rules, Rules(spec=spec, source=source))
    found: list[ExamPart] = []
    for kind, output in asked.evidence.items():
        if kind in made:
            found += compare.outputs(output, made[kind])
        else:
            found.append(ExamPart(f"steps.{output.step}", f"makes the {kind}", "removed"))
    return tuple(dict.fromkeys(found))


def data_of(spec: Pipeline, source: SourceTree, rules: Rules) -> dict[str, str]:
    """The datasets that the base's exam reads: their names in a run of `spec`, by their names in
    the base. If the spec changes a dataset's address or content, the base's own is added."""
    gate = rules.spec.gates.model
    if gate is None:
        return {}
    names = (
        origin.dataset
        for step in steps_of(rules.spec, *gate.evidence.values())
        for origin in map(origin_of, rules.spec.steps[step].inputs.values())
        if origin.dataset is not None
    )
    return {name: _same_data(name, spec, source, rules) for name in names}


def lacks(spec: Pipeline, source: SourceTree, rules: Rules) -> tuple[str, ...]:
    """The base's datasets that its exam needs in addition to the spec's; none if the exam has not
    changed."""
    if not is_apart(rules.spec) or not changed(spec, source, rules):  # nothing could be run on it
        return ()
    used = data_of(spec, source, rules).items()
    return tuple(name for name, called in used if is_of_base(called))


def in_repository(source: SourceTree, uri: str) -> dict[str, str] | None:
    """The files of a dataset in the repository, with their digests; None if it is elsewhere. A
    symbolic link to a folder on the way stands for everything in that folder."""
    rooted = uri.startswith(ROOT)
    if "://" in uri or (uri.startswith("/") and not rooted):
        return None
    parts = [part for part in uri.removeprefix(ROOT).split("/") if part not in ("", ".")]
    path = "/".join(parts)
    globs = (path, f"{path}/**") if parts else ("**",)
    folders = ["/".join(parts[:end]) for end in range(1, len(parts))]
    files = source.files if rooted else source.below
    paths = source.commit_files.paths
    asked = near(paths, "/".join([*parts, "**"])) if rooted else files
    return {
        name: files[name]
        for name in asked
        if any(matches(glob, name) for glob in globs)
        or (files[name].startswith(LINK) and any(matches(folder, name) for folder in folders))
    }


def _same_data(name: str, spec: Pipeline, source: SourceTree, rules: Rules) -> str:
    base = _content(name, rules.spec, rules.source)
    alike = [called for called in spec.datasets if _content(called, spec, source) == base]
    return name if name in alike else alike[0] if alike else of_base(name)


def _content(name: str, spec: Pipeline, source: SourceTree) -> Any:
    """What identifies a dataset in a spec and its files: equal values, equal data."""
    dataset = spec.datasets[name]
    if dataset.query is not None:
        return {"query": dataset.query.model_dump(mode="json", exclude={"timeout"})}
    if dataset.uri is not None:
        return {"uri": dataset.uri, "files": in_repository(source, dataset.uri)}
    node = step_node(spec, source, f"{DATA}{name}", {})
    definition = {key: each for key, each in node.definition.items() if key != "outputs"}
    return {"fetch": definition, "file": dataset.fetch and dataset.fetch.file, "reads": node.reads}


def address_changes(name: str, before: Pipeline, after: Pipeline) -> Iterator[ExamPart]:
    """How the source of a dataset differs between two specs."""
    idle = {"query": {"timeout"}, "fetch": {"timeout", "retries", "backoff", "cache"}}
    said = [
        {
            kind: each
            for kind, each in spec.datasets[name].model_dump(mode="json", exclude=idle).items()
            if kind in ("uri", "query", "fetch")
        }
        for spec in (before, after)
    ]
    yield from _definitions(f"datasets.{name}", *said)


class _Comparison:
    """Compares two exams, from the evidence back to the data."""

    def __init__(self, before: Rules, after: Rules) -> None:
        self._before = before
        self._after = after
        self._seen: set[tuple[str, str]] = set()

    def outputs(self, was: StepReference, now: StepReference) -> Iterator[ExamPart]:
        """What changed of all that an output comes from."""
        if was.output != now.output:
            yield ExamPart(f"steps.{now.step}.outputs", was.output, now.output)
        if (was.step, now.step) not in self._seen:
            self._seen.add((was.step, now.step))
            yield from self._steps(was.step, now.step)

    def _steps(self, was: str, now: str) -> Iterator[ExamPart]:
        old = step_node(self._before.spec, self._before.source, was, {})
        new = step_node(self._after.spec, self._after.source, now, {})
        yield from _definitions(f"steps.{now}", old.definition, new.definition)
        yield from self._reads(now, _files(old.reads, new.reads))
        for local in dict.fromkeys([*old.inputs, *new.inputs]):
            yield from self._inputs(
                f"steps.{now}.inputs.{local}", old.inputs.get(local), new.inputs.get(local)
            )

    def _reads(self, step: str, files: Iterator[ExamPart]) -> Iterator[ExamPart]:
        """Files that the step reads; without `reads`, that is every file."""
        every = self._after.spec.steps[step].reads is None
        why = f" (steps.{step} has no `reads`, so every file may be part of it)" if every else ""
        for part in files:
            yield part._replace(now=part.now + why)

    def _inputs(self, where: str, was: From | None, now: From | None) -> Iterator[ExamPart]:
        if was is not None and now is not None:
            if was.dataset is not None and now.dataset is not None:
                yield from self._data(was.dataset, now.dataset)
                return
            models = is_model(self._before.spec, was), is_model(self._after.spec, now)
            if all(models):
                return
            old, new = _output(was), _output(now)
            if old is not None and new is not None and not any(models):
                yield from self.outputs(old, new)
                return
        yield ExamPart(where, _origin(self._before.spec, was), _origin(self._after.spec, now))

    def _data(self, was: str, now: str) -> Iterator[ExamPart]:
        old = _content(was, self._before.spec, self._before.source)
        new = _content(now, self._after.spec, self._after.source)
        said = [
            {kind: each for kind, each in one.items() if kind not in ("files", "reads")}
            for one in (old, new)
        ]
        yield from _definitions(f"datasets.{now}", *said)
        if old.get("uri") != new.get("uri"):
            return
        for kind in ("files", "reads"):
            yield from _files(old.get(kind) or {}, new.get(kind) or {})


def is_model(spec: Pipeline, origin: From) -> bool:
    model = spec.model
    return model is not None and (origin.node, origin.output) == (model.step, model.output)


def _origin(spec: Pipeline, origin: From | None) -> str:
    if origin is None:
        return "none"
    return f"the model ({origin})" if is_model(spec, origin) else str(origin)


def _output(origin: From) -> StepReference | None:
    if origin.node is None or origin.output is None:
        return None
    return StepReference(step=origin.node, output=origin.output)


def _definitions(where: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[ExamPart]:
    for name in dict.fromkeys([*was, *now]):
        old, new = was.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old or {}, Mapping) and isinstance(new or {}, Mapping):
            if name == "files":  # of the environment: its lock, and packages of the repository
                yield from _files(old or {}, new or {})
            else:
                yield from _definitions(f"{where}.{name}", old or {}, new or {})
        else:
            yield ExamPart(f"{where}.{name}", _said(old), _said(new))


def _said(value: Any) -> str:
    if value is None or value in ("", {}, []):
        return "none"
    if isinstance(value, str):
        return short(value) if value.startswith("sha256:") else value
    if isinstance(value, Sequence):
        return ", ".join(map(str, value))
    return str(value)


def _files(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[ExamPart]:
    for path in sorted({*was, *now}):
        old, new = was.get(path), now.get(path)
        if old != new:
            yield ExamPart(path, _version(old), _version(new))


def _version(content: str | None) -> str:
    """A short digest of a content."""
    return short(content) if content else "not read"
