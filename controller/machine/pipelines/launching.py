"""PURE. Starts the runs that a pipeline wants, or says on their commits why there is none."""

from collections.abc import Iterable, Mapping

from controller.machine.core import Action, Fact, Key, Message
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import missing, versions
from controller.machine.pipelines.pipeline import (
    Last,
    Observed,
    Out,
    Pipeline,
    Wanted,
    forget,
    report,
)
from controller.machine.pipelines.untrusted import graph_of, rules_of
from controller.machine.runs.building import build
from controller.machine.runs.graph import Graph, fingerprint
from controller.machine.runs.run import Run

PATIENCE = 86_400.0
"""Seconds after which a run that waits for its data is given up."""
SETTLED = ("running", "passed", "stopped")
"""Outcomes that stand for all commits that read the same; a step that failed is tried again."""


def start(
    pipeline: Pipeline, branch: str, observed: Observed, out: Out, now: float
) -> tuple[Pipeline, str | None]:
    """Start the wanted run of a branch, or say on its commit why there is none; or what it
    waits for."""
    wanted = pipeline.wanted[branch]
    code = observed.code.get(wanted.commit)
    if code is None:
        return pipeline, None  # the next observation has its code
    if code.spec is None:
        out.actions.extend(_invalid(pipeline, branch, wanted, code))
        return forget(pipeline, branch), None
    pull = pipeline.pulls.get(branch)
    rules = rules_of(observed.code.get(pull.base_commit)) if pull else None
    trigger = "pull_requests" if pull else "commits"
    says = rules.spec if rules else code.spec  # a pull request cannot switch its own judge off
    if not wanted.asked and not getattr(says.triggers, trigger).enabled:
        title = f"nothing to run: triggers.{trigger} is off"
        out.actions.append(report(pipeline, branch, wanted.commit, "skipped", title))
        return forget(pipeline, branch), None
    listings = observed.listings.get(wanted.commit, {})
    waits_for = missing(pipeline.data, code.spec, wanted.commit, listings)
    if waits_for:
        return _wait(pipeline, branch, waits_for, out, now)
    datasets = versions(pipeline.data, code.spec, wanted.commit)
    if pull:
        graph = graph_of(code.spec, code.source, observed.baseline, rules, fork=pull.fork)
    else:
        graph = build(code.spec, code.source, observed.baseline)
    print_ = fingerprint(graph, datasets)
    last = pipeline.last.get(branch)
    if last and last.fingerprint == print_ and last.outcome in SETTLED and not wanted.force:
        if last.commit != wanted.commit:
            title = f"nothing to run: all that it reads is as in {last.run} ({last.outcome})"
            out.actions.append(report(pipeline, branch, wanted.commit, "skipped", title, last.run))
        return forget(_took(pipeline, branch, datasets), branch), None
    return _begin_run(pipeline, branch, wanted, graph, datasets, print_, observed, out, now), None


def _wait(
    pipeline: Pipeline, branch: str, waits_for: str, out: Out, now: float
) -> tuple[Pipeline, str | None]:
    """Say once on the commit what its run waits for, and give up after a day."""
    wanted = pipeline.wanted[branch]
    if now - wanted.at > PATIENCE:
        title = f"gave up after a day without this: {waits_for}; `headgate trigger` asks again"
        out.actions.append(report(pipeline, branch, wanted.commit, "cancelled", title))
        return forget(pipeline, branch), None
    if wanted.told != waits_for:
        title = f"waits: {waits_for}"
        out.actions.append(report(pipeline, branch, wanted.commit, "running", title))
        told = wanted.model_copy(update={"told": waits_for})
        pipeline = pipeline.model_copy(update={"wanted": {**pipeline.wanted, branch: told}})
    return pipeline, waits_for


def _begin_run(
    pipeline: Pipeline,
    branch: str,
    wanted: Wanted,
    graph: Graph,
    datasets: Mapping[str, str],
    print_: str,
    observed: Observed,
    out: Out,
    now: float,
) -> Pipeline:
    number = pipeline.runs + 1
    pull = pipeline.pulls.get(branch)
    run = Run(
        id=f"{pipeline.name}-{number}",
        number=number,
        pipeline=pipeline.name,
        repository=pipeline.repository,
        commit=wanted.commit,
        branch=branch,
        folder=pipeline.folders[branch],
        trigger=wanted.trigger,
        datasets=datasets,
        fingerprint=print_,
        baseline=observed.baseline.version if observed.baseline else None,
        pull=pull.number if pull else None,
        base=pull.base_commit if pull else None,
        releases=branch == pipeline.default_branch,
        created=now,
    )
    out.facts.append(Fact(key=Key("graph", run.id), body=graph.model_dump(mode="json")))
    out.messages.append(
        Message(
            to=Key("run", run.id),
            id=f"start/{run.id}",
            type="start",
            body=run.model_dump(mode="json"),
        )
    )
    last = Last(run=run.id, commit=wanted.commit, fingerprint=print_)
    pipeline = pipeline.model_copy(
        update={
            "runs": number,
            "active": {**pipeline.active, branch: run.id},
            "last": {**pipeline.last, branch: last},
        }
    )
    return forget(_took(pipeline, branch, datasets), branch)


def _took(pipeline: Pipeline, branch: str, datasets: Mapping[str, str]) -> Pipeline:
    if branch != pipeline.default_branch:
        return pipeline
    return pipeline.model_copy(update={"taken": dict(datasets)})


def _invalid(pipeline: Pipeline, branch: str, wanted: Wanted, code: Code) -> Iterable[Action]:
    count = code.problem_count
    title = f"the spec is invalid: {count} problem{'s' if count != 1 else ''}"
    said = report(pipeline, branch, wanted.commit, "invalid", title, text=code.problems)
    yield said.model_copy(update={"problems": code.found})
