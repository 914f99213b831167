"""What is answered to a command, and what it asks pipelines for."""

from typing import Any

import pytest

from controller.machine.actions import Answer
from controller.machine.core import Message
from controller.machine.repositories.asking import Target, heed
from controller.machine.repositories.pull import Command, Pull, Verb, line
from tests.controller.machine.kit import sha

HEAD = sha("head")
OLD = sha("an older head")


def ask(
    verb: Verb | None,
    argument: str = "",
    *,
    fork: bool = False,
    held: bool = False,
    pipelines: tuple[str, ...] = ("mean",),
    **more: Any,
) -> tuple[list[Answer], list[Message]]:
    """Somebody who may write comments on the open pull request 7."""
    facts: dict[str, Any] = {"by": "maya", "may": True, "pull": 7, "comment": 41, **more}
    command = Command(id="comment/41", verb=verb, argument=argument, **facts)
    pulls = {7: Pull(number=7, head=HEAD, base="main", fork=fork)}
    targets = {
        "main": Target("main", sha("main"), ("mean", "sum"), held=False),
        line(7): Target(line(7), HEAD, pipelines, held),
    }
    return heed("team", [command], pulls, targets)


def text(answers: list[Answer]) -> str:
    (answer,) = answers
    assert (answer.repository, answer.pull, answer.comment) == ("team", 7, 41)
    return answer.text


@pytest.mark.parametrize("verb", ["plan", "run", "retry", "cancel", "approve", None])
def test_who_may_not_write_is_refused_politely_and_moves_nothing(verb: Verb | None) -> None:
    answers, messages = ask(verb, HEAD, fork=True, held=True, by="eve", may=False)
    assert text(answers).startswith("Sorry @eve")
    assert messages == []


def test_a_word_that_is_no_command_is_answered_with_those_that_are() -> None:
    answers, messages = ask(None)
    for verb in ("plan", "run", "retry", "cancel", "approve"):
        assert f"`/headgate {verb}`" in text(answers)
    assert messages == []


def test_run_asks_each_pipeline_of_the_pull_request_once_and_only_nods() -> None:
    answers, messages = ask("run", pipelines=("mean", "sum"))
    assert text(answers) == ""
    assert [(m.to.name, m.type, m.id) for m in messages] == [
        ("mean", "trigger", "comment/41"),
        ("sum", "trigger", "comment/41"),
    ]
    body = messages[0].body
    assert (body["branch"], body["force"], body["unless_passed"]) == (line(7), True, False)
    assert body["why"] == "maya asked for it (`/headgate run`)"


def test_retry_leaves_what_has_passed() -> None:
    _, (message,) = ask("retry")
    assert (message.body["kind"], message.body["unless_passed"]) == ("retry", True)


def test_cancel_names_who_asked() -> None:
    _, (message,) = ask("cancel")
    assert (message.type, message.body["branch"]) == ("cancel", line(7))
    assert message.body["reason"] == "cancelled: maya asked for it (`/headgate cancel`)"


def test_plan_is_answered_with_the_plan_and_asks_no_pipeline() -> None:
    answers, messages = ask("plan")
    assert (answers[0].plan, text(answers), messages) == (True, "", [])


@pytest.mark.parametrize("verb", ["plan", "run", "retry", "cancel"])
def test_a_forks_commit_that_was_not_approved_is_not_run_on_any_ones_word(verb: Verb) -> None:
    answers, messages = ask(verb, fork=True, held=True, pipelines=())
    assert f"/headgate approve {HEAD[:12]}" in text(answers)
    assert not answers[0].plan
    assert messages == []


@pytest.mark.parametrize(
    ("argument", "answer"),
    [
        (HEAD[:12], ""),
        ("", "Say which commit you have read"),
        (OLD, "is not the head any more"),
        (HEAD[:6], "is not the head any more"),
    ],
)
def test_an_approval_that_names_another_commit_says_what_the_head_is(
    argument: str, answer: str
) -> None:
    answers, messages = ask("approve", argument, fork=True, held=True)
    assert answer in text(answers)
    assert not answer or f"/headgate approve {HEAD[:12]}" in text(answers)
    assert bool(text(answers)) == bool(answer)
    assert messages == []


def test_where_nothing_waits_for_an_approval_it_says_so() -> None:
    answers, _ = ask("approve", HEAD)
    assert text(answers) == "Nothing waits for an approval here."


def test_on_a_pull_request_that_is_closed_it_says_so() -> None:
    answers, messages = ask("run", pull=8)
    assert answers[0].pull == 8
    assert "closed" in answers[0].text
    assert messages == []


def test_where_no_pipeline_is_touched_it_says_so() -> None:
    answers, messages = ask("run", pipelines=())
    assert "changes nothing that a pipeline reads" in text(answers)
    assert messages == []


def press(commit: str, pipeline: str = "") -> list[Message]:
    answers, messages = ask(
        "run", pull=None, comment=None, commit=commit, pipeline=pipeline, pipelines=("mean", "sum")
    )
    assert answers == [], "a button has no place for an answer"
    return messages


def test_the_button_of_a_check_runs_its_pipeline_and_that_of_all_runs_all() -> None:
    assert [m.to.name for m in press(HEAD, "sum")] == ["sum"]
    assert [m.to.name for m in press(HEAD)] == ["mean", "sum"]
    assert press(HEAD)[0].body["why"] == "maya asked for it (GitHub's button)"


def test_the_button_on_main_runs_main_and_on_a_commit_that_was_left_does_nothing() -> None:
    assert [m.body["branch"] for m in press(sha("main"), "mean")] == ["main"]
    assert press(OLD) == []
