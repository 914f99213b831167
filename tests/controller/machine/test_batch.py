"""Batch releases: what runs when, how it ends, and who is notified."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from controller.machine.actions import CancelAttempt, Deploy, Notify, StartAttempt, StartBatch
from controller.machine.core import Action, Envelope, parsed
from controller.machine.environments.environment import EnvironmentState, ObservedEnvironment
from controller.machine.environments.job import BatchJob, ObservedJob, attempt_of, owner_of
from controller.machine.environments.promotion import SCHEDULED
from controller.machine.messages import BatchStarted
from controller.machine.runs.attempt import AttemptState, Status
from controller.machine.runs.step_nodes import step_node
from specs.digests import digest
from specs.projects.values import Project
from tests.controller.machine.kit import fields, version
from tests.controller.machine.site import Site
from tests.controller.machine.team import Team

DATA = {"numbers": digest("numbers")}
BATCH = {
    "run": "score {model} {inputs.numbers} {outputs.scores}",
    "inputs": {"numbers": "datasets.numbers"},
    "outputs": {"scores": "scores.csv"},
}
HOW: tuple[tuple[str, Any], ...] = (
    ("release.serve", None),
    ("release.staging", None),
    ("release.production", None),
    ("release.batch", BATCH),
)


@dataclass
class Batches(Site):
    """A site whose releases are batches."""

    ends: dict[int, AttemptState | None] = field(default_factory=dict)
    """How the command ends, by version; None: it keeps running. By default it succeeds."""
    cannot_start: str = ""
    started: list[StartBatch] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    due: float | None = None
    next_due: float | None = None

    def observe(self) -> ObservedEnvironment:
        seen = super().observe()
        need = self.needs(seen.branch)
        job = self._seen(need.job) if need.job else None
        due, following = (self.due, self.next_due) if need.schedule else (None, None)
        return seen.model_copy(update={"job": job, "due": due, "next_due": following})

    def _seen(self, job: BatchJob) -> ObservedJob | None:
        end = self.ends.get(job.version.version, AttemptState.SUCCEEDED)
        if job.attempt is None:
            return None
        if end is None:
            return ObservedJob(status=Status(state=AttemptState.RUNNING))
        outputs = {"scores": digest(job.id)} if end is AttemptState.SUCCEEDED else None
        message = "" if end is AttemptState.SUCCEEDED else "exit code 1: the table is away"
        return ObservedJob(status=Status(state=end, message=message), outputs=outputs)

    def _effect(self, action: Action) -> list[Envelope] | None:
        if isinstance(action, StartBatch):
            if self.cannot_start:
                return [self._failed(action, self.cannot_start)]
            self.started.append(action)
            attempt = attempt_of(self.versions[action.version], self.name, action.job, DATA)
            started = BatchStarted(job=action.job, attempt=attempt)
            return [Envelope(to=self.key, id=f"started/{action.job}", message=started)]
        if isinstance(action, CancelAttempt):
            self.cancelled.append(action.attempt)
        return super()._effect(action)


def site(**more: Any) -> Batches:
    how = more.pop("how", HOW)
    return Batches({n: version(n, *how) for n in range(1, 4)}, **more)


def released(one: Batches, *numbers: int) -> Batches:
    for number in numbers:
        one.release(number)
        one.run(8)
        assert one.serves == number
    return one


def runs(one: Batches) -> list[int]:
    """For which versions the command was run."""
    return [each.version for each in one.started]


def test_of_a_gate_that_stops_a_batch_it_is_told_that_production_points_where_it_did() -> None:
    team = Team()
    team.push("c1", *HOW)
    team.turn()
    team.turn(30.0)
    team.end("stopped")
    team.turn()
    (told,) = [each for each in team.actions if isinstance(each, Notify)]
    assert (told.event, told.status) == ("gate_failed", "firing")
    assert told.incident.points
    assert told.incident.now == "what it pointed to before; production is unchanged"


def test_an_attempt_that_the_executor_does_not_know_is_started_again() -> None:
    one = site(ends={1: AttemptState.UNKNOWN})
    one.release(1)
    one.run(8)
    asked = [each for each in one.reconcile().actions if isinstance(each, StartAttempt)]
    assert one.state is not None
    assert one.state.job is not None
    assert [each.attempt for each in asked] == [one.state.job.attempt]
    assert one.state.job.open
    one.ends[1] = AttemptState.SUCCEEDED
    one.run(4)
    ended = one.state.job
    assert ended is not None
    assert ended.ended is not None
    assert runs(one) == [1], "the same attempt"


def test_production_points_first_and_then_the_command_runs_once() -> None:
    one = released(site(), 1)
    one.run(10)
    assert runs(one) == [1]
    job = one.env.job
    assert job is not None
    assert job.attempt is not None
    assert job.attempt.command == "score {inputs.model} {inputs.numbers} {outputs.scores}"
    assert job.attempt.trusted
    assert job.attempt.env == {"HEADGATE_ENVIRONMENT": "production"}
    assert job.attempt.inputs["model"].digest == one.versions[1].model
    numbers = job.attempt.inputs["numbers"]
    assert (numbers.digest, numbers.name) == (DATA["numbers"], "numbers")
    assert numbers.uri == "file:///bucket/*.csv"
    assert job.outputs == {"scores": digest(job.id)}


@pytest.mark.parametrize(
    "environment",
    [
        {"requirements": "requirements.txt", "python": "3.12"},
        {"project": ".", "groups": ["train"]},
        {"image": "python@sha256:" + 64 * "a", "executor": "docker"},
        {"build": ".", "executor": "docker"},
    ],
)
def test_the_command_runs_where_the_steps_ran(environment: dict[str, Any]) -> None:
    made = version(1, *HOW, ("environment", environment))
    project = Project(folder="", lock="uv.lock", kind="uv") if "project" in environment else None
    at = made.source.model_copy(update={"project": project})
    made = made.model_copy(update={"source": at})
    job = attempt_of(made, "production", "mean-production.batch.1", DATA)
    step = step_node(made.spec, at, "train", {}).attempt
    where = ("requirements", "project", "python", "executor", "image", "build")
    assert [getattr(job, one) for one in where] == [getattr(step, one) for one in where]
    assert (job.project is not None) is (project is not None)
    assert job.project is None or (job.project.groups, job.project.extras) == (("train",), ())


@pytest.mark.parametrize("name", ["staging", "production"])
def test_no_server_is_ever_asked_for(name: str) -> None:
    one = released(site(name=name), 1, 2)
    one.send("rollback", by="ada")
    one.run(8)
    assert not any(isinstance(action, Deploy) for action in one.deploys)
    assert one.deployed is None
    assert one.env.points


def test_in_staging_the_command_has_to_succeed_before_the_release_continues() -> None:
    one = site(name="staging", ends={2: AttemptState.FAILED})
    released(one, 1)
    one.release(2)
    one.run(8)
    assert one.serves == 1
    assert runs(one) == [1, 2]
    assert [fields(m)["version"] for m in one.sent if m.message.type == "release"] == [1]
    told = next(n for n in one.notified if n.event == "gate_failed")
    assert "The batch command failed: exit code 1: the table is away" in told.incident.what
    assert told.incident.points


def test_a_failure_in_production_is_reported_and_rolls_nothing_back() -> None:
    one = site(ends={1: AttemptState.FAILED})
    released(one, 1)
    alert = "mean/production/stuck/batch"
    assert alert in one.alerts("firing")
    assert one.serves == 1
    assert one.env.quarantine == ()
    one.ends = {}
    one.send("retry", by="ada")
    one.run(4)
    assert runs(one) == [1, 1]
    assert alert in one.alerts("resolved")


def test_a_job_that_succeeded_is_run_again_when_somebody_asks() -> None:
    one = released(site(), 1)
    one.send("retry", by="ada", reason="other customers")
    one.run(4)
    assert runs(one) == [1, 1]
    assert one.env.job is not None
    assert one.env.job.why == "run again by ada: other customers"
    assert one.env.rollout is None
    assert one.env.quarantine == ()


def test_a_running_job_is_not_started_a_second_time() -> None:
    one = site(ends={1: None})
    released(one, 1)
    one.send("retry", by="ada")
    one.run(4)
    assert runs(one) == [1]


def test_a_stopped_rollout_is_retried_rather_than_a_job_that_succeeded() -> None:
    one = released(site(), 1, 2)
    one.send("rollback", by="ada")
    one.run(6)
    assert runs(one) == [1, 2, 1]
    one.send("retry", by="ada", version=1)  # unless it is named
    one.run(6)
    assert one.serves == 1
    assert runs(one) == [1, 2, 1, 1]
    one.send("retry", by="ada")
    one.run(6)
    assert one.serves == 2
    assert runs(one) == [1, 2, 1, 1, 2]


def test_a_rollback_points_back_and_runs_the_command_with_the_former_model() -> None:
    one = released(site(), 1, 2)
    one.send("rollback", by="ada")
    one.run(6)
    assert one.serves == 1
    assert runs(one) == [1, 2, 1]
    assert [q.version for q in one.env.quarantine] == [2]


def test_a_revert_in_git_runs_the_command_with_the_former_model() -> None:
    one = released(site(), 1, 2)
    one.edit(version=1)
    one.run(6)
    assert one.serves == 1
    assert runs(one) == [1, 2, 1]


def test_the_job_of_a_version_that_is_left_is_cancelled() -> None:
    one = site(ends={1: None})
    released(one, 1)
    assert one.env.job is not None
    first = one.env.job.id
    released(one, 2)
    assert one.cancelled == [first]
    assert runs(one) == [1, 2]


def test_the_job_of_a_rollout_that_is_stopped_is_cancelled() -> None:
    one = site(name="staging", ends={1: None})
    one.release(1)
    one.run(4)
    assert one.env.job is not None
    one.send("abort", by="ada")
    one.run(2)
    assert one.cancelled == [one.env.job.id]


def test_the_schedule_runs_it_again_once_each_time() -> None:
    one = released(site(), 1)
    one.due = one.now + 0.5
    one.run(5)
    assert runs(one) == [1, 1]
    one.due = one.now + 0.5
    one.run(5)
    assert runs(one) == [1, 1, 1]


def test_a_batch_is_looked_at_again_when_its_schedule_comes_and_without_one_never() -> None:
    one = released(site(), 1)
    assert one.reconcile().requeue_after is None
    one.next_due = one.now + 3600.0
    assert one.reconcile().requeue_after == SCHEDULED, "the clock may be set"
    one.next_due = one.now + 7.5
    assert one.reconcile(dt=1.0).requeue_after == 6.5


def test_a_lost_attempt_is_repeated_a_few_times() -> None:
    one = site(ends={1: AttemptState.LOST})
    released(one, 1)
    one.run(10)
    assert runs(one) == [1, 1, 1]
    assert one.env.job is not None
    assert one.env.job.failed is not None


def test_a_command_that_cannot_be_started_is_reported() -> None:
    one = site(cannot_start="there is no object at data/*.csv")
    released(one, 1)
    told = next(n for n in one.notified if n.alert == "mean/production/stuck/batch")
    assert "there is no object at data/*.csv" in told.incident.what
    assert told.to == "json://on-call"


def test_a_pointer_alone_runs_nothing() -> None:
    one = site(how=(*HOW[:-1], ("release.batch", {})))
    released(one, 1, 2)
    assert runs(one) == []
    assert one.env.job is None


def test_it_waits_for_its_approval() -> None:
    asks = ("release.production", {"approval": "pull-request"})
    one = site(how=(*HOW, asks))
    one.release(1)
    one.run(4)
    assert one.env.stable is None
    assert runs(one) == []
    one.send("approve", by="ada")
    one.run(4)
    assert one.serves == 1
    assert runs(one) == [1]


def test_a_server_that_becomes_a_batch_is_ended_and_one_that_follows_needs_no_canary() -> None:
    one = site()
    one.versions = {**one.versions, 1: version(1), 3: version(3)}
    one.release(1)
    one.run(8)
    assert sorted(one.ready) == [1]
    released(one, 2)
    assert sorted(one.ready) == []
    closed = [each.closed for each in one.deploys]
    assert closed[-1]  # not even its router stays
    one.run(4)
    assert len(one.deploys) == len(closed)
    released(one, 3)
    assert sorted(one.ready) == [3]
    assert not one.deploys[-1].closed
    assert not one.env.points


def test_a_lost_state_points_to_what_the_branch_says_and_starts_no_server() -> None:
    one = released(site(), 1)
    one.lose_the_state()
    one.release(1)
    one.run(6)
    assert one.serves == 1
    assert one.env.points
    assert one.deployed is None


def test_a_state_from_before_batches_existed_is_read() -> None:
    one = released(site(how=()), 1)
    before = one.env.plain()
    for name in ("points", "job", "jobs", "warm"):
        del before[name]
    read = parsed(EnvironmentState, before)
    assert read == one.env
    assert read.has_server


def test_a_rollback_that_is_refused_says_what_production_still_points_to() -> None:
    one = released(site(), 1)
    one.send("rollback", by="ada")
    one.run(2)
    told = next(n for n in one.notified if n.event == "refused")
    assert told.incident.title.endswith("still points to the version that somebody wanted to leave")
    assert told.incident.points


def test_an_attempt_is_known_by_its_name_for_a_job_of_an_environment() -> None:
    assert str(owner_of("mean-production.batch.3")) == "environment/mean/production"
    assert str(owner_of("flight-delay-staging.batch.1")) == "environment/flight-delay/staging"
    assert str(owner_of("mean-production-3.batch.1")) == "run/mean-production-3"
    assert str(owner_of("mean-3.train.1")) == "run/mean-3"
