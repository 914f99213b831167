"""PURE. Starts the requested runs of a pipeline, or reports on their commits why not."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from controller.machine.core import Action, Envelope, Fact, Key
from controller.machine.messages import StartRun
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import (
    DatasetListing,
    complete_versions,
    missing,
    origins,
    place,
    versioned,
)
from controller.machine.pipelines.data_history import with_histories
from controller.machine.pipelines.failing_data import (
    Judging,
    describe,
    fallbacks,
    print_of,
    that_apply,
)
from controller.machine.pipelines.pipeline import (
    Last,
    ObservedPipeline,
    PipelineContext,
    PipelineState,
    Wanted,
    drop_first,
    report,
    report_waiting,
)
from controller.machine.pipelines.trust import (
    RunTerms,
    denied_queries,
    graph_of,
    rules_in_force,
    rules_of,
    secrets_for_pulls,
)
from controller.machine.repositories.pull import scope_of
from controller.machine.runs import exam
from controller.machine.runs.data_exceptions import AcceptedVersion, Fallback
from controller.machine.runs.dataset_nodes import UNASKED
from controller.machine.runs.graph import Graph, SourceTree
from controller.machine.runs.graph_builder import build
from controller.machine.runs.node_names import of_base
from controller.machine.runs.run import Run
from specs.model import Pipeline as Spec

PATIENCE = 86_400.0
"""Seconds after which a run that waits for its data is abandoned."""
SETTLED = ("running", "passed", "stopped")
"""Outcomes that count for later commits that read the same. A failed run is tried again."""


def start(
    pipeline: PipelineState, branch: str, context: PipelineContext
) -> tuple[PipelineState, str | None]:
    """Start the first requested run of a branch, or report on its commit why there is none.

    The second value is what the run waits for, if it could not be started yet.
    """
    wanted = pipeline.wanted[branch]
    code = context.observed.code.get(wanted.commit)
    if code is None:
        return pipeline, None  # it is observed in the next reconcile
    none = report_refusal(pipeline, branch, code, context.observed)
    if none is not None or code.spec is None:
        context.out.actions += [none] if none else []
        return drop_first(pipeline, branch), None
    ready = prepare(pipeline, branch, code.spec, code.source, context.observed)
    if ready.waits_for:
        return _wait(pipeline, branch, ready.waits_for, context)
    falls_back = bool(ready.fallbacks)
    last = equivalent_run(pipeline, branch, ready.fingerprint, falls_back=falls_back)
    again = last is not None and _is_stale(wanted, ready.graph, last, context.now)
    if last is not None and not wanted.force and not again:
        context.out.actions += _covered(pipeline, branch, ready, last)
        if last.commit != wanted.commit:
            pipeline = _note_covered(pipeline, branch, last.run, wanted.commit)
        return drop_first(_note_taken(pipeline, branch, ready), branch), None
    return _begin_run(pipeline, branch, wanted, ready, context), None


class ReadyRun(NamedTuple):
    """A run of a commit as it would be started now; `waits_for` says what keeps it from that."""

    graph: Graph
    datasets: Mapping[str, str]
    places: Mapping[str, str]
    """By dataset, its `data.place`."""
    waits_for: str | None
    fallbacks: tuple[Fallback, ...] = ()
    """The datasets that it reads at their last good version."""
    accepted: tuple[AcceptedVersion, ...] = ()
    """All accepted versions of the pipeline's datasets."""

    @property
    def fingerprint(self) -> str:
        return print_of(self.graph, self.datasets, self.accepted)

    @property
    def accepted_versions(self) -> tuple[AcceptedVersion, ...]:
        """The accepted versions that it reads."""
        return that_apply(self.accepted, self.graph, self.datasets)

    @property
    def newest(self) -> Mapping[str, str]:
        """The newest complete versions, also of datasets that it reads at an older one."""
        return {**self.datasets, **{one.dataset: one.failed for one in self.fallbacks}}


