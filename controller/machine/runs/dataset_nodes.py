"""PURE. Datasets that are in no bucket: nodes of the run fetch them, and other nodes read those.

A query's key is its statement and the version of its rows, so that each version is fetched once. A
`fetch` command runs in every run unless the spec says otherwise; the key of whatever reads its
output covers the content.
"""

from collections.abc import Mapping
from typing import Any

from controller.machine.runs.attempt import Attempt, Input
from controller.machine.runs.graph import From, Node, SourceTree
from controller.machine.runs.node_names import dataset_node
from controller.machine.runs.step_nodes import step_node
from specs.datasets import Query
from specs.digests import digest
from specs.model import DATA, Pipeline

DATA_OUTPUT = "data"
"""The output that is the dataset."""
VERSION = "version"
"""Of a query that has versions: the input that is the version asked for, and the output that is the
version of the rows that were read."""
QUERY_VERSION = 1
"""Part of a query's key: raise it when equal rows would be written differently."""
UNASKED = digest("not asked: a pull request's run is not given the secret")
"""In place of a version that a pull request's run may not ask the database for."""


def dataset_nodes(spec: Pipeline, source: SourceTree, names: Mapping[str, str]) -> dict[str, Node]:
    """The nodes that fetch those datasets of `names` that are in no bucket, by the datasets' names
    in the run; `names` maps names in the spec to these."""
    found = {}
    for name, called in names.items():
        dataset = spec.datasets[name]
        if dataset.query is not None:
            found[called] = _query(source, name, called, dataset.query)
        elif dataset.fetch is not None:
            found[called] = _fetch(spec, source, name, called)
    return found


def reading_from(node: Node, fetched: Mapping[str, Node]) -> Node:
    """The node, with the outputs of nodes that fetch datasets in place of the datasets."""
    inputs, given = dict(node.inputs), dict(node.attempt.inputs)
    for local, origin in node.inputs.items():
        maker = fetched.get(origin.dataset or "")
        if maker is None or maker.name == node.name:
            continue
        inputs[local] = From(node=maker.name, output=DATA_OUTPUT)
        given[local] = Input(kind="taken", digest="", name=_file_of(maker))
    if inputs == node.inputs:
        return node
    attempt = node.attempt.model_copy(update={"inputs": given})
    return node.model_copy(update={"inputs": inputs, "attempt": attempt})


def with_version_read(
    node: Node, outputs: Mapping[str, str], datasets: Mapping[str, str]
) -> dict[str, str]:
    """A run's dataset versions, with that which a query's node has read: a newer one than when the
    run began, if the database has changed since."""
    dataset = node.inputs[VERSION].dataset if VERSION in node.inputs else None
    if node.kind != "data" or dataset is None or VERSION not in outputs:
        return dict(datasets)
    return {**datasets, dataset: outputs[VERSION]}


def without_addresses(node: Node, allowed: frozenset[str]) -> Node:
    """The node, for a pull request's run, without database addresses that are not `allowed`. Its
    key is the same: rows that an earlier run has read may be reused."""
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
        name=dataset_node(called),
        kind="data",
        inputs={VERSION: From(dataset=called)} if versioned else {},
        definition={"query": QUERY_VERSION, **says},
        attempt=Attempt(
            id="",
            run="",
            node=dataset_node(called),
            program="query",
            repository=source.repository,
            commit=source.commit,
            folder=source.folder,
            inputs={VERSION: Input(kind="version", digest="", name=called)} if versioned else {},
            outputs={
                DATA_OUTPUT: f"{name}.parquet",
                **({VERSION: "version.json"} if versioned else {}),
            },
            secrets=(query.secret,),
            timeout=query.timeout.total_seconds(),
            request={"dataset": name, **says},
        ),
        stands=None if versioned else 0.0,
    )


def _fetch(spec: Pipeline, source: SourceTree, name: str, called: str) -> Node:
    node = step_node(spec, source, f"{DATA}{name}", {})
    fetch = spec.datasets[name].fetch
    folders = (DATA_OUTPUT,) if fetch is None or fetch.file is None else ()
    update = {"node": dataset_node(called), "folders": folders}
    return node.model_copy(
        update={
            "name": dataset_node(called),
            "kind": "data",
            "attempt": node.attempt.model_copy(update=update),
        }
    )


def _file_of(maker: Node) -> str:
    """The name of the dataset's one file; empty for a folder."""
    made = maker.attempt
    return "" if DATA_OUTPUT in made.folders else made.outputs[DATA_OUTPUT].rpartition("/")[2]
