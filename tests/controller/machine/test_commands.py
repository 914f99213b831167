"""What is answered to a command, and what it asks pipelines for."""

from typing import Any

import pytest

from controller.machine.actions import AnswerCommand
from controller.machine.core import Envelope
from controller.machine.repositories.acceptance import CommandTarget
from controller.machine.repositories.commands import MOST_NAMED, CommandEffects, handle_commands
from controller.machine.repositories.pull import Command, Pull, Right, Verb, pull_branch, scope_of
from tests.controller.machine.kit import fields, sha

HEAD = sha("head")
OLD = sha("an older head")


def hear(
    verb: Verb | None,
    argument: str = "",
    *,
    fork: bool = False,
    held: bool = False,
    pipelines: tuple[str, ...] = ("mean",),
    bases: tuple[str, ...] = ("main",),
    accepted: dict[str, str] | None = None,
    **more: Any,
) -> CommandEffects:
    """Somebody who may write comments on the open pull request 7; its head is for each of `bases`,
    in a pull request of its own."""
    facts: dict[str, Any] = {"by": "maya", "may": True, "pull": 7, "comment": 41, **more}
    command = Command(id="comment/41", verb=verb, argument=argument, **facts)
    targets = [CommandTarget("main", sha("main"), ("mean", "sum"))]
    for number, base in enumerate(bases, 7):
        pull = Pull(number=number, head=HEAD, base=base, base_commit=sha(base), fork=fork)
        branch = pull_branch(number)
        scope = scope_of(branch, pull, "main")
        targets.append(CommandTarget(branch, HEAD, pipelines, held, scope, pull, ("other",)))
    return handle_commands("team", [command], targets, {pull_branch(7): accepted or {}})


def ask(
    verb: Verb | None, argument: str = "", **more: Any
) -> tuple[list[AnswerCommand], list[Envelope]]:
    heard = hear(verb, argument, **more)
    return heard.answers, heard.messages


def text(answers: list[AnswerCommand]) -> str:
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
    for verb in ("plan", "run", "retry", "cancel", "approve", "accept"):
        assert f"`/headgate {verb}`" in text(answers)
    assert messages == []


def test_run_asks_each_pipeline_of_the_pull_request_once_and_only_nods() -> None:
    answers, messages = ask("run", pipelines=("mean", "sum"))
    assert text(answers) == ""
    assert [(m.to.name, m.message.type, m.id) for m in messages] == [
        ("mean", "run_requested", "comment/41"),
        ("sum", "run_requested", "comment/41"),
    ]
    body = fields(messages[0])
    assert (body["branch"], body["force"], body["unless_passed"]) == (pull_branch(7), True, False)
    assert body["why"] == "maya asked for it (`/headgate run`)"


@pytest.mark.parametrize(
    ("verb", "argument", "fresh"),
    [("run", "--no-cache", True), ("run", "", False), ("retry", "--no-cache", False)],
)
def test_run_may_ask_for_everything_anew(verb: Verb, argument: str, fresh: bool) -> None:
    _, (message,) = ask(verb, argument)
    assert fields(message)["fresh"] is fresh


def test_retry_leaves_what_has_passed() -> None:
    _, (message,) = ask("retry")
    assert (fields(message)["kind"], fields(message)["unless_passed"]) == ("retry", True)


def test_cancel_names_who_asked() -> None:
    _, (message,) = ask("cancel")
    assert (message.message.type, fields(message)["branch"]) == ("cancel_run", pull_branch(7))
    assert fields(message)["reason"] == "cancelled: maya asked for it (`/headgate cancel`)"


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


def test_a_run_that_is_asked_for_comes_with_the_base_as_it_is_now_and_rules_are_compared() -> None:
    heard = hear("run", accepted={"mean": "ada"})
    assert fields(heard.messages[0])["pull"]["base_commit"] == sha("main")
    assert [(one.pipeline, one.base_commit, one.accepted) for one in heard.policies] == [
        ("mean", sha("main"), "ada"),
        ("other", sha("main"), ""),
    ]
    assert hear("cancel").policies == hear("plan").policies == []


MAY = {"mean": Right(may=True), "other": Right(may=True)}


def test_who_may_accept_needs_no_other_right_and_it_is_only_nodded() -> None:
    answers, messages = ask("accept", HEAD[:7], may=False, rights=MAY)
    assert (text(answers), messages) == ("", [])


