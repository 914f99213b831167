"""PURE. Datasets that no bucket holds: a run takes them itself, by nodes that others read from.

A query's node is keyed by its statement and by the version of its rows, so that these are taken
once for each. A fetch's node runs in every run unless its spec says otherwise; what reads it is
keyed by the content.
"""

from collections.abc import Mapping
from typing import Any

from controller.machine.runs.attempt import Attempt, Input
from controller.machine.runs.exam import IN_BASE
from controller.machine.runs.graph import From, Node, SourceTree
from controller.machine.runs.step_nodes import step_node
from specs.datasets import Query
from specs.digests import digest
from specs.model import DATA, Pipeline

TAKEN = "data"
"""The output that is the dataset."""
VERSION = "version"
"""The input, and the output, of a query that has versions: that which was asked for, and that of
the rows that were taken."""
QUERY_VERSION = 1
"""Part of a query's key: raise it when equal rows would be written differently."""
UNASKED = digest("not asked: a pull request's run is not given the secret")
"""Stands for the version of a query that must not be asked for."""


def data_nodes(spec: Pipeline, source: SourceTree, names: Mapping[str, str]) -> dict[str, Node]:
    """What takes the datasets of `names` that no bucket holds, by what they are called in the run;
    `names` has that by their names in the spec."""
    found = {}
    for name, called in names.items():
        dataset = spec.datasets[name]
        if dataset.query is not None:
            found[called] = _query(source, name, called, dataset.query)
        elif dataset.fetch is not None:
            found[called] = _fetch(spec, source, name, called)
    return found


def read_from(node: Node, taken: Mapping[str, Node]) -> Node:
    """The node, reading what was taken in place of the datasets themselves."""
    inputs, given = dict(node.inputs), dict(node.attempt.inputs)
    for local, origin in node.inputs.items():
        maker = taken.get(origin.dataset or "")
        if maker is None or maker.name == node.name:
            continue
        inputs[local] = From(node=maker.name, output=TAKEN)
        given[local] = Input(kind="taken", digest="", name=_file_of(maker))
    if inputs == node.inputs:
        return node
    attempt = node.attempt.model_copy(update={"inputs": given})
    return node.model_copy(update={"inputs": inputs, "attempt": attempt})


def moved(node: Node, outputs: Mapping[str, str], datasets: Mapping[str, str]) -> dict[str, str]:
    """The versions of a run's datasets, once a query's node has told which rows it took: newer ones
    than were there when the run began, if the database moved on meanwhile."""
    dataset = node.inputs[VERSION].dataset if VERSION in node.inputs else None
    if node.kind != "data" or dataset is None or VERSION not in outputs:
        return dict(datasets)
    return {**datasets, dataset: outputs[VERSION]}


def without_addresses(node: Node, allowed: frozenset[str]) -> Node:
    """The node of a pull request's run, which is given no other secrets than the `allowed` ones.
    Its key is the same: rows that were taken before may be read."""
    secrets = node.attempt.secrets
    if node.attempt.program != "query" or allowed.issuperset(secrets):
        return node
    said = (
        f"the rows of {node.attempt.request['dataset']} at this version were not taken before, and "
        f"a run of a pull request is not given the secret {secrets[0]}: name it under "
        "`triggers.pull_requests.secrets` on its base and on the default branch (a fork's run "
        "never gets one)"
    )
    request = {**node.attempt.request, "denied": said}
    attempt = node.attempt.model_copy(update={"secrets": (), "request": request})
    return node.model_copy(update={"attempt": attempt})


def _query(source: SourceTree, name: str, called: str, query: Query) -> Node:
    versioned = query.version is not None
    says: dict[str, Any] = {"url": query.url, "sql": query.sql, "version": query.version}
    return Node(
        name=node_of(called),
        kind="data",
        inputs={VERSION: From(dataset=called)} if versioned else {},
        definition={"query": QUERY_VERSION, **says},
        attempt=Attempt(
            id="",
            run="",
            node=node_of(called),
            program="query",
            repository=source.repository,
            commit=source.commit,
            folder=source.folder,
            inputs={VERSION: Input(kind="version", digest="", name=called)} if versioned else {},
            outputs={
                TAKEN: f"{name}.parquet",
                **({VERSION: "version.json"} if versioned else {}),
            },
            secrets=(query.secret,),
            timeout=query.timeout.total_seconds(),
            request={"dataset": name, **says},
        ),
        optional=called.startswith(IN_BASE),
        stands=None if versioned else 0.0,
    )


def _fetch(spec: Pipeline, source: SourceTree, name: str, called: str) -> Node:
    node = step_node(spec, source, f"{DATA}{name}", {})
    fetch = spec.datasets[name].fetch
    folders = (TAKEN,) if fetch is None or fetch.file is None else ()
    update = {"node": node_of(called), "folders": folders}
    return node.model_copy(
        update={
            "name": node_of(called),
            "kind": "data",
            "attempt": node.attempt.model_copy(update=update),
            "optional": called.startswith(IN_BASE),
        }
    )


def node_of(called: str) -> str:
    """The node that takes a dataset: `data.orders`, `base.data.orders`."""
    base = IN_BASE if called.startswith(IN_BASE) else ""
    return f"{base}{DATA}{called.removeprefix(IN_BASE)}"


def _file_of(maker: Node) -> str:
    """The name of the one file that is taken; empty for a folder."""
    made = maker.attempt
    return "" if TAKEN in made.folders else made.outputs[TAKEN].rpartition("/")[2]
