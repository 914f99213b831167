"""PURE. The nodes of a run, and their cache keys. `graph_builder` makes them from a spec.

A node's key is the digest of all that can change its result: its definition, the files it reads,
its parameters, its environment and the digests of its inputs. Equal keys, equal results.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from controller.machine.core import Value
from controller.machine.runs.attempt import Attempt, Input
from specs.digests import digest
from specs.globs import ROOT, admits, admits_link, from_root, seen_from
from specs.model import SPEC_FILE, Pipeline
from specs.projects.values import Project

NodeKind = Literal["step", "data_gate", "model_gate", "baseline", "data"]
LINK = "symlink:"
"""What the digest of a symbolic link begins with; see `controller.git.links`."""
EVIDENCE = ("baseline.", "base.")
"""What the names of nodes begin with that only make evidence: for a gate to judge by."""


def is_evidence(name: str) -> bool:
    """Whether a node's failure is for a gate to judge, and not the end of the run."""
    return name.startswith(EVIDENCE)


class From(Value):
    """Where an input comes from: a dataset, a node's output, or an artifact known beforehand."""

    dataset: str | None = None
    node: str | None = None
    output: str | None = None
    artifact: str | None = None

    def __str__(self) -> str:
        return f"datasets.{self.dataset}" if self.dataset else f"{self.node}.{self.output}"


class SourceTree(Value):
    """Code at a commit: where the files are and the digest of each, by path in the repository."""

    repository: str
    commit: str
    folder: str
    """The spec's folder, `` for the top of the repository."""
    files: Mapping[str, str]
    file: str = SPEC_FILE
    """The name of the spec in that folder, which may have several."""
    images: Mapping[str, str] = {}
    """What each image that the spec names was when the commit was read: an immutable reference."""
    project: Project | None = None
    """What `environment.project` is at the commit."""

    @property
    def path(self) -> str:
        """Where the spec is in the repository."""
        return self.within(self.file)

    def within(self, path: str) -> str:
        """The path in the repository of a path below the spec's folder, or of `//path`, which is
        one from the repository's root."""
        return from_root(path, self.folder)

    def content(self, path: str | None) -> str | None:
        """The digest of a file that the spec names; None where there is none."""
        return self.files.get(self.within(path)) if path is not None else None

    def admitted(self, globs: Sequence[str]) -> dict[str, str]:
        """Digests of the files that globs of the spec admit, by path as the spec sees it, in order.
        A symbolic link that is admitted stands for all that it leads to: its digest covers that."""
        outside = any(glob.removeprefix("!").startswith(ROOT) for glob in globs)
        return {
            path: content
            for path, content in sorted((self.seen if outside else self.below).items())
            if (admits_link if content.startswith(LINK) else admits)(globs, path, self.folder)
        }

    @cached_property
    def seen(self) -> dict[str, str]:
        """Digests of all files by path as the spec sees it: below its folder, else `//path`."""
        return {seen_from(self.folder, path): content for path, content in self.files.items()}

    @cached_property
    def below(self) -> dict[str, str]:
        """Digests by path below the spec's folder."""
        prefix = f"{self.folder}/" if self.folder else ""
        return {p[len(prefix) :]: d for p, d in self.files.items() if p.startswith(prefix)}


class Baseline(Value):
    """The model that a candidate is compared with, and where its own evaluation is found."""

    version: int | None
    """Of the one in production; None: it is a commit's, which was never released."""
    digest: str
    model: str
    """The artifact's digest."""
    spec: Pipeline
    source: SourceTree

    @property
    def called(self) -> str:
        """What reports call it."""
        return f"v{self.version}" if self.version else f"the model of {self.source.commit[:12]}"


class Rules(Value):
    """Where the gates of a pull request come from: its base branch, as its own may ask for less."""

    spec: Pipeline
    source: SourceTree
    branch: str = ""
    """What the base is called, for reports."""
    lacking: Mapping[str, str] = {}
    """Why datasets of it cannot be had, by their names there."""

    def __str__(self) -> str:
        return f"{self.branch} ({self.source.commit[:12]})".strip()


class Node(Value):
    """One node: the template of its attempts, where its inputs come from, and what it depends on.

    `definition` holds, as plain JSON, all that its key is made of but the inputs' digests.
    """

    name: str
    kind: NodeKind
    inputs: Mapping[str, From] = {}
    after: tuple[str, ...] = ()
    """Gates that have to pass first."""
    definition: Mapping[str, Any]
    reads: Mapping[str, str] = {}
    """Digests of the files it reads, by path; part of the key, and what `plan` compares."""
    attempt: Attempt
    """With empty id and inputs."""
    retries: int = 0
    backoff: float = 10.0
    optional: bool = False
    """Its failure is evidence for a gate, not the end of the run."""
    stands: float | None = None
    """Seconds for which a result may be reused by other runs: 0 for never, None for ever."""

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
    """All of the package's digest but the model; None for a spec that releases nothing."""

    @cached_property
    def by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}


def addresses_of(graph: Graph) -> dict[str, str]:
    """Where the datasets are that its nodes read, by their names in the run."""
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
    """What a run of this graph would depend on, before anything has run.

    Equal fingerprints: nothing that a step, a gate or the server reads has changed. The baseline
    is left out: a promotion by itself is no reason to run.
    """
    own = [node for node in graph.nodes if node.kind != "baseline"]
    return digest(
        {
            "nodes": [
                [
                    node.name,
                    {**node.definition, "baseline": None},
                    dict(node.reads),
                    {i: str(of) for i, of in node.inputs.items() if not i.startswith("baseline")},
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

    What was tested is what ships, and a quarantined digest says nothing of another server of the
    same model.
    """
    return digest({"model": model, **(graph.serve or {})})


def resolve(
    node: Node, outputs: Callable[[str, str], str], datasets: Mapping[str, str]
) -> dict[str, str]:
    """The digests of the node's inputs, by input name.

    `outputs(node, output)` gives a digest; it raises KeyError for one that is not known yet.
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


def attempt_of(node: Node, attempt_id: str, digests: Mapping[str, str]) -> Attempt:
    """The attempt with that id, its inputs pinned to `digests`."""
    inputs = {
        name: node.attempt.inputs.get(name, Input(kind="artifact", digest="")).model_copy(
            update={"digest": digests[name]}
        )
        for name in node.inputs
    }
    # Exactly what the key covers: else what one run may read would decide what others get.
    files = tuple(node.reads)
    return node.attempt.model_copy(update={"id": attempt_id, "inputs": inputs, "files": files})
