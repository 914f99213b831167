"""PURE. Which versions of which datasets the gates of a run have judged."""

from collections.abc import Iterator
from typing import NamedTuple

from controller.machine.runs.data_exceptions import ACCEPTABLE
from controller.machine.runs.dataset_nodes import DATA_OUTPUT
from controller.machine.runs.node_names import dataset_node, dataset_of_gate
from controller.machine.runs.run import NEW, Run


class StoppedData(NamedTuple):
    """A dataset version that stopped a run, and that a person may accept."""

    dataset: str
    version: str


def version_of(run: Run, dataset: str) -> str | None:
    """The version that a run reads: of fetched data, the digest of what it fetched."""
    made = run.nodes.get(dataset_node(dataset), NEW).outputs or {}
    return run.datasets.get(dataset) or made.get(DATA_OUTPUT)


def stopped_data(run: Run) -> Iterator[StoppedData]:
    """The versions that stopped a run of the default branch; none if anything else did."""
    stops = {name: node for name, node in run.nodes.items() if run.stops(node)}
    datasets = {name: dataset_of_gate(name) for name in stops}
    if not run.releases or not all(datasets.values()):
        return
    for name, node in stops.items():
        dataset = datasets[name] or ""
        version = version_of(run, dataset)
        if version is not None and node.verdict in ACCEPTABLE:
            yield StoppedData(dataset, version)
