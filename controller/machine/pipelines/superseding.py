"""PURE. What a newer commit of a branch means for the run in progress and for waiting requests."""

from controller.machine.core import Envelope, Key
from controller.machine.decision_builder import DecisionBuilder
from controller.machine.messages import CancelRun
from controller.machine.pipelines.launching import ReadyRun, prepare, report_refusal
from controller.machine.pipelines.pipeline import (
    Last,
    PipelineContext,
    PipelineState,
    drop_first,
    queue_of,
    report,
    report_waiting,
    with_queue,
)
from specs.model import Pipeline as Spec


def trim_queue(pipeline: PipelineState, branch: str, context: PipelineContext) -> PipelineState:
    """Keep only the newest request of a branch, unless its spec says `supersede: queue`. The others
    are reported as superseded."""
    line = queue_of(pipeline, branch)
    if len(line) < 2:
        return pipeline
    specs = [
        code.spec for one in line if (code := context.observed.code.get(one.commit)) and code.spec
    ]
    if branch not in pipeline.pulls and specs and _queues(specs[-1]):
        return _report_queue(pipeline, branch, context.out)
    newest, older = line[-1], line[:-1]
    for one in older:
        if one.commit != newest.commit:
            title = f"superseded by {newest.commit[:12]}"
            context.out.actions.append(report(pipeline, branch, one.commit, "cancelled", title))
    flags = {name: any(getattr(one, name) for one in line) for name in ("force", "asked")}
    return with_queue(pipeline, branch, (newest.model_copy(update=flags),))


def _queues(spec: Spec) -> bool:
    return spec.triggers.commits.supersede == "queue"


def _report_queue(pipeline: PipelineState, branch: str, out: DecisionBuilder) -> PipelineState:
    """Report once on each queued commit that it waits."""
    first, *behind = queue_of(pipeline, branch)
    knows = []
    for one in behind:
        if one.told is None:
            waits_for = "its turn: `triggers.commits.supersede` is `queue`"
            title = f"waits: {waits_for}"
            out.actions.append(report(pipeline, branch, one.commit, "running", title))
            one = one.model_copy(update={"told": waits_for})  # noqa: PLW2901
        knows.append(one)
    return with_queue(pipeline, branch, (first, *knows))


def supersede_active(
    pipeline: PipelineState, branch: str, context: PipelineContext
) -> PipelineState:
    """Compare the first request of a branch with the run in progress: a commit that changes what it
    reads cancels it, and one that does not is reported as covered by it."""
    wanted, last = pipeline.wanted[branch], pipeline.last.get(branch)
    code = context.observed.code.get(wanted.commit)
    if code is None or last is None or last.run != pipeline.active[branch] or last.superseded:
        return pipeline
    if wanted.commit == last.commit:
        return pipeline if wanted.asked else drop_first(pipeline, branch)
    none = report_refusal(pipeline, branch, code, context.observed)
    if none is not None or code.spec is None:
        context.out.actions += [none] if none else []
        if code.spec is None and branch != pipeline.default_branch:
            # On the default branch, the run is of the last valid spec and continues.
            pipeline = cancel_active(
                pipeline, branch, f"superseded by commit {wanted.commit[:12]}", context.out
            )
        return drop_first(pipeline, branch)
    ready = prepare(pipeline, branch, code.spec, code.source, context.observed)
    if not wanted.force and _is_equivalent(ready, last):
        said = f"{last.run} is running and covers it, as nothing it reads has changed"
        return report_waiting(pipeline, branch, said, context.out)
    pull = branch in pipeline.pulls
    if (pull or code.spec.triggers.commits.enabled) and (pull or not _queues(code.spec)):
        return cancel_active(
            pipeline, branch, f"superseded by commit {wanted.commit[:12]}", context.out
        )
    return report_waiting(pipeline, branch, f"{last.run} to end", context.out)


def _is_equivalent(ready: ReadyRun, last: Last) -> bool:
    """Whether a run of the commit would read the same as the last run. New versions of its datasets
    do not count, as the commit did not cause them."""
    if ready.waits_for:
        return False
    as_read = {
        name: last.datasets.get(name, version)
        if last.places.get(name) == ready.places.get(name)
        else version
        for name, version in ready.datasets.items()
    }
    return ready._replace(datasets=as_read).fingerprint == last.fingerprint


def cancel_active(
    pipeline: PipelineState, branch: str, reason: str, out: DecisionBuilder
) -> PipelineState:
    """Cancel the run in progress on a branch in favour of the first request."""
    run, commit = pipeline.active[branch], pipeline.heads.get(branch, "")
    out.messages.append(cancel_message(run, reason, f"superseded/{commit}/{pipeline.runs}"))
    last = pipeline.last.get(branch)
    if last is None or last.run != run:
        return pipeline
    ended = last.model_copy(update={"superseded": True})
    return pipeline.model_copy(update={"last": {**pipeline.last, branch: ended}})


def cancel_message(run: str, reason: str, id_: str) -> Envelope:
    """Asks a run to stop."""
    message = CancelRun(reason=reason)
    return Envelope(to=Key("run", run), id=f"cancel/{run}/{id_}", message=message)
