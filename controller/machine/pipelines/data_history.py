"""PURE. Which earlier versions of a dataset a gate of its `checks` compares a version with.

Each such gate writes what is known of the accepted versions, its own included, as one artifact.
Only runs of the default branch say which versions are accepted. A version that was accepted is
always compared with those before it, so that its verdict comes from the cache.
"""

from collections.abc import Mapping

from controller.machine.core import Value
from controller.machine.runs.attempt import Input
from controller.machine.runs.data_gate_nodes import HISTORY
from controller.machine.runs.graph import From, Graph, Node
from controller.machine.runs.judged_data import judgements, version_of
from controller.machine.runs.node_names import data_gate, history_gate
from controller.machine.runs.run import NEW, Run

MOST_REMEMBERED = 20
"""Accepted versions of a dataset of which it is known what they were compared with."""


class RememberedVersion(Value):
    """An accepted version of a dataset."""

    version: str
    history: str
    """The artifact with what is known of the versions up to this one."""
    before: str | None = None
    """The one that its gate was given; None if no earlier version was known."""


Histories = Mapping[str, tuple[RememberedVersion, ...]]
"""By `data.origin`, the accepted versions, newest last."""


def history_for(known: tuple[RememberedVersion, ...], version: str | None) -> str | None:
    """The artifact that the gate of a version is given; None if it has nothing to compare with."""
    same = next((one for one in known if one.version == version), None)
    if same is not None:
        return same.before
    return known[-1].history if known else None


def with_histories(
    graph: Graph, histories: Histories, origins: Mapping[str, str], versions: Mapping[str, str]
) -> Graph:
    """The graph with what is known of earlier versions as an input of the gates that compare with
    them; `origins` are the `data.origin` of its datasets, `versions` what it reads of them."""
    if not histories:
        return graph

    def given(node: Node) -> Node:
        dataset = str(node.attempt.request.get("dataset", ""))
        known = histories.get(origins.get(dataset, ""), ())
        found = history_for(known, versions.get(dataset))
        if node.attempt.program != "history_gate" or found is None:
            return node
        file = Input(kind="artifact", digest="", name="history.json")
        inputs = {**node.attempt.inputs, HISTORY: file}
        attempt = node.attempt.model_copy(update={"inputs": inputs})
        own = {**node.inputs, HISTORY: From(artifact=found)}
        return node.model_copy(update={"inputs": own, "attempt": attempt})

    return graph.model_copy(update={"nodes": tuple(map(given, graph.nodes))})


def with_accepted(
    histories: Histories, run: Run, origins: Mapping[str, str]
) -> dict[str, tuple[RememberedVersion, ...]]:
    """What is remembered after a run of the default branch has ended: each version whose gates all
    passed or were overruled counts for the next one. Of datasets that the spec no longer has,
    nothing is remembered."""
    found = {where: histories[where] for where in origins.values() if where in histories}
    for name, where in origins.items():
        made = (run.nodes.get(history_gate(data_gate(name)), NEW).outputs or {}).get(HISTORY)
        version = version_of(run, name)
        if made is None or version is None or not _is_accepted(run, name):
            continue
        known = found.get(where, ())
        before = history_for(known, version)
        now = RememberedVersion(version=version, history=made, before=before)
        if any(one.version == version for one in known):
            found[where] = tuple(now if one.version == version else one for one in known)
        else:
            found[where] = (*known, now)[-MOST_REMEMBERED:]
    return found


def without(histories: Histories, dataset: str, version: str) -> Histories:
    """Without a version that is accepted no longer, so that its mended rows are not taken for rows
    that came before. One that others were compared with stays: what is known of them is known of it
    as well."""

    def left(known: tuple[RememberedVersion, ...]) -> tuple[RememberedVersion, ...]:
        return known[:-1] if known and known[-1].version == version else known

    return {
        where: left(known) if where.partition(" at ")[0] == dataset else known
        for where, known in histories.items()
    }


def _is_accepted(run: Run, dataset: str) -> bool:
    gates = judgements(run, dataset).values()
    return all(gate.verdict is not None and not run.stops(gate) for gate in gates)
