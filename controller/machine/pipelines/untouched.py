"""PURE. Whether a pipeline has to look at a commit that changes nothing that it reads."""

from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import complete_versions
from controller.machine.pipelines.pipeline import Last, PipelineState


def covering_run(pipeline: PipelineState, branch: str, code: Code) -> str | None:
    """The run whose result stands for such a commit on a branch; empty if commits start no runs.

    None if the pipeline has to look at it: a run of it is requested or in progress, its last run
    did not pass, an alert fires, or newer data is complete. `code` is its spec there.
    """
    head = pipeline.heads.get(branch)
    if head is None or code.spec is None or pipeline.specs.get(branch) != code.source.path:
        return None
    if (pipeline.repository, pipeline.gone) != (code.source.repository, None):
        return None
    if branch in pipeline.wanted or branch in pipeline.active or pipeline.alerts:
        return None
    if not code.spec.triggers.commits.enabled:
        return ""
    settled = _settled(pipeline, branch)
    run = next((one for one in settled if head in (one.commit, one.covers)), None)
    if run is None:
        return None
    complete = complete_versions(pipeline.data, code.spec, head)
    newer = any(run.datasets.get(name) != version for name, version in complete.items())
    return None if newer else run.run


def _settled(pipeline: PipelineState, branch: str) -> list[Last]:
    runs = (pipeline.last.get(branch), pipeline.passed.get(branch))
    return [one for one in runs if one is not None and one.outcome == "passed"]
