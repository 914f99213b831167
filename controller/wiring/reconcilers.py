"""The reconcilers: for each kind of object its state, observer, machine and message handlers."""

from collections.abc import Mapping, Sequence
from typing import Any

from controller.machine import stall as stall_machine
from controller.machine.environments import promotion
from controller.machine.environments.environment import EnvironmentState, ObservedEnvironment
from controller.machine.handlers import HANDLERS
from controller.machine.pipelines import triggering
from controller.machine.pipelines.pipeline import ObservedPipeline, PipelineState
from controller.machine.repositories import noticing
from controller.machine.repositories.repository import ObservedRepository, RepositoryState
from controller.machine.runs import execution
from controller.machine.runs.run import ObservedRun, Run
from controller.machine.stall import ObservedStall, Stall
from controller.reconcile.reconciler import Observer, Reconciler
from controller.reconcile.resting import WatchedOnly


def repositories(
    observer: Observer[RepositoryState, ObservedRepository],
) -> Reconciler[RepositoryState, ObservedRepository]:
    """Repositories."""
    return Reconciler(
        RepositoryState,
        observer,
        lambda key, state, observed, _inbox, _now: noticing.decide(key.name, state, observed),
        HANDLERS["repository"],
    )


def runs(observer: Observer[Run, ObservedRun]) -> Reconciler[Run, ObservedRun]:
    """Runs."""
    return Reconciler(
        Run,
        observer,
        lambda _, state, observed, inbox, now: execution.decide(state, observed, inbox, now),
        HANDLERS["run"],
    )


def environments(
    observer: Observer[EnvironmentState, ObservedEnvironment],
) -> Reconciler[EnvironmentState, ObservedEnvironment]:
    """Environments."""
    return Reconciler(
        EnvironmentState,
        observer,
        lambda _, state, observed, inbox, now: promotion.decide(state, observed, inbox, now),
        HANDLERS["environment"],
    )


def stalls(observer: Observer[Stall, ObservedStall]) -> Reconciler[Stall, ObservedStall]:
    """Stalls: objects that make no progress."""
    return Reconciler(
        Stall,
        observer,
        lambda key, state, observed, inbox, _: stall_machine.decide(
            key.name, state, observed, inbox
        ),
        HANDLERS["stall"],
    )


def everything(
    repository: Observer[RepositoryState, ObservedRepository],
    pipeline: Observer[PipelineState, ObservedPipeline],
    run: Observer[Run, ObservedRun],
    environment: Observer[EnvironmentState, ObservedEnvironment],
    stall: Observer[Stall, ObservedStall],
    watched: Sequence[str],
) -> Mapping[str, Reconciler[Any, Any]]:
    """All kinds of objects. Those of repositories that are not `watched` are not reconciled."""
    return {
        "repository": repositories(WatchedOnly(repository, watched)),
        "pipeline": Reconciler(
            PipelineState,
            WatchedOnly(pipeline, watched),
            lambda _, state, observed, inbox, now: triggering.decide(state, observed, inbox, now),
            HANDLERS["pipeline"],
            patient=True,
        ),
        "run": runs(WatchedOnly(run, watched)),
        "environment": environments(WatchedOnly(environment, watched)),
        "stall": stalls(stall),
    }
