"""PURE. Batch releases: when the command runs, for which version, and who is told how it ended.

In staging the command tests a rollout: it has to exit with 0. In production it runs for the version
that the environments branch names, whenever that changes and on its schedule. A failure there rolls
nothing back: the version passed staging, and its data may be to blame. Somebody is notified, and
`headgate retry` runs the command again, also after a success.
"""

from controller.machine import batch_incidents
from controller.machine.actions import CancelAttempt, StartAttempt, StartBatch
from controller.machine.environments.alerts import notify, resolve
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    with_rollout,
)
from controller.machine.environments.job import BATCH, BatchJob, command_of
from controller.machine.environments.rollout import Rollout
from controller.machine.error_text import without_traceback
from controller.machine.incidents import ended
from controller.machine.pipelines.version import Ref
from controller.machine.runs.attempt import AttemptState
from validators.report import Check, Report
from validators.verdict import Verdict

BLAMELESS = (AttemptState.LOST, AttemptState.DATA_CHANGED)
"""How an attempt can end without the command being to blame."""
MOST_TRIES = 3


def update(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Stop the job if it is no longer wanted; start the one that is due."""
    job, stable = env.job, env.stable
    if job is not None and job.open and not _is_wanted(env, job):
        context.out.actions.append(CancelAttempt(attempt=job.id))
        said = f"{env.name} no longer points to {job.version}"
        env = _with(env, job.model_copy(update={"ended": context.now, "failed": said}))
        job = env.job
    version = context.version(stable)
    if env.name != "production" or not env.points or stable is None or version is None:
        return env
    if not command_of(version.spec) or (job is not None and job.open):
        return env
    if job is None or job.version != stable:
        return start_job(env, stable, f"{env.name} points to {stable}", context)
    if context.observed.due is not None and context.observed.due > job.asked:
        return start_job(env, stable, "its schedule", context)
    return env


def try_out(
    env: EnvironmentState, rollout: Rollout, context: EnvironmentContext
) -> EnvironmentState:
    """Run the command as the smoke test of a rollout."""
    job = env.job
    if rollout.smoke_asked is None:
        env = start_job(env, rollout.version, "the smoke test in staging", context, rollout.id)
        return with_rollout(env, rollout, smoke_asked=context.now)
    if job is None or job.rollout != rollout.id or job.open:
        return env
    return with_rollout(env, rollout, smoke=_report(job))


def run_again(env: EnvironmentState, by: str, context: EnvironmentContext) -> EnvironmentState:
    """Run a job that ended once more, because somebody asked for it."""
    assert env.job is not None
    tried = "tried" if env.job.failed is not None else "run"
    return start_job(env, env.job.version, f"{tried} again by {by}", context)


def can_run_again(env: EnvironmentState, number: int | None = None) -> bool:
    """Whether the job of the version that it points to ended, so that `retry` runs it again.

    If no version is named and a rollout was stopped, `retry` means that rollout, unless the job
    failed.
    """
    job = env.job
    if job is None or job.open or not env.points or job.version != env.stable:
        return False
    if number is not None:
        return job.version.version == number
    return job.failed is not None or env.stopped is None


def start_job(
    env: EnvironmentState,
    version: Ref,
    why: str,
    context: EnvironmentContext,
    rollout: str = "",
    tries: int = 1,
) -> EnvironmentState:
    """Start a job."""
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
    """The command cannot be started: a secret or a dataset is missing."""
    if env.job is None or env.job.id != job or not env.job.open:
        return env
    failed = env.job.model_copy(update={"ended": context.now, "failed": why})
    return _tell(_with(env, failed), failed, context)


def _is_wanted(env: EnvironmentState, job: BatchJob) -> bool:
    if job.rollout:
        return env.rollout is not None and env.rollout.id == job.rollout
    return env.points and env.stable == job.version


def record_end(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Record how the job ended; start an attempt that the executor does not know."""
    job, seen = env.job, context.observed.job
    if job is None or not job.open or seen is None:
        return env
    status = seen.status
    if status.state is AttemptState.UNKNOWN and job.attempt is not None:
        # It waited for something, or the controller was killed before the executor had begun it.
        context.out.actions.append(StartAttempt(attempt=job.attempt))
    if not status.state.ended:
        return env
    if status.state in BLAMELESS and job.tries < MOST_TRIES:
        ended_by = without_traceback(status.message)
        why = f"{job.why}; the last attempt was ended from outside: {ended_by}"
        return start_job(env, job.version, why, context, job.rollout, job.tries + 1)
    failed = None
    if status.state is not AttemptState.SUCCEEDED:
        failed = without_traceback(status.message) or f"it {status.state.value.replace('_', ' ')}"
    elif seen.uncollected is not None:
        failed = seen.uncollected
    job = job.model_copy(
        update={"ended": context.now, "failed": failed, "outputs": seen.outputs or {}}
    )
    return _tell(_with(env, job), job, context)


def _tell(env: EnvironmentState, job: BatchJob, context: EnvironmentContext) -> EnvironmentState:
    """Notify of the end of a job in production; in staging the rollout's end is notified."""
    version = context.version(job.version)
    if job.rollout or env.name != "production":
        return env
    if job.failed is None:
        return resolve(env, version, BATCH, ended(env.pipeline, env.name, job.version), context.out)
    former = env.former[0] if env.former else None
    incident = batch_incidents.failed(env.pipeline, env.name, job.version, job.failed, former)
    return notify(env, version, "stuck", BATCH, incident, context.out)


def _report(job: BatchJob) -> Report:
    check = Check(
        name="batch command",
        verdict=Verdict.PASS if job.failed is None else Verdict.FAIL,
        message="It exited with 0." if job.failed is None else job.failed,
        observed="exited with 0" if job.failed is None else "failed",
        limit="exits with 0",
        n=1,
        next_step=None if job.failed is None else f"`headgate logs {job.id.partition('.')[0]}`",
    )
    return Report(gate="smoke", subject=str(job.version), checks=(check,))


def _with(env: EnvironmentState, job: BatchJob) -> EnvironmentState:
    return env.model_copy(update={"job": job})