def report_refusal(
    pipeline: PipelineState, branch: str, code: Code, observed: ObservedPipeline
) -> Action | None:
    """The report on a requested commit that may not run at all; None if it may."""
    if code.spec is None:
        return _report_invalid(pipeline, branch, pipeline.wanted[branch], code)
    terms = terms_of(pipeline, branch, observed)
    return _refusal(pipeline, branch, code.spec, terms, observed)


def prepare(
    pipeline: PipelineState, branch: str, spec: Spec, source: SourceTree, observed: ObservedPipeline
) -> ReadyRun:
    """The run of a commit on the newest complete data."""
    commit = source.commit
    terms = terms_of(pipeline, branch, observed)
    barred = denied_queries(spec, terms)
    listings = observed.listings.get(commit, {})
    waits_for = missing(pipeline.data, spec, commit, listings, barred)
    datasets = complete_versions(pipeline.data, spec, commit)
    replaced = fallbacks(pipeline, spec, _judging(spec, source, terms), datasets)
    datasets |= {one.dataset: one.version for one in replaced}
    datasets |= {n: UNASKED for n in versioned(spec) if n in barred and n not in datasets}
    places = {name: place(spec, name, commit) for name in spec.datasets}
    exceptions = replaced, pipeline.accepted_versions
    if terms is None:
        graph = _compared(build(spec, source, observed.baseline), pipeline, spec, datasets)
        return ReadyRun(graph, datasets, places, waits_for, *exceptions)
    if not waits_for:
        terms, besides, waits_for = _base_data(pipeline, spec, source, terms, observed)
        datasets |= besides
    graph = graph_of(spec, source, observed.baseline, terms)
    graph = _compared(graph, pipeline, spec, datasets)
    return ReadyRun(graph, datasets, places, waits_for, *exceptions)


def _compared(
    graph: Graph, pipeline: PipelineState, spec: Spec, versions: Mapping[str, str]
) -> Graph:
    """The graph with what its gates compare versions with."""
    return with_histories(graph, pipeline.histories, origins(spec), versions)


def _judging(spec: Spec, source: SourceTree, terms: RunTerms | None) -> Judging:
    """The rules that judge a run's data: of a pull request, those of its base."""
    rules = rules_in_force(terms) if terms else None
    return Judging(rules.spec, rules.source) if rules else Judging(spec, source)


def _covered(pipeline: PipelineState, branch: str, ready: ReadyRun, last: Last) -> Iterator[Action]:
    """The report on a requested commit that needs no run, as an earlier one covers it."""
    commit, newest = pipeline.wanted[branch].commit, pipeline.last.get(branch)
    same = f"nothing it reads has changed since {last.run} ({last.outcome})"
    title = "; ".join(filter(None, (describe(ready.fallbacks), same)))
    stopped = any(newest and newest.run == one.run for one in ready.fallbacks)
    if stopped and newest is not None and newest.commit == commit:
        # On the run that the gate stopped: its report has the evidence, and stays.
        yield report(pipeline, branch, commit, "skipped", f"nothing to run: {title}", newest.run)
    elif last.commit != commit:
        yield report(pipeline, branch, commit, "skipped", f"nothing to run: {title}", last.run)


def equivalent_run(
    pipeline: PipelineState, branch: str, print_: str, *, falls_back: bool = False
) -> Last | None:
    """A run with that fingerprint whose result counts for the new commit as well: the branch's
    last, or its last that passed; for a merge group also the last run of a pull request into the
    same base, once that has ended."""
    # A firing alert is resolved only by a new run that passes, even if all of it is cached. A run
    # on the last good data would not resolve it: the newest still fails.
    unheard = pipeline.alerts and not falls_back
    passed = None if unheard else pipeline.passed.get(branch)
    for one in (pipeline.last.get(branch), passed):
        if one and one.fingerprint == print_ and one.outcome in SETTLED:
            return one
    group = pipeline.pulls.get(branch)
    if group is None or not group.queued:
        return None
    others = (
        pipeline.last[name]
        for name, pull in pipeline.pulls.items()
        if name in pipeline.last and pull.base == group.base
    )
    settled = [one for one in others if one.outcome in ("passed", "stopped")]
    return next((one for one in settled if one.fingerprint == print_), None)