def test_who_may_not_accept_is_told_who_may_and_calls_nobody() -> None:
    who = ("@ada", "@acme/risk")
    unseen = "Who is in `@acme/risk` cannot be seen: grant it."
    no = {"mean": Right(who=who, unseen=unseen), "other": Right()}
    answers, _ = ask("accept", HEAD, by="eve", rights=no)
    mean, other = text(answers).splitlines()
    assert mean.startswith("Sorry @eve, the rules of mean may be accepted by `@ada`, `@acme/risk`.")
    assert mean.endswith(unseen)
    assert other.endswith("may be accepted by those who administer the repository.")
    crowd = tuple(f"@person-{n}" for n in range(MOST_NAMED + 5))
    assert "and 5 more." in text(ask("accept", HEAD, rights={"mean": Right(who=crowd)})[0])


def test_an_acceptance_names_the_head_and_is_of_the_open_pull_request_it_is_on() -> None:
    assert "Say which commit you have read" in text(ask("accept", rights=MAY)[0])
    assert "is not the head any more" in text(ask("accept", OLD, rights=MAY)[0])
    assert "is not the head any more" in text(ask("accept", HEAD[:6], rights=MAY)[0])
    answers, _ = ask("accept", HEAD, pull=9, rights=MAY)
    assert "closed" in answers[0].text


def test_of_a_fork_that_is_held_nothing_is_accepted_before_its_commit_is_approved() -> None:
    answers, _ = ask("accept", HEAD, fork=True, held=True, rights=MAY)
    assert f"approve that very commit first: `/headgate approve {HEAD[:12]}`" in text(answers)


@pytest.mark.parametrize("verb", ["approve", "accept"])
def test_a_head_that_was_pushed_just_now_has_to_be_named_whole(verb: Verb) -> None:
    facts: dict[str, Any] = {"fork": True, "early": True, "rights": MAY}
    assert f"`/headgate {verb} {HEAD}`" in text(ask(verb, HEAD[:12], **facts)[0])
    assert "is not the head any more" in text(ask(verb, OLD[:12], **facts)[0])
    assert "Say which commit" in text(ask(verb, **facts)[0])
    assert text(ask(verb, HEAD, **facts)[0]) == ""


@pytest.mark.parametrize("verb", ["approve", "accept"])
def test_a_comment_that_was_edited_is_nobodys_word_and_that_is_said(verb: Verb) -> None:
    answers, messages = ask(verb, HEAD, fork=True, edited=True, rights=MAY)
    assert "was edited after it was written" in text(answers)
    assert f"`/headgate {verb} {HEAD[:12]}`" in text(answers)
    assert messages == []
    assert text(ask("plan", edited=True)[0]) == "", "what anybody may ask who may write"


def press(commit: str, pipeline: str = "") -> list[Envelope]:
    answers, messages = ask(
        "run", pull=None, comment=None, commit=commit, pipeline=pipeline, pipelines=("mean", "sum")
    )
    assert answers == [], "a button has no place for an answer"
    return messages


def test_the_button_of_a_check_runs_its_pipeline_and_that_of_all_runs_all() -> None:
    assert [m.to.name for m in press(HEAD, "sum")] == ["sum"]
    assert [m.to.name for m in press(HEAD)] == ["mean", "sum"]
    assert fields(press(HEAD)[0])["why"] == "maya asked for it (GitHub's button)"


def test_the_button_on_main_runs_main_and_on_a_commit_that_was_left_does_nothing() -> None:
    assert [fields(m)["branch"] for m in press(sha("main"), "mean")] == ["main"]
    assert press(OLD) == []


def test_the_button_of_a_check_is_of_its_own_base_alone() -> None:
    facts: dict[str, Any] = {"pull": None, "comment": None, "commit": HEAD, "check": "gates"}
    both = ("main", "easy")
    for scope, branch in (("", pull_branch(7)), ("into easy", pull_branch(8))):
        heard = hear("run", bases=both, scope=scope, **facts)
        assert [fields(m)["branch"] for m in heard.messages] == [branch]
        assert {one.scope for one in heard.policies} == {scope}
    every = hear("run", bases=both, **{**facts, "check": ""})
    assert [fields(m)["branch"] for m in every.messages] == [pull_branch(7), pull_branch(8)]
    assert len({m.id for m in every.messages}) == 2, "else one would count as told"
    assert hear("run", scope="into lenient", **facts).messages == []


def test_the_button_of_a_policy_check_compares_the_rules_and_runs_nothing() -> None:
    heard = hear("run", pull=None, comment=None, commit=HEAD, check="policy", pipeline="mean")
    assert heard.messages == []
    assert [one.pipeline for one in heard.policies] == ["mean"]
