"""PURE. Batch releases: when the command runs, for which version, and who hears of its end.

In staging it is the test of a rollout: it has to end with 0. In production it runs for the version
that the environments branch names, each time that becomes another, and by its schedule. A failure
there takes nothing back: the version passed staging, and data or a table may be to blame. It is
told, and `headgate retry` runs it again; so it does a job that ended well.
"""

from controller.machine import batch_incidents
from controller.machine.actions import CancelAttempt, StartBatch
from controller.machine.environments.alerts import over, tell
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    moved,
)
from controller.machine.environments.job import BATCH, BatchJob, command_of
from controller.machine.environments.rollout import Rollout
from controller.machine.incidents import ended
from controller.machine.pipelines.version import Ref
from controller.machine.runs.attempt import AttemptState
from controller.machine.words import fit
from validators.report import Check, Report
from validators.verdict import Verdict

BLAMELESS = (AttemptState.LOST, AttemptState.DATA_CHANGED)
"""What ends an attempt and says nothing of the command."""
MOST_TRIES = 3


def look(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Stop a job that nobody wants; start one that is due."""
    job, stable = env.job, env.stable
    if job is not None and job.open and not _is_wanted(env, job):
        context.out.actions.append(CancelAttempt(attempt=job.id))
        said = f"{job.version} is not what {env.name} points to any more"
        env = _with(env, job.model_copy(update={"ended": context.now, "failed": said}))
        job = env.job
    version = context.observed.versions.get(stable.version) if stable is not None else None
    if env.name != "production" or not env.points or stable is None or version is None:
        return env
    if not command_of(version.spec) or (job is not None and job.open):
        return env
    if job is None or job.version != stable:
        return start(env, stable, f"{env.name} points to {stable}", context)
    if context.observed.due is not None and context.observed.due > job.asked:
        return start(env, stable, "its schedule", context)
    return env


def try_out(
    env: EnvironmentState, rollout: Rollout, context: EnvironmentContext
) -> EnvironmentState:
    """Run the command as the test of a rollout, and let its end be the report."""
    job = env.job
    if rollout.smoke_asked is None:
        env = start(env, rollout.version, "it is tried in staging", context, rollout.id)
        return moved(env, rollout, smoke_asked=context.now)
    if job is None or job.rollout != rollout.id or job.open:
        return env
    return moved(env, rollout, smoke=_report(job))


def again(env: EnvironmentState, by: str, context: EnvironmentContext) -> EnvironmentState:
    """Run a job that is over once more, as somebody says."""
    assert env.job is not None
    tried = "tried" if env.job.failed is not None else "run"
    return start(env, env.job.version, f"{tried} again by {by}", context)


def has_ended(env: EnvironmentState, number: int | None = None) -> bool:
    """Whether the job of what it points to is over, so that it can be run again. Without the number
    of that version, one that ended well is not meant where a rollout was stopped."""
    job = env.job
    if job is None or job.open or not env.points or job.version != env.stable:
        return False
    if number is not None:
        return job.version.version == number
    return job.failed is not None or env.stopped is None


def start(
    env: EnvironmentState,
    version: Ref,
    why: str,
    context: EnvironmentContext,
    rollout: str = "",
    tries: int = 1,
) -> EnvironmentState:
    """Owe the start of a job."""
    number = env.jobs + 1
    job = BatchJob(
        id=f"{env.pipeline}-{env.name}.{BATCH}.{number}",
        version=version,
        why=why,
        asked=context.now,
        rollout=rollout,
        tries=tries,
    )
    context.out.actions.append(
        StartBatch(pipeline=env.pipeline, environment=env.name, version=version.version, job=job.id)
    )
    return env.model_copy(update={"job": job, "jobs": number})


def cannot_start(
    env: EnvironmentState, job: str, why: str, context: EnvironmentContext
) -> EnvironmentState:
    """Something around the command keeps it from starting: a secret, a dataset."""
    if env.job is None or env.job.id != job or not env.job.open:
        return env
    failed = env.job.model_copy(update={"ended": context.now, "failed": why})
    return _tell(_with(env, failed), failed, context)


def _is_wanted(env: EnvironmentState, job: BatchJob) -> bool:
    if job.rollout:
        return env.rollout is not None and env.rollout.id == job.rollout
    return env.points and env.stable == job.version


def heed_end(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Take in how the job ended."""
    job, seen = env.job, context.observed.job
    if job is None or not job.open or seen is None or not seen.status.state.ended:
        return env
    status = seen.status
    if status.state in BLAMELESS and job.tries < MOST_TRIES:
        why = f"{job.why}; the last attempt ended for no fault of its own: {fit(status.message)}"
        return start(env, job.version, why, context, job.rollout, job.tries + 1)
    failed = None
    if status.state is not AttemptState.SUCCEEDED:
        failed = fit(status.message) or f"it {status.state.value.replace('_', ' ')}"
    elif seen.uncollected is not None:
        failed = seen.uncollected
    job = job.model_copy(
        update={"ended": context.now, "failed": failed, "outputs": seen.outputs or {}}
    )
    return _tell(_with(env, job), job, context)


def _tell(env: EnvironmentState, job: BatchJob, context: EnvironmentContext) -> EnvironmentState:
    """Of production's: in staging the rollout tells."""
    version = context.observed.versions.get(job.version.version)
    if job.rollout or env.name != "production":
        return env
    if job.failed is None:
        return over(env, version, BATCH, ended(env.pipeline, env.name, job.version), context.out)
    former = env.former[0] if env.former else None
    incident = batch_incidents.failed(env.pipeline, env.name, job.version, job.failed, former)
    return tell(env, version, "stuck", BATCH, incident, context.out)


def _report(job: BatchJob) -> Report:
    check = Check(
        name="batch command",
        verdict=Verdict.PASS if job.failed is None else Verdict.FAIL,
        message="It ended with 0." if job.failed is None else job.failed,
        observed="ended with 0" if job.failed is None else "failed",
        limit="ends with 0",
        n=1,
        next_step=None if job.failed is None else f"`headgate logs {job.id.partition('.')[0]}`",
    )
    return Report(gate="smoke", subject=str(job.version), checks=(check,))


def _with(env: EnvironmentState, job: BatchJob) -> EnvironmentState:
    return env.model_copy(update={"job": job})