def _is_stale(wanted: Wanted, graph: Graph, last: Last, now: float) -> bool:
    """Whether results of the last run have expired, so that an explicitly requested run could end
    differently although nothing it reads has changed."""
    if not wanted.asked or all(node.stands is None for node in graph.nodes):
        return False
    return last.stale_at is None or now >= last.stale_at


def terms_of(pipeline: PipelineState, branch: str, observed: ObservedPipeline) -> RunTerms | None:
    """The terms of a pull request's run; None for a branch, which is judged by its own rules."""
    pull = pipeline.pulls.get(branch)
    if pull is None:
        return None
    head = observed.code.get(pipeline.heads.get(pipeline.default_branch, ""))
    return RunTerms(
        rules=rules_of(observed.rules.get(branch), pull.base),
        fork=pull.fork,
        accepted=_accepted_by(pipeline, branch) != "",
        marked=secrets_for_pulls(pull.base, pipeline.default_branch, head),
    )


def _accepted_by(pipeline: PipelineState, branch: str) -> str:
    """Who accepted that the head is judged by its own rules; empty if nobody did."""
    accepted = pipeline.accepted.get(branch)
    return accepted.by if accepted and accepted.commit == pipeline.heads.get(branch) else ""


def _refusal(
    pipeline: PipelineState,
    branch: str,
    spec: Spec,
    terms: RunTerms | None,
    observed: ObservedPipeline,
) -> Action | None:
    """The report on a commit with a valid spec that may not run; None if it may."""
    wanted = pipeline.wanted[branch]
    if terms is None:
        if wanted.asked or spec.triggers.commits.enabled:
            return None
        title = "nothing to run: triggers.commits is off"
        return report(pipeline, branch, wanted.commit, "skipped", title)
    if terms.fork and not observed.confined and any(_on_this_machine(spec)):
        steps = ", ".join(_on_this_machine(spec))
        title = "not run: steps of a fork would not be confined on the controller's machine"
        text = (
            f"These steps would run as the controller's user, who can read its secrets: {steps}. "
            "Install bubblewrap there, give the steps an `image`, or allow it with `untrusted: "
            "anywhere` in the controller's settings."
        )
        return report(pipeline, branch, wanted.commit, "held", title, text=text)
    says = (
        terms.rules.spec if terms.rules else spec
    )  # a pull request cannot switch off its own check
    if wanted.asked or terms.accepted or says.triggers.pull_requests.enabled:
        return None
    title = "not judged: triggers.pull_requests is off; `/headgate run` judges it"
    text = "A check that judged nothing must not let a model through, so this one stays open."
    return report(pipeline, branch, wanted.commit, "held", title, text=text)


def _on_this_machine(spec: Spec) -> list[str]:
    """The steps that run as local processes, not in containers."""
    return [name for name in spec.commands if spec.executor_of(name) == "local"]


def _base_data(
    pipeline: PipelineState,
    spec: Spec,
    source: SourceTree,
    terms: RunTerms,
    observed: ObservedPipeline,
) -> tuple[RunTerms, dict[str, str], str | None]:
    """The data that the base's evaluation reads and the pull request's spec no longer has.

    Returns the terms, with what is unavailable; the versions, by their names in the run; and what
    the run waits for, if anything.
    """
    rules = rules_in_force(terms)
    if rules is None or terms.rules is None:
        return terms, {}, None
    commit = rules.source.commit
    known = complete_versions(pipeline.data, rules.spec, commit)
    found, lacking = {}, {}
    for name in exam.lacks(spec, source, rules):
        if not rules.spec.datasets[name].is_versioned:
            continue
        listing = observed.listings.get(commit, {}).get(name, DatasetListing())
        if name in known:
            found[of_base(name)] = known[name]
        elif listing.problem is not None and listing.waits is None:
            lacking[name] = listing.problem
        else:
            return terms, {}, listing.problem or f"dataset {name} of {rules.branch} to be complete"
    rules = terms.rules.model_copy(update={"lacking": lacking})
    return terms.model_copy(update={"rules": rules}), found, None


