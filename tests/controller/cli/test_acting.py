"""Verbs: what they refuse, which message they send, and a real controller that handles it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from controller.cli import SECTIONS, main
from controller.cli.context import controller_pid
from controller.machine.core import Key
from controller.store.protocol import Delivered, Store, Transaction
from tests.controller.cli import seeds
from tests.controller.cli.conftest import Desk
from validators.verdict import Verdict

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "controller.cli")


@pytest.fixture
def told(desk: Desk) -> Desk:
    """toy-1 runs; v1 serves in production and v2 is in the canary there."""
    going = seeds.run(1, finished=None)
    env = seeds.environment(stable=seeds.version(1).ref, rollout=seeds.canary(2))
    desk.keep(
        seeds.put("run", going.id, going),
        seeds.put("pipeline", "toy", seeds.pipeline(going)),
        seeds.put("environment", "toy/production", env),
    )
    return desk


def messages_to_handle(at: Desk) -> Sequence[Delivered]:
    async def inbox(store: Store) -> Sequence[Delivered]:
        return await store.inbox()

    found = at.look(inbox)
    assert isinstance(found, Sequence)
    return found


@pytest.mark.parametrize(
    ("arguments", "to", "type_", "body"),
    [
        (["trigger", "toy", "--force", "--reason", "why not"], ("pipeline", "toy"), "run_requested",
         {"kind": "manual", "branch": "main", "force": True, "why": "why not"}),
        (["retry", "toy-1"], ("pipeline", "toy"), "run_requested",
         {"kind": "retry", "force": True}),
        (["abort", "toy-1", "--reason", "slow"], ("run", "toy-1"), "cancel_run", {}),
        (["abort", "toy"], ("environment", "toy/production"), "abort", {}),
        (["promote", "toy/production"], ("environment", "toy/production"), "promote", {}),
        (["pause", "toy", "--reason", "lunch"], ("environment", "toy/production"), "pause",
         {"reason": "lunch"}),
        (["rollback", "toy", "--reason", "bad"], ("environment", "toy/production"), "rollback",
         {"reason": "bad"}),
    ],
)  # fmt: skip
def test_without_a_controller_the_request_is_saved_and_that_is_said(
    told: Desk, arguments: list[str], to: tuple[str, str], type_: str, body: dict[str, Any]
) -> None:
    result = told.do(*arguments)
    assert result.exit_code == 0, result.stderr
    assert "No controller is running here" in result.stderr
    (message,) = messages_to_handle(told)
    assert (message.to, message.type) == (Key(*to), type_)
    assert body.items() <= message.body.items()
    assert message.body["by"]


RUNS_OF_VERBS: Mapping[tuple[str, str], Sequence[str]] = {
    ("trigger", "--branch"): ("toy", "--branch", "main"),
    ("trigger", "--force"): ("toy", "--force"),
    ("trigger", "--no-cache"): ("toy", "--no-cache"),
    ("trigger", "--reason"): ("toy", "--reason", "why not"),
    ("trigger", "--no-wait"): ("toy", "--no-wait"),
    ("retry", "--version"): ("toy/staging", "--version", "3"),
    ("retry", "--reason"): ("toy/staging", "--reason", "fixed"),
    ("retry", "--no-wait"): ("toy/staging", "--no-wait"),
    ("abort", "--reason"): ("toy", "--reason", "slow"),
    ("abort", "--no-wait"): ("toy", "--no-wait"),
    ("accept", "--reason"): ("rows", "4", "--reason", "a strike"),
    ("accept", "--revoke"): ("rows", "4", "--reason", "no strike", "--revoke"),
    ("accept", "--no-wait"): ("rows", "4", "--reason", "a strike", "--no-wait"),
    ("approve", "--reason"): ("toy", "--reason", "looked at it"),
    ("approve", "--no-wait"): ("toy", "--no-wait"),
    ("promote", "--reason"): ("toy", "--reason", "tonight"),
    ("promote", "--no-wait"): ("toy", "--no-wait"),
    ("rollback", "--to"): ("toy", "--to", "3"),
    ("rollback", "--from"): ("toy", "--from", "1"),
    ("rollback", "--reason"): ("toy", "--reason", "bad"),
    ("rollback", "--no-wait"): ("toy", "--no-wait"),
    ("pause", "--reason"): ("toy", "--reason", "lunch"),
    ("pause", "--no-wait"): ("toy", "--no-wait"),
    ("resume", "--no-wait"): ("toy/staging", "--no-wait"),
}
"""How each verb is run with each of its options."""


def options_of_verbs() -> list[tuple[str, str]]:
    """Each verb with each of its options, as click knows them."""
    context = click.Context(main)
    verbs = {name: main.get_command(context, name) for name in SECTIONS["Act"]}
    return [
        (name, each.opts[-1])
        for name, verb in verbs.items()
        if verb is not None
        for each in verb.params
        if isinstance(each, click.Option)
    ]


@pytest.mark.parametrize(("verb", "option"), options_of_verbs())
def test_every_verb_can_be_run_with_each_of_its_options(told: Desk, verb: str, option: str) -> None:
    """A new option wants a run in the table."""
    bad = seeds.canary(2).model_copy(update={"approval": True})
    stopped = seeds.environment("staging", paused="ada", stopped=bad)
    told.keep(seeds.put("environment", "toy/staging", stopped))
    told.keep(Transaction(facts=(seeds.fact("model", "toy/3", seeds.version(3)),)))
    if verb == "approve":
        waits = seeds.environment(stable=seeds.version(1).ref, rollout=bad)
        told.keep(seeds.put("environment", "toy/production", waits, revision=1))
    if verb == "accept":
        stop_by_data(told, accepted=option == "--revoke")
    result = told.do(verb, *RUNS_OF_VERBS[verb, option])
    assert result.exit_code == 0, result.stderr
    (message,) = messages_to_handle(told)
    given = [value for value in RUNS_OF_VERBS[verb, option][2:] if not value.startswith("--")]
    said = json.dumps(message.body)
    assert all(value in said for value in given)


def stop_by_data(at: Desk, *, accepted: bool) -> None:
    """toy-2 was stopped by the version 4... of the rows; which a person has accepted or not."""
    bad = "sha256:" + "4" * 64
    report = seeds.keep_report(at.home, seeds.failing_report())
    run = seeds.judged(2, bad, Verdict.FAIL, report)
    known = (seeds.acceptance(run, bad),) if accepted else ()
    at.keep(seeds.put("run", run.id, run))
    state = seeds.reading(run, bad, accepted_versions=known)
    at.keep(seeds.put("pipeline", "toy", state, revision=1))


@pytest.mark.parametrize(("given", "leave"), [((), 2), (("--from", "1"), 1), (("--to", "3"), 1)])
def test_a_rollback_names_the_version_that_it_sees(
    told: Desk, given: Sequence[str], leave: int
) -> None:
    told.keep(Transaction(facts=(seeds.fact("model", "toy/3", seeds.version(3)),)))
    assert told.do("rollback", "toy", *given).exit_code == 0
    (message,) = messages_to_handle(told)
    assert message.body["leave"] == leave


def test_what_a_rollback_brought_back_is_left_only_by_name(told: Desk) -> None:
    back = seeds.canary(1).model_copy(update={"kind": "revert"})
    env = seeds.environment(
        stable=seeds.version(1).ref, stable_rollout=back.id, former=(seeds.version(2).ref,)
    )
    told.keep(seeds.put("environment", "toy/production", env, revision=1))
    told.keep(Transaction(facts=(seeds.ended(back, "promoted", "it smells"),)))
    refused = told.do("rollback", "toy")
    assert refused.exit_code != 0
    assert "headgate rollback toy/production --from 1" in refused.stderr
    assert told.do("rollback", "toy", "--from", "1").exit_code == 0
    (message,) = messages_to_handle(told)
    assert message.body["leave"] == 1


def test_asking_twice_is_two_requests(told: Desk) -> None:
    told.do("pause", "toy")
    told.do("pause", "toy")
    assert len(messages_to_handle(told)) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["trigger", "tyo"], "Did you mean toy?"),
        (["trigger", "toy", "--branch", "mian"], "Did you mean main?"),
        (["approve", "toy"], "no rollout is awaiting approval"),
        (["resume", "toy"], "it is not paused"),
        (["retry", "toy"], "a rollout is in progress"),
        (["rollback", "toy", "--to", "9"], "there is no model version 'toy/9'"),
        (["rollback", "toy", "--from", "9"], "v9 no longer serves; v1 does"),
        (["pause", "toy/prodution"], "Did you mean production?"),
        (["pause", "toy/staging"], "nothing has been released to toy/staging yet"),
        (["abort", "toy-2"], "there is no run or pipeline"),
    ],
)
def test_a_verb_with_nothing_to_act_on_says_why_and_leaves_nothing(
    told: Desk, arguments: list[str], why: str
) -> None:
    result = told.do(*arguments)
    assert result.exit_code == 1
    assert why in result.stderr
    assert not messages_to_handle(told)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"ready": None, "step": -1}, "the server of v2 is not ready yet"),
        ({"approval": True, "deployed": None, "ready": None}, "`headgate approve` approves it"),
    ],
)
def test_a_promotion_that_is_asked_for_too_early_says_why_not(
    told: Desk, facts: dict[str, Any], why: str
) -> None:
    early = seeds.canary(2).model_copy(update=facts)
    env = seeds.environment(stable=seeds.version(1).ref, rollout=early)
    told.keep(seeds.put("environment", "toy/production", env, revision=1))
    result = told.do("promote", "toy")
    assert result.exit_code == 1
    assert why in result.stderr
    assert not messages_to_handle(told)


def until(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `holds` says once it is something."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.1)
    return found


SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: toy}
steps:
  train:
    run: python train.py {outputs.model}
    outputs: {model: model.txt}
model: steps.train.model
"""
TRAIN = "import sys; print('training'); open(sys.argv[1], 'w').write('model')\n"


