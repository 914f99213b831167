"""A run of what a checkout has, as a pipeline asks for it, for loops that reconcile runs only."""

import time

from controller.machine.core import Envelope, Fact, Key
from controller.machine.messages import StartRun
from controller.machine.runs.graph import fingerprint
from controller.machine.runs.graph_builder import build
from controller.machine.runs.run import Run, Trigger
from controller.planning.checkout import Checkout, commit_of, files_at, source_of, spec_at
from controller.store.protocol import Transaction
from controller.wiring.local_run import REPOSITORY


def asked_run(checkout: Checkout, number: int) -> tuple[Run, Transaction]:
    """The run `chain-NUMBER` of the checkout's head, and what is saved to start it."""
    sha = commit_of(checkout, "HEAD")
    files = files_at(checkout, sha)
    loaded = spec_at(checkout, sha, files)
    assert loaded is not None
    assert loaded.pipeline is not None
    source = source_of(checkout, REPOSITORY, sha, files)
    graph = build(loaded.pipeline, source.model_copy(update={"repository": REPOSITORY}))
    run = Run(
        id=f"chain-{number}",
        number=number,
        pipeline="chain",
        repository=REPOSITORY,
        commit=sha,
        branch="main",
        folder="",
        trigger=Trigger(kind="manual", why="asked for"),
        datasets={},
        fingerprint=fingerprint(graph, {}),
        created=time.time(),
    )
    start = Envelope(to=Key("run", run.id), id="start", message=StartRun(run=run))
    plan = Fact(key=Key("graph", run.id), body=graph.model_dump(mode="json"))
    return run, Transaction(facts=(plan,), send=(start,))