def _wait(
    pipeline: PipelineState, branch: str, waits_for: str, context: PipelineContext
) -> tuple[PipelineState, str | None]:
    """Report once on the commit what its run waits for; give up after `PATIENCE`."""
    wanted = pipeline.wanted[branch]
    if context.now - wanted.at > PATIENCE:
        title = f"gave up after a day (waited for: {waits_for}); `headgate trigger` tries again"
        context.out.actions.append(report(pipeline, branch, wanted.commit, "cancelled", title))
        return drop_first(pipeline, branch), None
    return report_waiting(pipeline, branch, waits_for, context.out), waits_for


def _begin_run(
    pipeline: PipelineState, branch: str, wanted: Wanted, ready: ReadyRun, context: PipelineContext
) -> PipelineState:
    number = pipeline.runs + 1
    pull = pipeline.pulls.get(branch)
    source = context.observed.code[wanted.commit].source
    print_ = ready.fingerprint
    run = Run(
        id=f"{pipeline.name}-{number}",
        number=number,
        pipeline=pipeline.name,
        repository=pipeline.repository,
        commit=wanted.commit,
        branch=branch,
        folder=source.folder,
        file=source.file,
        trigger=wanted.trigger,
        datasets=ready.datasets,
        fingerprint=print_,
        baseline=context.observed.baseline.version if context.observed.baseline else None,
        pull=pull.told if pull else None,
        base=pull.base_commit if pull else None,
        scope=scope_of(branch, pull, pipeline.default_branch),
        accepted=_accepted_by(pipeline, branch),
        accepted_versions=ready.accepted_versions,
        fallbacks=ready.fallbacks,
        fresh=wanted.fresh,
        releases=branch == pipeline.default_branch,
        created=context.now,
    )
    context.out.facts.append(
        Fact(key=Key("graph", run.id), body=ready.graph.model_dump(mode="json"))
    )
    context.out.messages.append(
        Envelope(to=Key("run", run.id), id=f"start/{run.id}", message=StartRun(run=run))
    )
    last = Last(
        run=run.id,
        commit=wanted.commit,
        fingerprint=print_,
        datasets=ready.datasets,
        places=ready.places,
    )
    pipeline = pipeline.model_copy(
        update={
            "runs": number,
            "active": {**pipeline.active, branch: run.id},
            "last": {**pipeline.last, branch: last},
        }
    )
    return drop_first(_note_taken(pipeline, branch, ready), branch)


def _note_taken(pipeline: PipelineState, branch: str, ready: ReadyRun) -> PipelineState:
    if branch != pipeline.default_branch:
        return pipeline
    return pipeline.model_copy(update={"taken": dict(ready.newest)})


def _note_covered(pipeline: PipelineState, branch: str, run: str, commit: str) -> PipelineState:
    """Note that the run covers a newer commit: see `untouched.covering_run`."""

    def noted(of: Mapping[str, Last]) -> dict[str, Last]:
        one = of.get(branch)
        if one is None or one.run != run:
            return {**of}
        return {**of, branch: one.model_copy(update={"covers": commit})}

    update = {"last": noted(pipeline.last), "passed": noted(pipeline.passed)}
    return pipeline.model_copy(update=update)


def _report_invalid(pipeline: PipelineState, branch: str, wanted: Wanted, code: Code) -> Action:
    count = code.problem_count
    title = f"the spec is invalid: {count} problem{'s' if count != 1 else ''}"
    said = report(pipeline, branch, wanted.commit, "invalid", title, text=code.problems)
    return said.model_copy(update={"problems": code.found})