class Controller:
    """`headgate up` in a process of its own."""

    def __init__(self, at: Desk) -> None:
        clean = {n: v for n, v in os.environ.items() if not n.startswith("HEADGATE_")}
        self._log = at.home / "up.log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--settings", str(at.settings), "up"], cwd=ROOT, env=clean, stderr=log
            )

    def log(self) -> str:
        return self._log.read_text()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def up(desk: Desk) -> Iterator[Controller]:
    """A controller over a pipeline that was pushed."""
    desk.person.push({"ml-pipeline.yaml": SPEC, "train.py": TRAIN})
    controller = Controller(desk)
    yield controller
    controller.process.kill()
    controller.process.wait()


def test_a_real_controller_handles_requests_and_ends_at_a_signal(
    desk: Desk, up: Controller
) -> None:
    def outcome_of(run: str) -> Any:
        assert up.process.poll() is None, up.log()
        result = desk.do("show", run, "--json")
        return result.exit_code == 0 and json.loads(result.stdout)["run"]["outcome"] == "passed"

    until(lambda: outcome_of("toy-1"))
    assert controller_pid(desk.home) == up.process.pid
    assert f"process {up.process.pid}" in desk.do("status").stdout
    assert "training" in desk.do("logs", "toy-1", "train").stdout
    idle = desk.do("trigger", "toy")
    assert (idle.exit_code, idle.stdout) == (
        0,
        "Nothing to run: nothing changed since toy-1. `--no-cache` runs everything again.\n",
    )
    assert desk.do("trigger", "toy", "--force").stdout.startswith("toy-2 has started")
    until(lambda: outcome_of("toy-2"))
    plan = desk.do("plan", str(desk.person.clone), "--json")
    assert json.loads(plan.stdout)["nothing_to_do"], plan.stdout
    second = Controller(desk)
    assert second.process.wait(60) == 1
    assert "another controller runs" in second.log()
    assert up.process.poll() is None
    assert up.end(signal.SIGTERM) == 0
    assert controller_pid(desk.home) is None
    assert "Traceback" not in up.log()
