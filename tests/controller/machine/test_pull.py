"""How a comment becomes a command, whom an approval lets run, and what it names."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.machine.repositories.pull import (
    Command,
    Pull,
    Verb,
    approvals,
    is_command,
    is_pull,
    parse_command,
    pull_branch,
    scope_of,
)
from tests.controller.machine.kit import sha

HEAD = sha("head")


def pull(number: int = 7, head: str = HEAD, **more: Any) -> Pull:
    return Pull(number=number, head=head, **{"base": "main", "fork": True, **more})


def said(argument: str, verb: Verb = "approve", **more: Any) -> Command:
    """A command in a comment of somebody who may write."""
    facts: dict[str, Any] = {"by": "maya", "may": True, "pull": 7, "comment": 1, **more}
    return Command(id="comment/1", verb=verb, argument=argument, **facts)


def pressed(commit: str = HEAD, **more: Any) -> Command:
    """The approve button of a commit's check."""
    facts: dict[str, Any] = {"by": "maya", "may": True, **more}
    return Command(id="button/1", verb="approve", commit=commit, **facts)


@pytest.mark.parametrize(
    ("body", "verb", "argument"),
    [
        ("/headgate", None, ""),
        ("/headgate run", "run", ""),
        ("  /headgate   RUN now please  ", "run", "now please"),
        ("/headgate retry\nand a story below", "retry", ""),
        ("/headgate\nrun", None, ""),
        ("/headgate deploy", None, ""),
        ("/headgate runs", None, ""),
        (f"/headgate approve {HEAD}", "approve", HEAD),
        ("/headgate approve " + "a" * 5000, "approve", "a" * 100),
        ("/Headgate Run", "run", ""),
        ("/HEADGATE ACCEPT 1234567", "accept", "1234567"),
        ("\r\n \t\r\n   /headgate run\r\nplease", "run", ""),
    ],
)
def test_the_first_line_of_a_comment_is_a_verb_and_the_rest(
    body: str, verb: Verb | None, argument: str
) -> None:
    assert is_command(body)
    assert parse_command(body) == (verb, argument)


@pytest.mark.parametrize(
    "body",
    ["", "  ", "/headgatefoo run", "/headgate-run", "please /headgate run", "head/headgate run"],
)
def test_a_comment_that_does_not_begin_with_the_command_is_none(body: str) -> None:
    assert not is_command(body)


@pytest.mark.parametrize(
    "body",
    [
        "    /headgate plan",
        "\t/headgate plan",
        "  \t/headgate plan",
        "\n\n     /headgate plan",
        "```\n/headgate plan\n```",
        "~~~\n/headgate plan",
        "`/headgate plan`",
        "> /headgate plan",
        "- /headgate plan",
        "To see it, write\n/headgate plan",
        "<!--\n/headgate plan\n-->",
    ],
)
def test_a_command_that_is_code_or_quoted_or_below_other_words_is_none(body: str) -> None:
    assert not is_command(body)
    assert parse_command(body) == (None, "")


def test_a_pull_request_among_branches_has_a_name_that_no_branch_can_have() -> None:
    assert is_pull(pull_branch(7))
    assert " " in pull_branch(7), "git refuses such a branch"
    assert not is_pull("pull-request/7")


@pytest.mark.parametrize(
    ("command", "approved"),
    [
        (said(HEAD), True),
        (said(HEAD[:7]), True),
        (said(HEAD[:12].upper()), True),
        (said(HEAD[:6]), False),
        (said(""), False),
        (said(sha("an older head")), False),
        (said(HEAD + "0"), False),
        (said(HEAD, may=False), False),
        (said(HEAD, verb="run"), False),
        (said(HEAD, pull=8), False),
        (said(HEAD, edited=True), False),
        (said(HEAD[:12], early=True), False),
        (said(HEAD, early=True), True),
        (said(HEAD, verb="accept"), False),
        (pressed(), True),
        (pressed(sha("an older head")), False),
        (pressed(may=False), False),
        (pressed(commit=""), False),
    ],
)
def test_only_who_may_write_and_names_the_very_head_approves_it(
    command: Command, approved: bool
) -> None:
    expected = {7: HEAD} if approved else {}
    assert approvals({}, {7: pull()}, [command]) == expected


def test_a_new_push_or_a_close_drops_the_approval() -> None:
    before = approvals({}, {7: pull()}, [said(HEAD)])
    assert approvals(before, {7: pull()}, []) == {7: HEAD}
    assert approvals(before, {7: pull(head=sha("newer"))}, []) == {}
    assert approvals(before, {}, []) == {}


def test_the_button_of_a_commit_approves_each_pull_request_of_it_and_a_comment_one() -> None:
    pulls = {7: pull(), 8: pull(8), 9: pull(9, sha("another"))}
    assert approvals({}, pulls, [pressed()]) == {7: HEAD, 8: HEAD}
    assert approvals({}, pulls, [said(HEAD, pull=8)]) == {8: HEAD}


@pytest.mark.parametrize(
    ("branch", "base", "scope"),
    [
        ("main", None, ""),
        ("trial", None, "on trial"),
        ("feature/x", None, "on feature/x"),
        (pull_branch(7), "main", ""),
        (pull_branch(7), "easy", "into easy"),
    ],
)
def test_what_is_judged_by_the_default_branch_has_the_plain_name_and_all_else_says_by_what(
    branch: str, base: str | None, scope: str
) -> None:
    of = pull(base=base) if base else None
    assert scope_of(branch, of, "main") == scope


@given(
    st.lists(
        st.sampled_from(["maya", "eve"]).flatmap(
            lambda who: st.builds(
                said,
                st.sampled_from(["", HEAD, HEAD[:7], sha("newer"), "0000000"]),
                verb=st.sampled_from(["approve", "run", None]),
                by=st.just(who),
                may=st.just(who == "maya"),
                pull=st.sampled_from([7, 8]),
            )
        ),
        max_size=8,
    )
)
def test_what_is_approved_was_named_by_who_may_write(commands: list[Command]) -> None:
    pulls = {7: pull(), 8: pull(8, sha("newer"))}
    for number, head in approvals({}, pulls, commands).items():
        assert any(
            c.may and c.verb == "approve" and c.pull == number and head.startswith(c.argument)
            for c in commands
            if len(c.argument) >= 7
        )
