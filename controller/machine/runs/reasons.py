"""PURE. Why a node runs: what is different from an earlier run."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from controller.machine.core import Value
from controller.machine.runs.graph import Graph, Node
from controller.machine.runs.run import Run
from specs.digests import short
from specs.references import as_argument

MOST_FILES = 5
"""Files that are named; the others are counted."""


class RunReason(Value):
    """Why a node runs, or whose result it reuses."""

    text: str
    kind: Literal["node", "parameter", "dataset", "consequence"] = "node"
    """`node`: a change of the node itself; `consequence`: it follows from other reasons, or is not
    due to the commit."""
    name: str = ""
    """The parameter or dataset that changed."""
    was: str = ""
    now: str = ""

    def __str__(self) -> str:
        return self.text


class EarlierRun(Value):
    """The run that a plan is compared with: the newest of the default branch that passed."""

    run: str
    graph: Graph
    datasets: Mapping[str, str]
    seconds: Mapping[str, float] = {}
    """How long each node took when it last ran."""
    outputs: Mapping[str, Mapping[str, str]] = {}
    """The digests of each node's outputs."""

    @classmethod
    def of(cls, run: Run, graph: Graph, seconds: Mapping[str, float] | None = None) -> "EarlierRun":
        """The run, for later ones to be compared with."""
        outputs = {name: node.outputs for name, node in run.nodes.items() if node.outputs}
        return cls(
            run=run.id,
            graph=graph,
            datasets=run.datasets,
            seconds=seconds or {},
            outputs=outputs,
        )

    def remade(self, node: Node, outputs: Mapping[str, Mapping[str, str]]) -> list[str]:
        """The nodes that make a node's inputs and made another result this time."""
        made_by = {origin.node for origin in node.inputs.values() if origin.node}
        return [
            name
            for name in sorted(made_by & outputs.keys() & self.outputs.keys())
            if outputs[name] != self.outputs[name]
        ]


def reasons(
    node: Node,
    datasets: Mapping[str, str],
    earlier: EarlierRun | None,
    running: Sequence[str] = (),
    remade: Sequence[str] = (),
) -> Iterator[RunReason]:
    """Why a node is different from the earlier run; at least one reason.

    `running` are the nodes that run before it and make its inputs, and `remade` those that made
    another result than in the earlier run.
    """
    if earlier is None:
        yield RunReason(text="there is no earlier run to compare with", kind="consequence")
        return
    before = earlier.graph.by_name.get(node.name)
    if before is None:
        proposed = "the suite is proposed here"
        yield RunReason(text=proposed if node.is_proposed else f"{earlier.run} had no {node.name}")
        return
    found = [
        *_definition(before.definition, node.definition, earlier.run),
        *map(_of_node, _files(before.reads, node.reads)),
        *_inputs(before, node, earlier.datasets, datasets),
        *_upstream(running, remade),
    ]
    nothing = RunReason(text=f"{earlier.run} left no result of it", kind="consequence")
    yield from found or [nothing]


def _of_node(text: str) -> RunReason:
    return RunReason(text=text)


def _upstream(running: Sequence[str], remade: Sequence[str]) -> Iterator[RunReason]:
    if running:
        verb = "runs" if len(running) == 1 else "run"
        yield RunReason(text=f"{', '.join(running)} {verb} before it", kind="consequence")
    for name in remade:
        yield RunReason(text=f"{name} made another result", kind="consequence")


def _definition(was: Mapping[str, Any], now: Mapping[str, Any], run: str) -> Iterator[RunReason]:
    describe: Mapping[str, Callable[[Any, Any], Iterator[str]]] = {
        "secrets": partial(_secrets, run=run),
        "environment": _environment,
        "baseline": _baseline,
    }
    names = {
        "run": "the command",
        "sql": "the query's `sql`",
        "version": "the query's `version`",
        "url": "the secret with the database's address",
        "checks": "the gate's checks",
        "gate": "Headgate's gate",
        "types": "the dataset's `types`",
        "nulls": "the dataset's `nulls`",
        "csv": "the dataset's `csv`",
        "suite": "the suite in the spec",
        "custom": "the dataset's `custom_expectations`",
        "leaves_custom": "who judges its custom expectations",
        "engine": "the dataset's `engine`",
        "train": "the step's `train`",
        "examples": "which of the dataset's `columns` show examples",
    }
    for name in dict.fromkeys([*was, *now]):
        old, new = was.get(name), now.get(name)
        if old == new:
            continue
        if name == "params":
            yield from _params(old or {}, new or {})
        elif name in describe:
            yield from map(_of_node, describe[name](old, new))
        else:
            yield _of_node(f"{names.get(name, name)} changed")


