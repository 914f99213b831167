"""PURE. The nodes of a run, and their cache keys. `graph_builder` makes them from a spec.

A node's key is the digest of everything that can change its result: its definition, the files it
reads, its parameters, its environment and the digests of its inputs. Equal keys, equal results.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pydantic import ValidatorFunctionWrapHandler, field_validator, model_validator

from controller.machine.core import Value
from controller.machine.runs import node_names
from controller.machine.runs.attempt import Attempt, Input
from controller.machine.runs.commit_files import CommitFiles
from specs.digests import digest
from specs.globs import ROOT, admits, admits_link, from_root, seen_from
from specs.model import SPEC_FILE, Pipeline
from specs.path_index import near
from specs.projects.values import Project

NodeKind = Literal["step", "data_gate", "model_gate", "baseline", "data"]
GATES_VERSION = 4
"""Part of a gate's key: raise it when a gate would judge the same evidence differently."""
VALIDATION = "validation"
"""The output of a data gate that Great Expectations' own tools read. Results of older controllers
lack it; outputs are no part of a key, so these are used nevertheless."""
PORTRAIT = "portrait"
"""The output of a data gate with how the columns are spread, which is drawn beside a later version
that fails. Results of older controllers lack it as well."""
LINK = "symlink:"
"""The prefix of a symbolic link's digest; see `controller.git.links`."""


class From(Value):
    """Where an input comes from: a dataset, a node's output, or an artifact known in advance."""

    dataset: str | None = None
    node: str | None = None
    output: str | None = None
    artifact: str | None = None

    def __str__(self) -> str:
        return f"datasets.{self.dataset}" if self.dataset else f"{self.node}.{self.output}"


class SourceTree(Value):
    """The code at a commit: the digest of each file, by path in the repository."""

    repository: str
    commit: str
    folder: str
    """The spec's folder; empty for the root of the repository."""
    files: Mapping[str, str]
    file: str = SPEC_FILE
    """The spec's file name; a folder may have several specs."""
    images: Mapping[str, str] = {}
    """By image that the spec names: the immutable reference that it resolved to when the commit was
    read."""
    project: Project | None = None
    """The `environment.project` at the commit."""
    suite_words: Mapping[str, tuple[str, ...]] = {}
    """By path, as the spec writes it, of a suite's file: the `params` of the spec that it names."""

    @field_validator("files", mode="wrap")
    @classmethod
    def _shared(cls, files: Any, validate: ValidatorFunctionWrapHandler) -> CommitFiles:
        """Kept as it is: all pipelines of a commit have the same."""
        return files if isinstance(files, CommitFiles) else CommitFiles(validate(files))

    @property
    def path(self) -> str:
        """Where the spec is in the repository."""
        return self.within(self.file)

    def within(self, path: str) -> str:
        """A path of the spec as a path in the repository: relative to the spec's folder or, as
        `//path`, to the repository's root."""
        return from_root(path, self.folder)

    def content(self, path: str | None) -> str | None:
        """The digest of a file that the spec names; None where there is none."""
        return self.files.get(self.within(path)) if path is not None else None

    def admitted(self, globs: Sequence[str]) -> dict[str, str]:
        """Digests of the files that globs of the spec match, by path as the spec writes it, in
        order. The digest of a symbolic link covers everything that the link leads to."""
        return {
            path: content
            for path, content in sorted({**self.below, **self._outside(globs)}.items())
            if (admits_link if content.startswith(LINK) else admits)(globs, path, self.folder)
        }

    def _outside(self, globs: Sequence[str]) -> dict[str, str]:
        """The files elsewhere that these globs could match, by path as the spec writes it."""
        rooted = [glob.removeprefix(ROOT) for glob in globs if glob.startswith(ROOT)]
        found = {path for glob in rooted for path in near(self.commit_files.paths, glob)}
        seen = ((seen_from(self.folder, path), path) for path in found)
        return {name: self.files[path] for name, path in seen if name.startswith(ROOT)}

    @cached_property
    def commit_files(self) -> CommitFiles:
        """`files`, with an index."""
        return self.files if isinstance(self.files, CommitFiles) else CommitFiles(self.files)

    @property
    def seen(self) -> dict[str, str]:
        """Digests of all files by path as the spec writes it: below its folder, or `//path`. Made
        anew each time, as it is as large as the repository."""
        return {seen_from(self.folder, path): content for path, content in self.files.items()}

    @property
    def below(self) -> Mapping[str, str]:
        """Digests by path below the spec's folder."""
        return self.commit_files.below(self.folder)


class Baseline(Value):
    """The model that a candidate is compared with, and the spec that has its own evaluation."""

    version: int | None
    """Its number if it is in production; None for the model of a commit, which was not released."""
    digest: str
    model: str
    """The artifact's digest."""
    spec: Pipeline
    source: SourceTree

    @property
    def called(self) -> str:
        """Its name in reports."""
        return f"v{self.version}" if self.version else f"the model of {self.source.commit[:12]}"


class Rules(Value):
    """The spec that a pull request is judged by: its base's, as its own could be less strict."""

    spec: Pipeline
    source: SourceTree
    branch: str = ""
    """The name of the base, for reports."""
    lacking: Mapping[str, str] = {}
    """By dataset of this spec that is not available: why."""

    def __str__(self) -> str:
        return f"{self.branch} ({self.source.commit[:12]})".strip()


