"""Environments of a run are built before its steps start; a failed build is reported once."""

import io
import re

from rich.console import Console

from controller.cli.terminal.tree import render_run
from controller.cli.terminal.views import run_view
from controller.machine.runs.attempt import AttemptState, Building, Status
from controller.machine.runs.run import Run, why_ended
from tests.controller.machine.lab import Lab, lab

WORDS = "the requirements cannot be installed. The installer said: error: no such package"


def two_steps() -> Lab:
    """A run with two steps that start together."""
    again = {"run": "python again.py {outputs.said}", "outputs": {"said": "a"}, "retries": 3}
    return lab(("steps.again", again), ("steps.train.retries", 3))


def begin(one: Lab, *names: str) -> None:
    """Reconcile until these steps have started."""
    while not set(names) <= {attempt.node for attempt in one.started.values()}:
        one.reconcile()
        for name in ("gate.data.numbers",):
            if any(a.node == name for a in one.started.values()):
                one.end(name)


def say(one: Lab, node: str, state: AttemptState, *built: Building) -> None:
    """Set the status of the newest attempt at a node."""
    id_ = [each for each, attempt in one.started.items() if attempt.node == node][-1]
    ended = one.now if state.ended else None
    message = WORDS if state is AttemptState.NO_ENVIRONMENT else ""
    one.statuses[id_] = Status(state=state, built=built, ended=ended, message=message)


def shown(run: Run) -> str:
    """The run as `status` prints it."""
    console = Console(width=100, file=io.StringIO())
    with console.capture() as text:
        console.print(render_run(run_view(run), run.created + 30))
    return text.get()


def test_steps_wait_while_their_environment_is_built_and_the_build_is_shown() -> None:
    one = two_steps()
    begin(one, "train", "again")
    building = Building(name="e-python3", since=one.now)
    for name in ("train", "again"):
        say(one, name, AttemptState.PREPARING, building)
    one.reconcile()
    assert one.run.step == "environment"
    view = run_view(one.run)
    assert [(each.name, each.phase, each.detail) for each in view.environments] == [
        ("environment", "running", "building the environment")
    ]
    phases = {each.name: (each.phase, each.waits_for) for each in view.nodes}
    assert phases["train"] == phases["again"] == ("waiting", ("environment",))
    (line,) = (each for each in shown(one.run).splitlines() if "building" in each)
    assert re.search(r"● environment +2\d s +building the environment", line)
    assert "train              waiting for environment" in shown(one.run)

    done = building.model_copy(update={"seconds": 12.0})
    for name in ("train", "again"):
        say(one, name, AttemptState.RUNNING, done)
    one.reconcile()
    assert one.run.step == "again, train"
    (environment,) = run_view(one.run).environments
    assert (environment.phase, environment.seconds) == ("succeeded", 12.0)


def test_an_environment_that_cannot_be_built_is_not_retried_and_is_reported_once() -> None:
    one = two_steps()
    begin(one, "train", "again")
    failed = Building(name="e-python3", since=one.now, seconds=3.0, failed=WORDS)
    for name in ("train", "again"):
        say(one, name, AttemptState.NO_ENVIRONMENT, failed)
    for _ in range(5):
        one.reconcile(700.0)
    run = one.run
    assert run.outcome == "failed"
    assert [a.node for a in one.started.values()].count("train") == 1, "it has three retries"
    assert why_ended(run) == f"environment: {WORDS}"
    told = "its environment could not be built"
    assert {run.nodes[name].failed for name in ("train", "again")} == {told}
    assert [each.detail for each in run_view(run).environments] == [WORDS]


def test_a_run_of_an_older_controller_has_no_environments() -> None:
    one = lab()
    one.reconcile()
    plain = one.run.plain()
    del plain["environments"]
    assert Run.model_validate(plain).environments == {}
    assert Status.model_validate({"state": "running"}).built == ()