def _secrets(was: Any, now: Any, run: str) -> Iterator[str]:
    """Which secrets it gets; these may differ for an equal spec, as pull requests get fewer."""
    lost, gained = set(was or ()) - set(now or ()), set(now or ()) - set(was or ())
    if lost:
        yield f"it runs without {_named(lost)}, which {run} was given"
    if gained:
        yield f"it is given {_named(gained)}, which {run} was not"
    if not lost and not gained:
        yield "its secrets are in another order"


def _named(secrets: Iterable[str]) -> str:
    names = sorted(secrets)
    return f"the secret{'s' * (len(names) != 1)} {', '.join(names)}"


def _params(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[RunReason]:
    for name in dict.fromkeys([*was, *now]):
        if was.get(name) == now.get(name):
            continue
        old, new = (
            as_argument(each[name]) if each.get(name) is not None else "nothing"
            for each in (was, now)
        )
        text = f"params.{name} went from {old} to {new}"
        yield RunReason(text=text, kind="parameter", name=name, was=old, now=new)


def _environment(was: Any, now: Any) -> Iterator[str]:
    for name in dict.fromkeys([*(was or {}), *(now or {})]):
        old, new = (was or {}).get(name), (now or {}).get(name)
        if old == new:
            continue
        if name == "requirements":
            yield "the requirements changed"
        elif name == "locked":
            yield from (f"environment: {said}" for said in _locked(old, new))
        elif name == "packages":
            files = [_package_files(each or {}) for each in (old, new)]
            yield from (f"environment: {said}" for said in _files(*files))
        else:
            yield f"environment.{name} went from {old or 'none'} to {new or 'none'}"


def _locked(was: Any, now: Any) -> Iterator[str]:
    if was is None or now is None:
        yield "it is a project's now" if was is None else "it is no project's any more"
        return
    yield from _files(was["files"], now["files"])
    for name in ("groups", "extras"):
        if was[name] != now[name]:
            old, new = (", ".join(each) or "none" for each in (was[name], now[name]))
            yield f"{name} went from {old} to {new}"


def _package_files(packages: Mapping[str, Any]) -> dict[str, str]:
    """The files of all packages; of their pyproject.toml, what it says of a build."""
    found = {}
    for folder, package in packages.items():
        found[f"{folder}/pyproject.toml" if folder else "pyproject.toml"] = package["about"]
        found |= package["files"]
    return found


def _baseline(was: Any, now: Any) -> Iterator[str]:
    if now is None:
        yield "there is no baseline any more"
    elif was is None:
        yield "there is a baseline now"
    else:
        yield f"the baseline is another model ({short(was)} before, {short(now)} now)"


def _files(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    verbs = [
        *(f"{path} changed" for path in now if path in was and was[path] != now[path]),
        *(f"{path} is new" for path in now if path not in was),
        *(f"{path} is gone" for path in was if path not in now),
    ]
    yield from verbs[:MOST_FILES]
    if len(verbs) > MOST_FILES:
        yield f"and {len(verbs) - MOST_FILES} more files that it reads changed"


def _inputs(
    before: Node, node: Node, was: Mapping[str, str], now: Mapping[str, str]
) -> Iterator[RunReason]:
    for name, origin in node.inputs.items():
        old = before.inputs.get(name)
        if old is None:
            yield RunReason(text=f"the input {name} is new")
        elif (old.dataset, old.node, old.output) != (origin.dataset, origin.node, origin.output):
            yield RunReason(text=f"the input {name} is {origin} and was {old}")
        elif origin.dataset is not None and was.get(origin.dataset) != now.get(origin.dataset):
            yield _dataset(origin.dataset, was.get(origin.dataset), now.get(origin.dataset))
        elif origin.artifact != old.artifact:
            yield RunReason(text=f"the input {name} is another model")
    for name in before.inputs.keys() - node.inputs.keys():
        yield RunReason(text=f"the input {name} is gone")


def _dataset(name: str, was: str | None, now: str | None) -> RunReason:
    old = short(was or "none")
    new = short(now) if now else "a version that is not known here"
    text = f"{name} went from {old} to {new}"
    return RunReason(text=text, kind="dataset", name=name, was=old, now=new)