class JudgedSpec(NamedTuple):
    """A spec at a commit, and the rules that judge it; None: its own."""

    spec: Pipeline
    source: SourceTree
    rules: Rules | None


class Node(Value):
    """One node: the template of its attempts, where its inputs come from, and what it depends on.

    `definition` is the part of its key that is neither a file nor an input, as plain JSON.
    """

    name: str
    kind: NodeKind
    inputs: Mapping[str, From] = {}
    after: tuple[str, ...] = ()
    """Gates that have to pass first."""
    definition: Mapping[str, Any]
    reads: Mapping[str, str] = {}
    """Digests of the files it reads, by path; part of the key."""
    attempt: Attempt
    """The template: without id and digests."""
    retries: int = 0
    backoff: float = 10.0
    stands: float | None = None
    """Seconds for which other runs may reuse a result: 0 for never, None for ever."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_controller(cls, stored: Any) -> Any:
        """Older controllers also stored `optional`, which was redundant."""
        if isinstance(stored, Mapping) and "optional" in stored:
            return {name: value for name, value in stored.items() if name != "optional"}
        return stored

    @property
    def is_gate(self) -> bool:
        return self.kind in ("data_gate", "model_gate")

    @property
    def is_evidence(self) -> bool:
        """Whether its failure is for a gate to judge; that of other nodes ends the run."""
        return node_names.is_evidence(self.name)

    @property
    def is_proposed(self) -> bool:
        """Whether it is a data gate with a suite that only the pull request has."""
        return node_names.is_proposed(self.name)

    @property
    def needs(self) -> tuple[str, ...]:
        """The nodes that have to end first."""
        sources = (source.node for source in self.inputs.values() if source.node)
        return tuple(dict.fromkeys((*sources, *self.after)))


class Graph(Value):
    """The nodes of a run in an order in which each comes after all that it needs."""

    nodes: tuple[Node, ...]
    model: From | None = None
    """The output that is the model; None for a spec without one."""
    serve: Mapping[str, Any] | None = None
    """What the package's digest covers besides the model; None for a spec without `release`."""

    @property
    def releases(self) -> bool:
        """Whether the spec says how its model is released."""
        return self.serve is not None

    @cached_property
    def by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """By name: the nodes that have to end first."""
        return {node.name: node.needs for node in self.nodes}


def is_of_baseline(input_name: str) -> bool:
    """Whether an input of a model gate is the baseline's evidence."""
    return input_name.startswith("baseline")


def addresses_of(graph: Graph) -> dict[str, str]:
    """The addresses of the datasets that its nodes read, by the datasets' names in the run."""
    found = {}
    for node in graph.nodes:
        for name, origin in node.inputs.items():
            given = node.attempt.inputs.get(name)
            if origin.dataset is not None and given is not None and given.uri:
                found[origin.dataset] = given.uri
    return found


def key_of(node: Node, digests: Mapping[str, str]) -> str:
    """The cache key, from the digests of the node's inputs by input name."""
    return digest(
        {
            "kind": node.kind,
            "definition": dict(node.definition),
            "reads": dict(node.reads),
            "inputs": {name: digests[name] for name in node.inputs},
        }
    )


def fingerprint(graph: Graph, datasets: Mapping[str, str]) -> str:
    """The digest of everything that a run of this graph depends on, known before it starts.

    If two are equal, nothing that a step, a gate or the server reads has changed. The baseline does
    not count: a promotion alone is no reason to run.
    """
    own = [node for node in graph.nodes if node.kind != "baseline"]
    return digest(
        {
            "nodes": [
                [
                    node.name,
                    {**node.definition, "baseline": None},
                    dict(node.reads),
                    {i: str(of) for i, of in node.inputs.items() if not is_of_baseline(i)},
                ]
                for node in own
            ],
            "model": str(graph.model),
            "datasets": dict(datasets),
            "serve": dict(graph.serve) if graph.serve is not None else None,
        }
    )


def package_of(graph: Graph, model: str) -> str:
    """The digest of a model version: the model with its server and environment.

    So what was tested is what ships, and quarantine of a version does not affect the same model
    with another server.
    """
    return digest({"model": model, **(graph.serve or {})})


def resolve(
    node: Node, outputs: Callable[[str, str], str], datasets: Mapping[str, str]
) -> dict[str, str]:
    """The digests of the node's inputs, by input name.

    `outputs(node, output)` returns a digest, or raises KeyError if it is not known yet.
    """
    found: dict[str, str] = {}
    for name, source in node.inputs.items():
        if source.dataset is not None:
            found[name] = datasets[source.dataset]
        elif source.artifact is not None:
            found[name] = source.artifact
        else:
            assert source.node is not None
            assert source.output is not None
            found[name] = outputs(source.node, source.output)
    return found


def attempt_of(
    node: Node, attempt_id: str, digests: Mapping[str, str], facts: Mapping[str, object] = {}
) -> Attempt:
    """The attempt with that id, its inputs pinned to `digests`; `facts` are those of its run."""
    inputs = {
        name: node.attempt.inputs.get(name, Input(kind="artifact", digest="")).model_copy(
            update={"digest": digests[name]}
        )
        for name in node.inputs
    }
    # Exactly the files that the key covers: a result must not depend on any other.
    files = tuple(node.reads)
    known = {"id": attempt_id, "inputs": inputs, "files": files, **facts}
    return node.attempt.model_copy(update=known)
